"""What the drains of all tables have in common: the spool, the connections, the stop."""

import threading
from collections.abc import Mapping

from collector.config import Zerobus
from collector.spool import Spool
from collector.stream import Connections
from collector.tables import Schema


class Shared:
    """One of it in a line; usable from every drain's thread.

    `schemas` are the configured ones by table; a table that has left the configuration drains by
    what the spool knows.
    """

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
        self._stopping = threading.Event()
        self._recovery = threading.Condition()
        self._recoveries = 0
        self._descriptors: dict[bytes, bytes] = {}

    @property
    def stopping(self) -> bool:
        """Whether the line is to end."""
        return self._stopping.is_set()

    def stop(self, deadline: float) -> None:
        """End every wait; what is in flight may still be acknowledged until the deadline."""
        self.stop_deadline = deadline
        self._stopping.set()
        with self._recovery:
            self._recovery.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the line ends."""
        self._stopping.wait(seconds)

    def wait_for_recovery(self, seconds: float) -> None:
        """Wait, unless the line ends or another table finds that the service is back."""
        with self._recovery:
            seen = self._recoveries
            self._recovery.wait_for(lambda: self.stopping or self._recoveries != seen, seconds)

    def recovered(self) -> None:
        """End the waits of the other tables: they need not find out by themselves."""
        with self._recovery:
            self._recoveries += 1
            self._recovery.notify_all()

    def file_descriptor(self, fingerprint: bytes) -> bytes:
        """Return what a stream is opened with, for batches of this schema."""
        known = self._descriptors.get(fingerprint)
        if known is None:
            schema = Schema.from_stored(self.spool.reader.schema(fingerprint))
            known = self._descriptors[fingerprint] = schema.file_descriptor
        return known
