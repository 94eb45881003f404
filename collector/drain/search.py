"""The search for refused records: the service says that one is bad, never which (decision 16)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

SUSPECTS_MAX: Final = 8
UNLIMITED: Final = 1 << 30


@dataclass(slots=True)
class Search:
    """Sends one call at a time from the oldest record on, and halves a call that is refused.

    `batches` are those that were in flight at the refusal: the search is among them. `_bad` is the
    number of records at the front among which one is known to be refused; None while that is not
    known. Then calls grow from one record on: a refused call costs a stream, and bad records often
    come in a row.
    """

    batches: list[int]
    _bad: int | None = None
    _grown: int = UNLIMITED

    def call_records(self) -> int:
        """Return how many records the next call may have."""
        return self._grown if self._bad is None else max(1, self._bad // 2)

    def accepted(self, records: int) -> None:
        """Note that a call was accepted: what is bad lies behind it."""
        if self._bad is not None:
            left = self._bad - records
            self._bad = left if left > 0 else None
        else:
            self._grown = min(2 * self._grown, UNLIMITED)

    def refused(self, records: int) -> bool:
        """Note that a call was refused; True when it was a single record: a suspect."""
        alone = records == 1
        self._bad = None if alone else records
        self._grown = 1
        return alone


@dataclass(slots=True)
class Suspects:
    """Records that were refused alone, each a batch of its own.

    A suspect may be tried again, and be buried when it is refused again, once another record of
    its schema was accepted: so that a service which refuses everything buries nothing. Up to the
    batch that `may_bury` gives, an operator has said that it may be buried all the same.
    """

    may_bury: Callable[[], int] = lambda: 0
    _accepted: dict[bytes, int] = field(default_factory=dict)
    _since: dict[int, tuple[bytes, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._since)

    def __iter__(self) -> Iterator[int]:
        return iter(self._since)

    def add(self, batch: int, fingerprint: bytes) -> None:
        """Note a suspect; one that is known keeps its place."""
        self._since.setdefault(batch, (fingerprint, self._accepted.get(fingerprint, 0)))

    def remove(self, batch: int) -> None:
        """Forget a suspect that was buried or accepted."""
        self._since.pop(batch, None)

    def accepted(self, fingerprint: bytes, batch: int = 0) -> None:
        """Note that a record was accepted; a suspect's own acceptance says nothing of others."""
        if batch not in self._since:
            self._accepted[fingerprint] = self._accepted.get(fingerprint, 0) + 1

    def ripe(self, fingerprint: bytes | None = None) -> list[int]:
        """Return the suspects, of one schema or of all, that may be tried again."""
        return [
            batch
            for batch, (its_own, _) in self._since.items()
            if fingerprint in (None, its_own) and self.is_ripe(batch)
        ]

    def is_ripe(self, batch: int) -> bool:
        """Say whether another record was accepted since, or an operator's word stands for it."""
        word = self.may_bury()
        if word and batch <= word:
            return True
        fingerprint, accepted = self._since[batch]
        return self._accepted.get(fingerprint, 0) > accepted

    def all_refused(self) -> bool:
        """Say whether so many were refused with no acceptance that the table must be held."""
        return len(self._since) >= SUSPECTS_MAX and not self.ripe()
