"""The statements inside a transaction; each keeps the counters in step with the rows.

Scopes of counters: "" for the gateway, `station:NAME`, `table:NAME`. Per table `spooled` and
`spooled_bytes` say what is there, so that nobody has to count rows.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from collector.model import Batch, DeadLetter, Fault, NewBatch
from collector.spool import blob as batch_blob
from collector.spool.damage.rows import DamageRows
from collector.spool.dead_rows import DeadRows
from collector.spool.kept_rows import KeptRows
from collector.spool.limits import Limits

_INSERT: Final = (
    "INSERT INTO batches (table_id, station_id, schema_id, first_seq, records, received_us,"
    " suspect, checksum, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SUMS: Final = "table_id, station_id, sum(records), sum(length(blob))"
_THESE: Final = "FROM batches WHERE id IN (SELECT value FROM json_each(?))"


class Rows:
    """Statements on one connection; the caller holds the lock and the transaction."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._dead = DeadRows(connection, limits)
        self.damage = DamageRows(connection)
        self.kept = KeptRows(connection)
        self._names: dict[str, int] = {}
        self._names_by_id: dict[int, str] = {}
        self._schemas: dict[bytes, int] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._page_size: int = connection.execute("PRAGMA page_size").fetchone()[0]

    def forget(self) -> None:
        """Forget the counts of a transaction that failed, and what it may have given ids to."""
        self._counts.clear()
        self._names.clear()
        self._names_by_id.clear()
        self._schemas.clear()

    def insert(self, batch: NewBatch, *, suspect: bool = False, counted: str = "made") -> int:
        """Store a batch and count its records; returns its id."""
        body = batch_blob.pack(batch.records, batch.seqs)
        cursor = self._connection.execute(
            _INSERT,
            (
                self._name(batch.table),
                self._name(batch.station),
                self._schema(batch.fingerprint),
                batch.seqs[0],
                len(batch.records),
                batch.received_us,
                suspect,
                batch_blob.checksum(body),
                body,
            ),
        )
        scope = "table:" + batch.table
        counts = Counter(
            {(scope, "spooled"): len(batch.records), (scope, "spooled_bytes"): len(body)}
        )
        if counted:
            counts[scope, counted] = len(batch.records)
        self.count(counts)
        identity = cursor.lastrowid
        assert identity is not None  # noqa: S101 - our own invariant: an INSERT gives an id.
        return identity

    def delete(self, batches: Iterable[int], counted: str = "delivered", reason: str = "") -> int:
        """Delete batches and count their records; returns how many records that were.

        With a `reason` they are counted by station as well.
        """
        counts: Counter[tuple[str, str]] = Counter()
        total = 0
        listed = (json.dumps(list(batches)),)
        # Two statements for all: behind each it may wait for the interpreter, the lock in hand.
        execute = self._connection.execute
        sums = execute(f"SELECT {_SUMS} {_THESE} GROUP BY 1, 2", listed)
        for table_id, station_id, records, size in sums.fetchall():
            total += records
            scope = "table:" + self._name_of(table_id)
            counts[scope, counted] += records
            counts[scope, "spooled"] -= records
            counts[scope, "spooled_bytes"] -= size
            if reason:
                counts["station:" + self._name_of(station_id), f"{counted}:{reason}"] += records
        execute(f"DELETE {_THESE}", listed)
        self.count(counts)
        return total

    def cut(self, identity: int, count: int, counted: str) -> None:
        """Take the first `count` records out of a batch and count them."""
        table_id, first_seq, body = self._connection.execute(
            "SELECT table_id, first_seq, blob FROM batches WHERE id = ?", (identity,)
        ).fetchone()
        records, seqs = batch_blob.unpack(body, first_seq)
        left = batch_blob.pack(records[count:], seqs[count:]) if count < len(records) else b""
        if left:
            self._connection.execute(
                "UPDATE batches SET first_seq = ?, records = ?, checksum = ?, blob = ?"
                " WHERE id = ?",
                (seqs[count], len(records) - count, batch_blob.checksum(left), left, identity),
            )
        else:
            self._connection.execute("DELETE FROM batches WHERE id = ?", (identity,))
        scope = "table:" + self._name_of(table_id)
        changes = {(scope, "spooled"): -count, (scope, "spooled_bytes"): len(left) - len(body)}
        if counted:
            changes[scope, counted] = count
        self.count(changes)

    def set_aside(self, identity: int) -> int:
        """Move the first record of a batch into a batch of its own, marked as a suspect."""
        table, station, fingerprint, first_seq, received_us, body = self._connection.execute(
            "SELECT t.name, s.name, c.fingerprint, b.first_seq, b.received_us, b.blob"
            " FROM batches b JOIN names t ON t.id = b.table_id JOIN names s ON s.id = b.station_id"
            " JOIN schemas c ON c.id = b.schema_id WHERE b.id = ?",
            (identity,),
        ).fetchone()
        records, seqs = batch_blob.unpack(body, first_seq)
        suspect = NewBatch(table, station, fingerprint, seqs[:1], received_us, records[:1])
        self.cut(identity, 1, counted="")
        return self.insert(suspect, suspect=True, counted="")

    def replace(self, batch: Batch, fingerprint: bytes, records: Mapping[int, bytes]) -> bool:
        """Give a batch other bytes, by their numbers, and another schema.

        Numbers that are left out are counted as buried. False when the batch is gone: it may have
        been dropped since it was read.
        """
        if not records:
            return self.delete([batch.id], "buried") > 0
        seqs = list(records)
        body = batch_blob.pack(list(records.values()), seqs)
        done = self._connection.execute(
            "UPDATE batches SET schema_id = ?, first_seq = ?, records = ?, checksum = ?, blob = ?"
            " WHERE id = ?",
            (
                self._schema(fingerprint),
                seqs[0],
                len(seqs),
                batch_blob.checksum(body),
                body,
                batch.id,
            ),
        )
        if done.rowcount:
            scope, buried = "table:" + batch.table, len(batch.records) - len(seqs)
            self.count({(scope, "spooled_bytes"): len(body) - batch.size_bytes})
            self.count({(scope, "spooled"): -buried, (scope, "buried"): buried})
        return done.rowcount > 0

    def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Store dead letters; a payload that several share stands once. The oldest make room."""
        counts = self._dead.insert(letters)
        if counts:
            self.count(counts)
            self.flush()
            self.count(self._dead.make_room())

    def bury_records(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters of records that were in the file, and count them by station.

        Not as those of messages: that something came from the station is told by those alone.
        """
        self.bury(letters)
        for letter in letters:
            self.count({("station:" + letter.station, "buried:" + letter.fault.kind): 1})

    def delete_letters(self, letters: Sequence[int], counted: str) -> int:
        """Delete dead letters and count them; returns how many of them were there."""
        counts = self._dead.delete(letters)
        deleted = -counts["", "dead"]
        counts["", counted] += deleted
        self.count(counts)
        return deleted

    def replace_fault(self, letter: int, fault: Fault) -> None:
        """Give a dead letter the fault that it has by now."""
        self._dead.replace_fault(letter, fault)

    def count(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Add to counters; they are written once, by `flush`."""
        for key, value in counts.items():
            self._counts[key] += value

    def flush(self) -> None:
        """Write the counts of this transaction."""
        self._connection.executemany(
            "INSERT INTO counters (scope, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT (scope, name) DO UPDATE SET value = value + excluded.value",
            [(scope, name, value) for (scope, name), value in self._counts.items() if value],
        )
        self._counts.clear()

    def next_seq(self) -> int | None:
        """Return the number that the last commit left to be given next; None in a new file."""
        row = self._connection.execute(
            "SELECT value FROM counters WHERE scope = '' AND name = 'next_seq'"
        ).fetchone()
        return row[0] if row else None

    def keep_next_seq(self, value: int) -> None:
        """Keep the number that is to be given next."""
        self._connection.execute(
            "INSERT INTO counters (scope, name, value) VALUES ('', 'next_seq', ?)"
            " ON CONFLICT (scope, name) DO UPDATE SET value = excluded.value",
            (value,),
        )

    def keep_clock_step(self, first_batch: int, last_batch: int, step_us: int) -> None:
        """Keep that the clock which stamped these batches was set; forgets those that are gone."""
        self._connection.execute(
            "DELETE FROM clock_steps WHERE last_batch < (SELECT min(id) FROM batches)"
        )
        self._connection.execute(
            "INSERT INTO clock_steps (first_batch, last_batch, step_us) VALUES (?, ?, ?)",
            (first_batch, last_batch, step_us),
        )

    def add_schema(self, fingerprint: bytes, stored: bytes) -> None:
        """Keep a schema."""
        self._connection.execute(
            "INSERT INTO schemas (fingerprint, stored) VALUES (?, ?)"
            " ON CONFLICT (fingerprint) DO NOTHING",
            (fingerprint, stored),
        )

    def page_bytes(self) -> tuple[int, int]:
        """Return the bytes of pages in use and of free pages."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return (pages - free) * self._page_size, free * self._page_size

    def _name(self, name: str) -> int:
        """Return the id of a table's or station's name."""
        known = self._names.get(name)
        if known is None:
            self._connection.execute(
                "INSERT INTO names (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (name,)
            )
            (known,) = self._connection.execute(
                "SELECT id FROM names WHERE name = ?", (name,)
            ).fetchone()
            self._names[name] = known
        return known

    def _name_of(self, identity: int) -> str:
        known = self._names_by_id.get(identity)
        if known is None:
            (known,) = self._connection.execute(
                "SELECT name FROM names WHERE id = ?", (identity,)
            ).fetchone()
            self._names_by_id[identity] = known
        return known

    def _schema(self, fingerprint: bytes) -> int:
        known = self._schemas.get(fingerprint)
        if known is None:
            (known,) = self._connection.execute(
                "SELECT id FROM schemas WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
            self._schemas[fingerprint] = known
        return known
