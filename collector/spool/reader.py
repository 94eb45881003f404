"""Reading a spool without disturbing its writer: brief, read-only transactions.

Serves the drains of a running daemon and every command, on a live spool, a stopped one or a copy.
"""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector.errors import SpoolError
from collector.model import Batch
from collector.spool import blob as batch_blob
from collector.spool.database import open_reader, translated

_READ: Final = """
SELECT b.id, s.name, c.fingerprint, b.first_seq, b.received_us, b.suspect, b.checksum, b.blob
FROM batches b JOIN names s ON s.id = b.station_id JOIN schemas c ON c.id = b.schema_id
WHERE b.table_id = (SELECT id FROM names WHERE name = ?) AND b.id > ?
ORDER BY b.id LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A batch whose bytes are not what was written: it stays in the file and is not sent."""

    id: int
    reason: str


class SpoolReader:
    """A read-only view of a spool file; usable from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_reader(path)
        self._lock = threading.Lock()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of one query."""
        try:
            with self._lock:
                return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def batches(self, table: str, after: int, limit: int = 16) -> Iterator[Batch | Damaged]:
        """Yield up to `limit` batches of a table in the order of their commits."""
        for row in self.rows(_READ, table, after, limit):
            identity, station, fingerprint, first_seq, received_us, suspect, checksum, body = row
            if batch_blob.checksum(body) != checksum:
                yield Damaged(identity, "its checksum does not fit its bytes")
                continue
            try:
                records, seqs = batch_blob.unpack(body, first_seq)
            except ValueError as error:
                yield Damaged(identity, str(error))
                continue
            yield Batch(
                id=identity,
                table=table,
                station=station,
                fingerprint=fingerprint,
                seqs=seqs,
                received_us=received_us,
                records=records,
                suspect=bool(suspect),
                size_bytes=len(body),
            )

    def schema(self, fingerprint: bytes) -> bytes:
        """Return the stored schema of a fingerprint; see `Schema.from_stored`."""
        rows = self.rows("SELECT stored FROM schemas WHERE fingerprint = ?", fingerprint)
        if not rows:
            raise SpoolError(f"{self.path}: no schema {fingerprint.hex()} in the spool")
        stored: bytes = rows[0][0]
        return stored

    def counters(self) -> dict[tuple[str, str], int]:
        """Return every counter as the last commit left it: (scope, name) → value."""
        rows = self.rows("SELECT scope, name, value FROM counters")
        return {(scope, name): value for scope, name, value in rows}

    def tables(self) -> list[str]:
        """Return the tables that have batches in the spool."""
        rows = self.rows(
            "SELECT n.name FROM names n"
            " WHERE EXISTS (SELECT 1 FROM batches b WHERE b.table_id = n.id) ORDER BY n.name"
        )
        return [name for (name,) in rows]

    def suspects(self, table: str) -> dict[int, bytes]:
        """Return the suspects of a table: batch id → fingerprint of its schema."""
        rows = self.rows(
            "SELECT b.id, c.fingerprint FROM batches b JOIN schemas c ON c.id = b.schema_id"
            " WHERE b.suspect = 1 AND b.table_id = (SELECT id FROM names WHERE name = ?)"
            " ORDER BY b.id",
            table,
        )
        return dict(rows)

    def oldest_us(self, table: str) -> int | None:
        """Return the arrival of the oldest batch of a table, or None when nothing waits."""
        rows = self.rows(
            "SELECT received_us FROM batches"
            " WHERE table_id = (SELECT id FROM names WHERE name = ?) ORDER BY id LIMIT 1",
            table,
        )
        return rows[0][0] if rows else None

    def granted(self) -> dict[str, int]:
        """Return the filters that the broker granted: filter → number of its first grant."""
        return dict(self.rows("SELECT filter, number FROM granted"))

    def retained(self) -> dict[bytes, bytes]:
        """Return the hash of the last retained copy of each topic, the oldest first."""
        return dict(self.rows("SELECT topic, hash FROM retained ORDER BY id"))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
