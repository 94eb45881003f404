"""The statements inside a transaction that tell of damage: what it has cost, what is salvaged."""

import sqlite3
import time
from typing import NamedTuple


class Loss(NamedTuple):
    """What damage has cost: records of a table, with the numbers that they are among.

    `source` is a folder or a file in quarantine. `table` is empty, and the others are None, where
    that is not known.
    """

    source: str
    table: str
    first_seq: int | None
    last_seq: int | None
    records: int | None
    reason: str


class DamageRows:
    """Statements on one connection; the caller holds the lock and the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def keep_salvage(self, folder: str, state: str, position: int, note: str) -> None:
        """Keep how far the salvage of a folder is."""
        self._connection.execute(
            "UPDATE salvages SET state = ?, position = ?, note = ? WHERE folder = ?",
            (state, position, note, folder),
        )

    def register_salvage(self, folder: str, reason: str) -> None:
        """Note a folder in quarantine that is to be salvaged."""
        self._connection.execute(
            "INSERT INTO salvages (folder, at_us, reason, state) VALUES (?, ?, ?, 'rows')"
            " ON CONFLICT (folder) DO NOTHING",
            (folder, time.time_ns() // 1000, reason),
        )

    def keep_loss(self, loss: Loss) -> None:
        """Keep what damage has cost."""
        self._connection.execute(
            "INSERT INTO losses (at_us, source, table_name, first_seq, last_seq, records, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (time.time_ns() // 1000, *loss),
        )
