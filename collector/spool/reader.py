"""Reading a spool without disturbing its writer: brief, read-only transactions.

Serves the drains of a running daemon and every command, on a live spool, a stopped one or a copy.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector.errors import SpoolDamagedError, SpoolError
from collector.model import Batch
from collector.spool import blob as batch_blob
from collector.spool.database import open_reader, translated
from collector.spool.selection import Selection

READ_BYTES: Final = 4 << 20
_READ: Final = """
SELECT b.id, s.name, c.fingerprint, b.first_seq, b.received_us, b.suspect, b.checksum, b.blob
FROM batches b JOIN names s ON s.id = b.station_id JOIN schemas c ON c.id = b.schema_id
WHERE b.table_id = (SELECT id FROM names WHERE name = ?) AND b.id > ?
ORDER BY b.id LIMIT ?
"""
_PICK: Final = _READ.replace(
    "ORDER BY", "AND b.suspect = 0 AND b.id IN (SELECT value FROM json_each(?)) ORDER BY"
)


_WALK: Final = """
SELECT b.id, s.name, length(b.blob), b.received_us
FROM batches b JOIN names s ON s.id = b.station_id
WHERE b.table_id = (SELECT id FROM names WHERE name = ?) AND b.id > ?
ORDER BY b.id LIMIT ?
"""
_SELECTED: Final = """
SELECT b.id, b.records FROM batches b JOIN names t ON t.id = b.table_id
JOIN names s ON s.id = b.station_id WHERE {where} AND b.id > ? ORDER BY b.id LIMIT ?
"""
_LETTERS: Final = """
SELECT d.id, d.received_us, d.station, d.table_name, d.topic, d.kind, d.position, d.more, d.seq,
       d.fingerprint, d.flags, d.properties, p.body
FROM dead_letters d JOIN payloads p ON p.id = d.payload_id
WHERE {where} AND d.id > ? ORDER BY d.id LIMIT ?
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
        self.damage = ""

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of one query."""
        with self._cursor(sql, parameters) as cursor:
            return cursor.fetchall()

    @contextmanager
    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, closing(self._connection.execute(sql, parameters)) as cursor:
                yield cursor
        except sqlite3.Error as error:
            failure = translated(error, self.path)
            if isinstance(failure, SpoolDamagedError):
                self.damage = str(failure)
            raise failure from error

    def batches(
        self,
        table: str,
        after: int,
        limit: int = 16,
        among: Iterable[int] | None = None,
        max_bytes: int = READ_BYTES,
    ) -> Iterator[Batch | Damaged]:
        """Yield up to `limit` batches of a table in the order of their commits.

        None behind the one that fills `max_bytes`. With `among` only those of these that are no
        suspects.
        """
        sql = _READ if among is None else _PICK
        listed = () if among is None else (_listed(among),)
        with self._cursor(sql, (table, after, *listed, limit)) as cursor:
            rows = list(_up_to(cursor, max_bytes))
        for row in rows:
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

    def page_bytes(self) -> tuple[int, int]:
        """Return the bytes of pages in use and of free pages, as the last commit left them."""
        ((pages, free, size),) = self.rows(
            "SELECT page_count, freelist_count, page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        )
        return (pages - free) * size, free * size

    def tables(self) -> list[str]:
        """Return the tables that have batches in the spool."""
        rows = self.rows(
            "SELECT n.name FROM names n"
            " WHERE EXISTS (SELECT 1 FROM batches b WHERE b.table_id = n.id) ORDER BY n.name"
        )
        return [name for (name,) in rows]

    def walk(self, table: str, after: int, limit: int) -> list[tuple[int, str, int, int]]:
        """Return id, station, bytes and arrival of batches of a table, in their order."""
        return self.rows(_WALK, table, after, limit)

    def letters(self, selection: Selection, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Return what a replay needs of dead letters, by their ids."""
        where, parameters = selection.of_dead_letters()
        return self.rows(_LETTERS.format(where=where), *parameters, after, limit)

    def selected(self, selection: Selection, after: int, limit: int) -> list[tuple[int, int]]:
        """Return id and records of batches, by their ids."""
        where, parameters = selection.of_batches()
        return self.rows(_SELECTED.format(where=where), *parameters, after, limit)

    def names_count(self) -> tuple[int, int]:
        """Return how many names and how many schemas there are; neither is ever taken out."""
        (counts,) = self.rows("SELECT (SELECT count(*) FROM names), (SELECT count(*) FROM schemas)")
        return counts

    def names(self) -> tuple[list[tuple[int, str]], list[tuple[int, bytes, bytes]]]:
        """Return all names, and all schemas, with their ids."""
        names = self.rows("SELECT id, name FROM names")
        return names, self.rows("SELECT id, fingerprint, stored FROM schemas")

    def body(self, batch: int) -> tuple[str, int, int, bytes] | None:
        """Return table, first seq, records and bytes of a batch, whatever state they are in."""
        rows = self.rows(
            "SELECT n.name, b.first_seq, b.records, b.blob FROM batches b"
            " JOIN names n ON n.id = b.table_id WHERE b.id = ?",
            batch,
        )
        return rows[0] if rows else None

    def last_letter(self) -> int:
        """Return the highest id that a dead letter ever got."""
        rows = self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'dead_letters'")
        return rows[0][0] if rows else 0

    def last_batch(self) -> int:
        """Return the highest id that a batch ever got."""
        rows = self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'batches'")
        return rows[0][0] if rows else 0

    def clock_steps(self) -> list[tuple[int, int, int]]:
        """Return first batch, last batch and step in µs of each time that the clock was set."""
        return self.rows("SELECT first_batch, last_batch, step_us FROM clock_steps")

    def has_batches(self, batches: Sequence[int]) -> bool:
        """Say whether all of these batches are in the file."""
        wanted = set(batches)
        ((found,),) = self.rows(
            "SELECT count(*) FROM batches WHERE id IN (SELECT value FROM json_each(?))",
            _listed(wanted),
        )
        return bool(found == len(wanted))

    def suspects(self, table: str) -> dict[int, bytes]:
        """Return the suspects of a table: batch id → fingerprint of its schema."""
        rows = self.rows(
            "SELECT b.id, c.fingerprint FROM batches b JOIN schemas c ON c.id = b.schema_id"
            " WHERE b.suspect = 1 AND b.table_id = (SELECT id FROM names WHERE name = ?)"
            " ORDER BY b.id",
            table,
        )
        return dict(rows)

    def newest(self, table: str) -> int:
        """Return the id of the newest batch of a table, or 0."""
        rows = self.rows(
            "SELECT id FROM batches WHERE table_id = (SELECT id FROM names WHERE name = ?)"
            " ORDER BY id DESC LIMIT 1",
            table,
        )
        return rows[0][0] if rows else 0

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

    def memories(self, station: str) -> dict[str, bytes]:
        """Return what the format of a station remembers, the oldest first."""
        return dict(
            self.rows("SELECT name, value FROM memories WHERE station = ? ORDER BY id", station)
        )

    def answer(self, key: bytes, since_us: int) -> tuple[bytes, str] | None:
        """Return the hash of the body, and the answer, of a request that came before."""
        rows = self.rows(
            "SELECT body, text FROM answers WHERE key = ? AND at_us >= ?", key, since_us
        )
        return rows[0] if rows else None

    def has_answers(self, before_us: int) -> bool:
        """Say whether the oldest answer is from before that."""
        oldest = self.rows("SELECT at_us FROM answers ORDER BY id LIMIT 1")
        return bool(oldest) and oldest[0][0] < before_us

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


def _up_to(rows: Iterable[tuple[Any, ...]], max_bytes: int) -> Iterator[tuple[Any, ...]]:
    """Rows, until their blobs, which stand last, fill `max_bytes`."""
    size = 0
    for row in rows:
        yield row
        size += len(row[-1])
        if size >= max_bytes:
            return


def _listed(batches: Iterable[int]) -> str:
    """Ids as JSON: SQLite bounds the number of parameters."""
    return "[" + ",".join(map(str, batches)) + "]"
