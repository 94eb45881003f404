"""The threads of the drains: one for each table that has work, none for those that have not."""

import threading
import time
from collections.abc import Iterable, Mapping

from collector.config import Zerobus
from collector.drain.drain import Drain, DrainState
from collector.spool import Spool
from collector.stream import Connections
from collector.tables import Schema


class Drains:
    """Starts a drain when a table gets work, ends it with its idle stream.

    `schemas` are the configured ones by table; a table that has left the configuration drains by
    what the spool knows.
    """

    drain_type = Drain

    def __init__(
        self,
        spool: Spool,
        connections: Connections,
        options: Zerobus,
        schemas: Mapping[str, Schema],
    ) -> None:
        self.spool = spool
        self.connections = connections
        self.options = options
        self.schemas = schemas
        self.stop_deadline = float("inf")
        self._lock = threading.Lock()
        self._drains: dict[str, Drain] = {}
        self._states: dict[str, DrainState] = {}
        self._notified: set[str] = set()
        self._descriptors: dict[bytes, bytes] = {}
        self._stopping = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether the line is to end."""
        return self._stopping.is_set()

    def notify(self, tables: Iterable[str]) -> None:
        """Hand over work: these tables have new batches."""
        with self._lock:
            if self.stopping:
                return
            for table in tables:
                drain = self._drains.get(table)
                if drain is None:
                    state = self._states.setdefault(table, DrainState())
                    drain = self._drains[table] = self.drain_type(table, self, state)
                    drain.start()
                else:
                    self._notified.add(table)
                    drain.notify()

    def retire(self, drain: Drain) -> bool:
        """End a drain that found nothing to do, unless work was handed over meanwhile."""
        with self._lock:
            if drain.table in self._notified:
                self._notified.discard(drain.table)
                return False
            del self._drains[drain.table]
            return True

    def file_descriptor(self, fingerprint: bytes) -> bytes:
        """Return what a stream is opened with, for batches of this schema."""
        known = self._descriptors.get(fingerprint)
        if known is None:
            schema = Schema.from_stored(self.spool.reader.schema(fingerprint))
            known = self._descriptors[fingerprint] = schema.file_descriptor
        return known

    def wait_stopping(self, seconds: float) -> bool:
        """Wait, unless the line ends; True when it does."""
        return self._stopping.wait(seconds)

    def states(self) -> dict[str, DrainState]:
        """Return the state of each table that had a drain since the start."""
        with self._lock:
            return dict(self._states)

    def stop(self, deadline: float) -> None:
        """Send nothing more, collect acknowledgments until the deadline, close the streams.

        Drains that are opening a stream are not waited for: they have nothing in flight.
        """
        self.stop_deadline = deadline
        with self._lock:
            self._stopping.set()
            drains = list(self._drains.values())
        for drain in drains:
            drain.notify()
        for drain in drains:
            if drain.state.state == "streaming":
                drain.join(max(0.0, deadline - time.monotonic()))
