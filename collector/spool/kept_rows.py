"""The statements on what is kept beside the records: grants, retained copies, formats' memories."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

RETAINED_MAX: Final = 10_000
MEMORIES_MAX: Final = 100_000
_OLD_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a request with an idempotency key was answered.

    `key` is a hash of the key and its station, `body` one of what was sent; `at_us` is when.
    """

    key: bytes
    body: bytes
    at_us: int
    text: str


class KeptRows:
    """Statements on one connection; the caller holds the lock and the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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

    def keep_memories(self, memories: Mapping[tuple[str, str], bytes]) -> None:
        """Keep what formats remember, for the last MEMORIES_MAX names that were set."""
        if not memories:
            return
        self._connection.executemany(
            "INSERT OR REPLACE INTO memories (station, name, value) VALUES (?, ?, ?)",
            [(*names, value) for names, value in memories.items()],
        )
        self._connection.execute(
            "DELETE FROM memories WHERE id <= (SELECT max(id) FROM memories) - ?", (MEMORIES_MAX,)
        )

    def keep_answers(self, answers: Sequence[StoredAnswer], at_most: int) -> None:
        """Keep what requests were answered, for the last of them."""
        if not answers:
            return
        self._connection.executemany(
            "INSERT OR REPLACE INTO answers (key, body, at_us, text) VALUES (?, ?, ?, ?)",
            [(one.key, one.body, one.at_us, one.text) for one in answers],
        )
        self._connection.execute(
            "DELETE FROM answers WHERE id <= (SELECT max(id) FROM answers) - ?", (at_most,)
        )

    def forget_answers(self, before_us: int) -> None:
        """Drop the oldest answers, as far as they are from before that."""
        self._connection.execute(
            "DELETE FROM answers WHERE id IN (SELECT id FROM"
            " (SELECT id, at_us FROM answers ORDER BY id LIMIT ?) WHERE at_us < ?)",
            (_OLD_AT_ONCE, before_us),
        )
