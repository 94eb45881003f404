"""A limit on what a gateway sends, for a metered uplink: shared fairly among its tables."""

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Final

from collector.model import Batch

_WAIT_S: Final = 1.0


class Rate:
    """Gives turns so that records and bytes per second stay under their limits, on average.

    A call may be larger than a second's worth: the next turn comes later for it. Of the tables that
    wait, the one that was served least comes next.
    """

    def __init__(self, records_per_s: int | None, bytes_per_s: int | None) -> None:
        self._records_per_s = records_per_s or float("inf")
        self._bytes_per_s = bytes_per_s or float("inf")
        self.is_limited = bool(records_per_s or bytes_per_s)
        self.call_max_bytes = bytes_per_s or 1 << 62
        self._condition = threading.Condition()
        self._free_at = 0.0
        # Start-time fair queueing: what each table was served, in seconds, and where the last one
        # that came stood. A table that was quiet begins there, and has no claim from its silence.
        self._served: dict[str, float] = {}
        self._stands_at = 0.0
        self._waiting: set[str] = set()

    def portion(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield batches for a call of a second's worth of records; the first is whole anyway."""
        records = 0
        for batch in batches:
            records += len(batch.records)
            if records > max(self._records_per_s, len(batch.records)):
                return
            yield batch

    def turn(self, table: str, records: int, size_bytes: int) -> bool:
        """Wait a second at most; True when this call may be sent now, and is counted."""
        if not self.is_limited:
            return True
        cost_s = max(records / self._records_per_s, size_bytes / self._bytes_per_s)
        deadline = time.monotonic() + _WAIT_S
        with self._condition:
            self._served[table] = max(self._served.get(table, 0.0), self._stands_at)
            self._waiting.add(table)
            try:
                while not self._is_next(table):
                    until = min(deadline, max(self._free_at, time.monotonic() + 0.01))
                    if time.monotonic() >= deadline:
                        return False
                    self._condition.wait(until - time.monotonic())
                self._free_at = max(self._free_at, time.monotonic()) + cost_s
                self._stands_at = self._served[table]
                self._served[table] += cost_s
                return True
            finally:
                self._waiting.discard(table)
                self._condition.notify_all()

    def _is_next(self, table: str) -> bool:
        if time.monotonic() < self._free_at:
            return False
        return self._served[table] <= min(self._served[one] for one in self._waiting)
