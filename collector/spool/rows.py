"""The statements inside a transaction; each keeps the counters in step with the rows.

Scopes of counters: "" for the gateway, `station:NAME`, `table:NAME`. Per table `spooled` and
`spooled_bytes` say what is there, so that nobody has to count rows.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from collector.model import Batch, DeadLetter, NewBatch
from collector.spool import blob as batch_blob

DEAD_MAX_COUNT: Final = 100_000
DEAD_MAX_BYTES: Final = 64 * 1024 * 1024
RETAINED_MAX: Final = 10_000

_INSERT: Final = (
    "INSERT INTO batches (table_id, station_id, schema_id, first_seq, records, received_us,"
    " suspect, checksum, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BURY: Final = (
    "INSERT INTO dead_letters (received_us, station, table_name, topic, kind, reason, field,"
    " position, seq, fingerprint, payload_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Rows:
    """Statements on one connection; the caller holds the lock and the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
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

    def delete(self, acknowledged: Sequence[int]) -> None:
        """Delete acknowledged batches and count their records as delivered."""
        counts: Counter[tuple[str, str]] = Counter()
        for identity in acknowledged:
            deleted = self._connection.execute(
                "DELETE FROM batches WHERE id = ? RETURNING table_id, records, length(blob)",
                (identity,),
            ).fetchall()
            for table_id, records, size in deleted:
                scope = "table:" + self._name_of(table_id)
                counts[scope, "delivered"] += records
                counts[scope, "spooled"] -= records
                counts[scope, "spooled_bytes"] -= size
        self.count(counts)

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

    def replace(self, batch: Batch, fingerprint: bytes, records: list[bytes]) -> None:
        """Give a batch other bytes and another schema."""
        body = batch_blob.pack(records, batch.seqs)
        self._connection.execute(
            "UPDATE batches SET schema_id = ?, checksum = ?, blob = ? WHERE id = ?",
            (self._schema(fingerprint), batch_blob.checksum(body), body, batch.id),
        )
        self.count({("table:" + batch.table, "spooled_bytes"): len(body) - batch.size_bytes})

    def bury(self, letters: Iterable[DeadLetter]) -> None:
        """Store dead letters; a payload that several share stands once. The oldest make room."""
        payloads: dict[int, int] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for letter in letters:
            payload_id = payloads.get(id(letter.payload))
            if payload_id is None:
                payload_id = self._connection.execute(
                    "INSERT INTO payloads (body) VALUES (?)", (letter.payload,)
                ).lastrowid
                payloads[id(letter.payload)] = payload_id or 0
                counts["", "dead_bytes"] += len(letter.payload)
            fault = letter.fault
            self._connection.execute(
                _BURY,
                (letter.received_us, letter.station, letter.table, letter.topic, fault.kind,
                 fault.reason, fault.field, fault.position, letter.seq, letter.fingerprint,
                 payload_id),
            )  # fmt: skip
            counts["", "dead"] += 1
        if counts:
            self.count(counts)
            self._drop_oldest_dead()

    def _drop_oldest_dead(self) -> None:
        self.flush()
        counters = dict(
            self._connection.execute("SELECT name, value FROM counters WHERE scope = ''").fetchall()
        )
        count, size = counters["dead"], counters["dead_bytes"]
        while count > DEAD_MAX_COUNT or (size > DEAD_MAX_BYTES and count > 1):
            (payload_id,) = self._connection.execute(
                "DELETE FROM dead_letters WHERE id = (SELECT min(id) FROM dead_letters)"
                " RETURNING payload_id"
            ).fetchall()[0]
            change = {("", "dead"): -1, ("", "dead_dropped"): 1}
            count -= 1
            shared = self._connection.execute(
                "SELECT 1 FROM dead_letters WHERE payload_id = ? LIMIT 1", (payload_id,)
            ).fetchone()
            if shared is None:
                (freed,) = self._connection.execute(
                    "DELETE FROM payloads WHERE id = ? RETURNING length(body)", (payload_id,)
                ).fetchall()[0]
                change["", "dead_bytes"] = -freed
                size -= freed
            self.count(change)

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

    def grant(self, filters: Iterable[str]) -> None:
        """Keep granted filters; one that is known keeps its number."""
        (last,) = self._connection.execute(
            "SELECT coalesce(max(number), 0) FROM granted"
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO granted (filter, number) VALUES (?, ?) ON CONFLICT (filter) DO NOTHING",
            [(text, last + at) for at, text in enumerate(filters, 1)],
        )

    def forget_grant(self, filters: Iterable[str]) -> None:
        """Drop granted filters."""
        self._connection.executemany(
            "DELETE FROM granted WHERE filter = ?", [(text,) for text in filters]
        )

    def keep_retained(self, hashes: Mapping[bytes, bytes]) -> None:
        """Keep the hash of the last retained copy of topics, for the last RETAINED_MAX copies."""
        if not hashes:
            return
        self._connection.executemany(
            "INSERT OR REPLACE INTO retained (topic, hash) VALUES (?, ?)", list(hashes.items())
        )
        self._connection.execute(
            "DELETE FROM retained WHERE id <= (SELECT max(id) FROM retained) - ?", (RETAINED_MAX,)
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
