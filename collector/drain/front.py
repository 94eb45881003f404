"""The batches of one table that are not in flight, oldest first, read ahead of the sending."""

from collections import deque

from collector.drain.ledger import Call
from collector.model import Batch
from collector.spool import Spool

_READ_BATCHES = 16


class Front:
    """A cursor over the batches of a table; suspects are not its business.

    `ahead` is what was read and not sent yet.
    """

    def __init__(self, spool: Spool, table: str) -> None:
        self._spool = spool
        self._table = table
        self._cursor = 0
        self.ahead: deque[Batch] = deque()
        self.may_have_more = True

    def rewind(self) -> None:
        """Start over from the oldest batch that is not acknowledged."""
        self._cursor = 0
        self.ahead.clear()
        self.may_have_more = True

    def batches(self, wanted_bytes: int) -> deque[Batch]:
        """Return what waits, reading on until `wanted_bytes` are at hand or no more is there."""
        while self.may_have_more and sum(b.size_bytes for b in self.ahead) < wanted_bytes:
            # Cleared before the read: a commit behind it sets it again.
            self.may_have_more = False
            batches = self._spool.read(self._table, self._cursor, _READ_BATCHES)
            for batch in batches:
                self._cursor = batch.id
                if not batch.suspect:
                    self.ahead.append(batch)
            if len(batches) >= _READ_BATCHES:
                self.may_have_more = True
        return self.ahead

    def take(self, call: Call) -> None:
        """Drop the batches of a call that was sent whole."""
        for _ in call.parts:
            self.ahead.popleft()
