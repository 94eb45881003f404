"""The statements for dead letters inside a transaction; each returns its change of the counters.

A payload stands once, however many letters share it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

from collector.model import DeadLetter, Fault
from collector.spool.limits import Limits

Counts = Counter[tuple[str, str]]

_BURY: Final = (
    "INSERT INTO dead_letters (received_us, station, table_name, topic, kind, reason, field,"
    " position, seq, fingerprint, payload_id, flags, properties, more)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class DeadRows:
    """Statements on one connection; the caller holds the lock and the transaction."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits

    def insert(self, letters: Iterable[DeadLetter]) -> Counts:
        """Store letters."""
        payloads: dict[int, int] = {}
        counts: Counts = Counter()
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
                 payload_id, letter.flags, letter.properties, ",".join(map(str, fault.more))),
            )  # fmt: skip
            counts["", "dead"] += 1
        return counts

    def make_room(self) -> Counts:
        """Delete the oldest letters while there are more than the limits allow."""
        found = self._connection.execute("SELECT name, value FROM counters WHERE scope = ''")
        counters: Counter[str] = Counter(dict(found.fetchall()))
        count, size = counters["dead"], counters["dead_bytes"]
        limits = self._limits
        counts: Counts = Counter()
        while count > limits.dead_max_count or (size > limits.dead_max_bytes and count > 1):
            (oldest,) = self._connection.execute("SELECT min(id) FROM dead_letters").fetchone()
            change = self.delete([oldest])
            change["", "dead_dropped"] += 1
            count += change["", "dead"]
            size += change["", "dead_bytes"]
            counts.update(change)
        return counts

    def delete(self, letters: Iterable[int]) -> Counts:
        """Delete letters, and payloads that no other letter shares."""
        counts: Counts = Counter()
        for identity in letters:
            row = self._connection.execute(
                "DELETE FROM dead_letters WHERE id = ? RETURNING payload_id", (identity,)
            ).fetchall()
            if not row:
                continue
            counts["", "dead"] -= 1
            (payload_id,) = row[0]
            shared = self._connection.execute(
                "SELECT 1 FROM dead_letters WHERE payload_id = ? LIMIT 1", (payload_id,)
            ).fetchone()
            if shared is None:
                (freed,) = self._connection.execute(
                    "DELETE FROM payloads WHERE id = ? RETURNING length(body)", (payload_id,)
                ).fetchall()[0]
                counts["", "dead_bytes"] -= freed
        return counts

    def replace_fault(self, letter: int, fault: Fault) -> None:
        """Give a letter another fault."""
        more = ",".join(map(str, fault.more))
        self._connection.execute(
            "UPDATE dead_letters SET kind = ?, reason = ?, field = ?, position = ?, more = ?"
            " WHERE id = ?",
            (fault.kind, fault.reason, fault.field, fault.position, more, letter),
        )
