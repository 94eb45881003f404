"""The batches of one table that are not in flight, oldest first, read ahead of the sending."""

from collections import deque

from collector.drain.ledger import Call
from collector.model import Batch
from collector.spool import Spool

_READ_BATCHES = 16


class Front:
    """A cursor over the batches of a table; suspects are not its business."""

    def __init__(self, spool: Spool, table: str) -> None:
        self._spool = spool
        self._table = table
        self._cursor = 0
        self._ahead: deque[Batch] = deque()
        self.may_have_more = True

    def rewind(self) -> None:
        """Start over from the oldest batch that is not acknowledged."""
        self._cursor = 0
        self._ahead.clear()
        self.may_have_more = True

    def batches(self, wanted_bytes: int) -> deque[Batch]:
        """Return what waits, reading on until `wanted_bytes` are at hand or no more is there."""
        while self.may_have_more and sum(b.size_bytes for b in self._ahead) < wanted_bytes:
            # Cleared before the read: a commit behind it sets it again.
            self.may_have_more = False
            batches = self._spool.read(self._table, self._cursor, _READ_BATCHES)
            for batch in batches:
                self._cursor = batch.id
                if not batch.suspect:
                    self._ahead.append(batch)
            if batches:
                self.may_have_more = True
        return self._ahead

    def has_more_than(self, call: Call) -> bool:
        """Say whether more waits than this call takes."""
        return len(self._ahead) > len(call.parts)

    def take(self, call: Call) -> None:
        """Drop the batches of a call that was sent whole."""
        for _ in call.parts:
            self._ahead.popleft()
