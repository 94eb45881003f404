"""What the drains of all tables have in common: the spool, the connections, the stop."""

import threading
from collections.abc import Callable, Mapping

from collector.config import Zerobus
from collector.drain.rate import Rate
from collector.spool import Spool
from collector.stream import Connections
from collector.tables import Schema

Look = Callable[[str, Schema], str]


class Shared:
    """One of it in a line; usable from every drain's thread.

    `schemas` are the configured ones by table; a table that has left the configuration drains by
    what the spool knows. `changes` counts the reloads that may have changed them. `look` says what
    differs between a table and its schema.
    """

    def __init__(
        self,
        spool: Spool,
        connections: Connections,
        options: Zerobus,
        schemas: Mapping[str, Schema],
        look: Look = lambda _table, _schema: "",
    ) -> None:
        self.spool = spool
        self.connections = connections
        self.options = options
        self.schemas = schemas
        self.changes = 0
        self._look = look
        self._in_flight: dict[str, int] = {}
        self.rate = Rate(options.max_records_per_second, options.max_bytes_per_second)
        self.stop_deadline = float("inf")
        self._stopping = threading.Event()
        self._recovery = threading.Condition()
        self._recoveries = 0
        self._burials: dict[str, int] = {}
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

    def note_in_flight(self, table: str, size_bytes: int) -> None:
        """Note how much of a table is in flight."""
        self._in_flight[table] = size_bytes

    def room_in_flight(self) -> int:
        """Return how many bytes more all tables together may have in flight; may be negative."""
        return self.options.in_flight_max_bytes - sum(list(self._in_flight.values()))

    def change(self, schemas: Mapping[str, Schema]) -> None:
        """Have other schemas configured; whoever waits tries again: something may be mended."""
        with self._recovery:
            self.schemas = schemas
            self.changes += 1
            self._recovery.notify_all()
        self.recovered()

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

    def bury(self, table: str, last_batch: int) -> None:
        """Take an operator's word that what is refused up to a batch may be buried; 0 ends it."""
        with self._recovery:
            self._burials[table] = last_batch
            self._recovery.notify_all()

    def may_bury(self, table: str) -> int:
        """Return up to which batch of a table an operator lets what is refused be buried."""
        return self._burials.get(table, 0)

    def wait_for_word(self, table: str, known: int, seconds: float) -> None:
        """Wait, unless the line ends, or an operator reloads or says other than what is `known`."""
        with self._recovery:
            changes = self.changes
            self._recovery.wait_for(
                lambda: self.stopping or self.may_bury(table) != known or self.changes != changes,
                seconds,
            )

    def look(self, table: str) -> str:
        """Say what differs between a table and its configured schema; asks the workspace."""
        schema = self.schemas.get(table)
        return "" if schema is None or self.stopping else self._look(table, schema)

    def file_descriptor(self, fingerprint: bytes) -> bytes:
        """Return what a stream is opened with, for batches of this schema."""
        known = self._descriptors.get(fingerprint)
        if known is None:
            schema = Schema.from_stored(self.spool.reader.schema(fingerprint))
            known = self._descriptors[fingerprint] = schema.file_descriptor
        return known
