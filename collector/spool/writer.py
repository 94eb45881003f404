"""The only connection that writes a spool: one lock, one transaction at a time.

Not responsible for what is written. It promises that after an error nothing is appended behind
pages that may not be on the disk: a connection that failed is not trusted again, and the next use
opens the file anew, which empties the WAL first.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from collector.errors import SpoolDamagedError, SpoolError, SpoolFullError
from collector.latency import Latency
from collector.spool.ballast import Ballast
from collector.spool.damage.quarantine import find_damage, is_ours, quarantine
from collector.spool.database import BUSY_MS, open_writer, translated
from collector.spool.limits import Limits
from collector.spool.rows import Rows
from collector.spool.steps import Steps

_VACUUM_PAGES: Final = 64
_VACUUM_PAGES_MAX: Final = 512


class Writer:
    """The connection, its lock, and the ballast that is given up when the disk is full.

    `failure` says why the last commit failed, until one went well; `latency` how long they took.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.ballast = Ballast(path)
        self._limits = limits
        self._lock = threading.RLock()
        self._broken = False
        self._vacuum = Steps(_VACUUM_PAGES, _VACUUM_PAGES_MAX)
        self.damage = ""
        self.failure = ""
        self.latency = Latency()
        try:
            self._connect()
        except SpoolFullError:
            # A full disk must not keep the line from starting: what is there can drain.
            self.ballast.give_up()
            self._connect()

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One commit.

        A disk without room is answered by giving up the ballast. After any other failure the
        connection is not trusted again.
        """
        with self._lock, self._noting():
            self._mend()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._rows
                self._rows.flush()
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._roll_back(error)
                if isinstance(error, sqlite3.Error):
                    failure = self._translated(error)
                    if isinstance(failure, SpoolFullError):
                        self.ballast.give_up()
                    raise failure from error
                raise

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note how long a commit took, or why there was none."""
        began = time.monotonic()
        try:
            yield
        except SpoolError as error:
            self.failure = str(error)
            raise
        self.failure = ""
        self.latency.note(time.monotonic() - began)

    def page_bytes(self) -> tuple[int, int]:
        """Return the bytes of pages in use and of free pages."""
        with self._outside():
            return self._rows.page_bytes()

    def empty_wal(self) -> None:
        """Move the WAL into the database, which also lets the file shrink.

        What a reader still needs stays in it: nobody waits for that, with the lock in hand.
        """
        with self._outside() as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def give_pages_back(self, budget_s: float) -> int:
        """Take free pages off the end of the database; returns how many bytes are left.

        The file shrinks when the WAL is in the database.
        """
        deadline = time.monotonic() + budget_s
        free = had = self.page_bytes()[1]
        while free and time.monotonic() < deadline:
            with self._vacuum.one(), self._outside() as connection:
                # `execute` would step once, which gives one page back, by a sync of its own.
                connection.executescript(f"PRAGMA incremental_vacuum({self._vacuum.size})")
            free = self.page_bytes()[1]
        if had:
            self.empty_wal()
        return free

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _outside(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a statement outside a transaction."""
        with self._lock:
            self._mend()
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._broken = True
                raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> SpoolError:
        failure = translated(error, self.path)
        if isinstance(failure, SpoolDamagedError):
            self.damage = str(failure)
        return failure

    def _roll_back(self, error: BaseException) -> None:
        self._rows.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._broken = True
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", None)
            self._broken = self._broken or code != sqlite3.SQLITE_FULL

    def _mend(self) -> None:
        if not self._broken:
            return
        self._connection.close()
        try:
            self._connect()
        except SpoolFullError:
            self.ballast.give_up()
            raise
        self._broken = False

    def _connect(self) -> None:
        self._connection = open_writer(self.path)
        self._rows = Rows(self._connection, self._limits)


def open_or_quarantine(path: Path, limits: Limits) -> Writer:
    """Open a spool; one that is damaged goes to quarantine, and a fresh one takes its place.

    Raises:
        SpoolError: it is none of ours, or of a newer version, or can't be written.
    """
    reason = ""
    try:
        reason = find_damage(path)
    except SpoolFullError:
        Ballast(path).give_up()
        with suppress(SpoolFullError):  # Else what is damaged is found when it is read.
            reason = find_damage(path)
    if reason:
        quarantine(path, reason)
    try:
        return Writer(path, limits)
    except SpoolDamagedError as error:
        if not is_ours(path):
            raise
        quarantine(path, str(error))
        return Writer(path, limits)
