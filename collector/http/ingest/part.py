"""The records of one request among those of a commit: which they are, and who waits for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from collector.http.ingest.misfits import Errors
from collector.http.ingest.submission import Stored, Submission
from collector.http.ingest.target import Target
from collector.model import NewBatch
from collector.spool.watched import Spans, Watch


@dataclass(slots=True)
class Part:
    """The records of one request: so many of those that its station will commit, in their order.

    `errors` are those of its other records; `first_seq` and `last_seq` are known once the records
    are in batches.
    """

    submission: Submission
    target: Target
    count: int
    errors: Errors
    watch: Watch | None
    first_seq: int | None = None
    last_seq: int | None = None

    def take(self, seqs: Sequence[int]) -> None:
        """Note the numbers of its next records."""
        self.first_seq = seqs[0] if self.first_seq is None else self.first_seq
        self.last_seq = seqs[-1]

    def stored(self) -> Stored:
        """Return what its client is told once the commit is made."""
        return Stored(
            self.target.station.table,
            self.first_seq,
            self.last_seq,
            self.count,
            tuple(self.errors.told),
            self.errors.count,
            self.watch,
        )


def spread(parts: Sequence[Part], batches: Sequence[NewBatch]) -> dict[int, Spans]:
    """Tell parts the numbers of their records; returns who waits for the records of each batch.

    Both are in one order, and all records of the batches are those of the parts. Batches that
    nobody waits for are left out; they are named by their first number.
    """
    watches: dict[int, Spans] = {}
    waiting = iter(parts)
    part, left = None, 0
    for batch in batches:
        spans: Spans = []
        at, size = 0, len(batch.records)
        while at < size:
            while not left:
                part = next(waiting)
                left = part.count
            assert part is not None  # noqa: S101 - our own invariant: it has records left.
            count = min(left, size - at)
            part.take(batch.seqs[at : at + count])
            spans.append((count, part.watch))
            at, left = at + count, left - count
        if any(watch is not None for _, watch in spans):
            watches[batch.seqs[0]] = spans
    return watches
