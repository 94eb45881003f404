"""What one commit stores, as the intake hands it over."""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from collector.model import DeadLetter, NewBatch
from collector.spool.kept_rows import StoredAnswer
from collector.spool.watched import Spans

Stored = Callable[[Iterable[str], Container[str]], None]
"""Takes the tables that have new batches, and those that somebody waits for."""


@dataclass(slots=True)
class Group:
    """What one commit stores.

    `counts` are added to the counters: (scope, name) → number. `memories` are what formats keep:
    (station, name) → value. `watches` says who waits for the records of a batch, by its
    first number, `awaited` which tables somebody waits for at this moment; `answers` are to be
    given again to requests that come again. What somebody hears the outcome of is not
    `may_be_thinned`: where a rule would drop some of it, all of it is refused.
    """

    batches: list[NewBatch] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    retained: dict[bytes, bytes] = field(default_factory=dict)
    memories: dict[tuple[str, str], bytes] = field(default_factory=dict)
    watches: dict[int, Spans] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)
    answers: list[StoredAnswer] = field(default_factory=list)
    may_be_thinned: bool = True

    @property
    def size_bytes(self) -> int:
        """About what it will take in the file."""
        records = sum(sum(map(len, batch.records)) for batch in self.batches)
        return records + sum(len(letter.payload) for letter in self.dead_letters)
