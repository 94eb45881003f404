"""The batches of one table that are not in flight, read ahead of the sending, in their order."""

from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from collector.drain.ledger import Call
from collector.model import Batch
from collector.spool import Spool

_READ_BATCHES: Final = 16
# A slow station's batches are of one record: thousands make a call.
_AHEAD_BATCHES: Final = 4_096
_UNREACHED: Final = 1 << 62


class _Stretch:
    """Batches with ids behind `after` and up to `last`; `ahead` is read and not sent yet."""

    def __init__(
        self,
        spool: Spool,
        table: str,
        aside: AbstractSet[bytes],
        after: int = 0,
        last: int = _UNREACHED,
    ) -> None:
        self._spool = spool
        self._aside = aside
        self._table = table
        self._sent = after
        self._read = after
        self._last = last
        self.ahead: deque[Batch] = deque()
        self._ahead_bytes = 0
        self.may_have_more = True

    def fill(self, wanted_bytes: int) -> deque[Batch]:
        """Read on until `wanted_bytes` are at hand or no more is there.

        Suspects are left out, and batches of the schemas that are set aside.
        """
        while self.may_have_more and self._ahead_bytes < wanted_bytes:
            # Cleared before the read: a commit behind it sets it again.
            self.may_have_more = False
            batches = self._spool.read(self._table, self._read, _AHEAD_BATCHES, wanted_bytes)
            for batch in batches:
                if batch.id > self._last:
                    break
                self._read = batch.id
                if not batch.suspect and batch.fingerprint not in self._aside:
                    self.ahead.append(batch)
                    self._ahead_bytes += batch.size_bytes
            else:
                if batches:
                    self.may_have_more = True
        return self.ahead

    def drop(self, count: int) -> None:
        """Forget the first batches: they were sent."""
        for _ in range(count):
            batch = self.ahead.popleft()
            self._sent = batch.id
            self._ahead_bytes -= batch.size_bytes

    def reread(self) -> None:
        """Read again what was not sent: some of it is gone."""
        self.ahead.clear()
        self._ahead_bytes = 0
        self._read, self.may_have_more = self._sent, True


class Front:
    """Gives a drain what it sends next.

    In the order of the commits; or, `live`, what was stored since the last rewind first, and what
    was there before in the gaps.
    """

    def __init__(self, spool: Spool, table: str, *, live: bool = False) -> None:
        self._spool = spool
        self._table = table
        self._live = live
        self._aside: set[bytes] = set()
        self._stretches: Sequence[_Stretch] = ()
        self.rewind()

    @property
    def ahead(self) -> deque[Batch]:
        """What was read and not sent yet."""
        return next((one.ahead for one in self._stretches if one.ahead), deque())

    def more(self) -> None:
        """Say that something was stored; may be called from any thread."""
        self._stretches[0].may_have_more = True

    def rewind(self) -> None:
        """Start over from the oldest batch that is not acknowledged."""
        stretches = [_Stretch(self._spool, self._table, self._aside)]
        if self._live:
            newest = self._spool.reader.newest(self._table)
            stretches = [
                _Stretch(self._spool, self._table, self._aside, after=newest),
                _Stretch(self._spool, self._table, self._aside, last=newest),
            ]
        self._stretches = stretches

    @property
    def has_aside(self) -> bool:
        """Whether a schema is set aside."""
        return bool(self._aside)

    def set_aside(self, fingerprint: bytes | None) -> None:
        """Leave the batches of a schema out from here on; None takes all in again."""
        if fingerprint is None:
            self._aside.clear()
        else:
            self._aside.add(fingerprint)
        self.rewind()

    def batches(self, wanted_bytes: int, fingerprint: bytes = b"") -> deque[Batch]:
        """Return what is to be sent next, as far as `wanted_bytes`.

        What has another schema than `fingerprint` waits while there is something of that schema:
        a stream of its own for each new record would be slow.
        """
        waiting = [ahead for one in self._stretches if (ahead := one.fill(wanted_bytes))]
        fitting = [ahead for ahead in waiting if fingerprint in (b"", ahead[0].fingerprint)]
        return next(iter(fitting or waiting), deque())

    def these(self, batches: Iterable[int]) -> Sequence[Batch]:
        """Return the first of some batches that are still to be sent, in the order of their ids."""
        return self._spool.pick(self._table, batches, _READ_BATCHES)

    def take(self, call: Call) -> bool:
        """Mark the batches of a call as taken; False when one is gone: the call is not to be sent.

        The call is of the batches that `batches` gave, whole.
        """
        first = call.parts[0].batch
        stretch = next(one for one in self._stretches if one.ahead and one.ahead[0].id == first)
        if self._spool.take([part.batch for part in call.parts]):
            stretch.drop(len(call.parts))
            return True
        stretch.reread()
        return False
