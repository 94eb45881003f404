"""The threads of the drains: one for each table that has work, none for those that have not."""

import logging
import threading
import time
from collections.abc import Container, Iterable, Mapping

from collector.config import Zerobus
from collector.drain.drain import Drain
from collector.drain.shared import Look, Shared
from collector.drain.state import DrainState
from collector.spool import Spool
from collector.stream import Connections
from collector.tables import Schema

_log = logging.getLogger(__name__)


class Drains:
    """Starts a drain when a table gets work, and lets it end with its idle stream."""

    drain_type = Drain

    def __init__(
        self,
        spool: Spool,
        connections: Connections,
        options: Zerobus,
        schemas: Mapping[str, Schema],
        look: Look = lambda _table, _schema: "",
    ) -> None:
        self._shared = Shared(spool, connections, options, schemas, look)
        self._lock = threading.Lock()
        self._drains: dict[str, Drain] = {}
        self._states: dict[str, DrainState] = {}
        self._notified: set[str] = set()

    def notify(self, tables: Iterable[str], awaited: Container[str] = ()) -> None:
        """Hand over work: these tables have new batches, and somebody waits for some of them."""
        with self._lock:
            if self._shared.stopping:
                return
            for table in tables:
                drain = self._drains.get(table)
                if drain is None:
                    state = self._states.setdefault(table, DrainState())
                    drain = self.drain_type(table, self._shared, state, self._retire)
                    self._start(table, drain)
                else:
                    self._notified.add(table)
                    drain.notify(is_awaited=table in awaited)

    def look_after(self, tables: Iterable[str]) -> None:
        """Start what should run and doesn't: a hand-over is not allowed to fail, but it can."""
        with self._lock:
            missing = [table for table in tables if table not in self._drains]
        self.notify(missing)

    def _start(self, table: str, drain: Drain) -> None:
        try:
            drain.start()
        except RuntimeError as error:  # No more threads: the records are safe in the spool.
            _log.error("%s: its drain can't be started: %s", table, error)
            return
        self._drains[table] = drain

    def _retire(self, drain: Drain) -> bool:
        """End a drain that found nothing to do, unless work was handed over meanwhile."""
        with self._lock:
            if drain.table in self._notified:
                self._notified.discard(drain.table)
                return False
            del self._drains[drain.table]
            return True

    def follow(self, other: "Drains") -> None:
        """Count on where others ended, which were stopped."""
        self._states = {table: state.ended() for table, state in other.states().items()}

    def change(self, schemas: Mapping[str, Schema]) -> None:
        """Have other schemas configured; tables that are held are tried again at once."""
        self._shared.change(schemas)
        with self._lock:
            for drain in self._drains.values():
                drain.notify()

    def bury(self, table: str, last_batch: int) -> None:
        """Take an operator's word: what is refused up to this batch is buried; 0 ends it."""
        self._shared.bury(table, last_batch)
        if last_batch:
            self.notify([table])

    def standing_still(self, now: float) -> list[str]:
        """Return the tables whose drain has not been heard of for too long."""
        with self._lock:
            return [table for table, drain in self._drains.items() if drain.beat.is_late(now)]

    def beat_ages(self, now: float) -> dict[str, float]:
        """Return for how many seconds the drain of each table was not heard of."""
        with self._lock:
            return {table: now - drain.beat.at for table, drain in self._drains.items()}

    def states(self) -> dict[str, DrainState]:
        """Return the state of each table that had a drain since the start."""
        with self._lock:
            return dict(self._states)

    def stop(self, deadline: float) -> None:
        """Send nothing more, collect acknowledgments until the deadline, close the streams.

        Drains that are opening a stream are not waited for: they have nothing in flight.
        """
        with self._lock:
            self._shared.stop(deadline)
            drains = list(self._drains.values())
        for drain in drains:
            drain.notify(is_awaited=True)
        for drain in drains:
            if drain.has_stream:
                drain.join(max(0.0, deadline - time.monotonic()))
