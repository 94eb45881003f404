"""The records of one request among those of a commit: which they are, and who waits for them."""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.http.ingest.misfits import Errors
from collector.http.ingest.submission import Stored, Submission
from collector.http.ingest.target import Target
from collector.model import NewBatch
from collector.spool import Group
from collector.spool.watched import Watch


@dataclass(slots=True)
class Part:
    """The records of one request: their range among those that its station will commit.

    `errors` are those of its other records. `first_seqs` name the batches that hold its records.
    """

    submission: Submission
    target: Target
    start: int
    stop: int
    errors: Errors
    watch: Watch | None
    first_seqs: frozenset[int] = frozenset()
    first_seq: int | None = None
    last_seq: int | None = None

    def find_in(self, batches: Iterable[NewBatch], group: Group) -> None:
        """Find the numbers of its records, and have the group say who waits for them."""
        at = 0
        for batch in batches:
            start, stop = max(self.start - at, 0), min(self.stop - at, len(batch.records))
            at += len(batch.records)
            if start >= stop:
                continue
            self.first_seq = batch.seqs[start] if self.first_seq is None else self.first_seq
            self.last_seq = batch.seqs[stop - 1]
            self.first_seqs |= {batch.seqs[0]}
            if self.watch is not None:
                _watch(group, batch, start, stop, self.watch)

    def stored(self) -> Stored:
        """Return what its client is told once the commit is made."""
        return Stored(
            self.target.station.table,
            self.first_seq,
            self.last_seq,
            self.stop - self.start,
            tuple(self.errors.told),
            self.errors.count,
            self.watch,
        )


def _watch(group: Group, batch: NewBatch, start: int, stop: int, watch: Watch) -> None:
    """Add to the spans of a batch; parts come in their order."""
    spans = group.watches.setdefault(batch.seqs[0], [])
    known = sum(count for count, _ in spans)
    if start > known:
        spans.append((start - known, None))
    spans.append((stop - start, watch))
