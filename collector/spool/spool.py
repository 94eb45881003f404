"""The writer of the spool: what one commit stores, deletes and counts."""

import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collector.errors import SpoolFullError
from collector.model import Batch, DeadLetter, Fault, NewBatch
from collector.spool.ballast import Ballast
from collector.spool.database import disk_error, open_writer, translated
from collector.spool.reader import Damaged, SpoolReader
from collector.spool.rows import Rows
from collector.spool.seq import SeqNumbers

_VACUUM_STEP_S: Final = 0.1
_VACUUM_PAGES: Final = 64


@dataclass(slots=True)
class Group:
    """What one commit stores. `counts` are added to the counters: (scope, name) → number."""

    batches: list[NewBatch] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    retained: dict[bytes, bytes] = field(default_factory=dict)


class Spool:
    """The only writer of a spool file. Every method may be called from any thread."""

    def __init__(self, path: Path, max_bytes: int, min_free_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._lock = threading.RLock()
        self._broken = False
        self._ballast = Ballast(path)
        try:
            self._seqs = self._open()
        except SpoolFullError:
            # A full disk must not keep the line from starting: what is there can drain.
            self._ballast.give_up()
            self._seqs = self._open()
        self.reader = SpoolReader(path)
        self._ballast.keep()
        # Acknowledged, not deleted yet: batch id → None, in order of acknowledgment.
        self._acknowledged: dict[int, None] = {}
        self._damaged: dict[int, str] = {}
        self.stored: Callable[[Iterable[str]], None] = lambda _tables: None
        self.commits = 0

    def reserve(self, count: int = 1) -> int:
        """Reserve numbers for records and return the first."""
        try:
            return self._seqs.take(count)
        except OSError as error:
            raise disk_error(error, self.path) from error

    def add_schema(self, fingerprint: bytes, stored: bytes) -> None:
        """Keep a schema, so that batches which name it can be decoded by this file alone."""
        with self._transaction() as rows:
            rows.add_schema(fingerprint, stored)

    def append(self, group: Group) -> None:
        """Store a group in one commit, together with the deletes that wait.

        Raises:
            SpoolFullError: a limit is reached; nothing was stored.
            SpoolError: the file can't be written; the next commit reopens it first.
        """
        if group.batches or group.dead_letters:
            self.check_room()
        with self._transaction() as rows:
            for batch in group.batches:
                rows.insert(batch)
            rows.bury(group.dead_letters)
            rows.keep_retained(group.retained)
            rows.count(group.counts)
            rows.keep_next_seq(self._seqs.next)
        self.stored({batch.table for batch in group.batches})

    def check_room(self, reserve_bytes: int = 0) -> None:
        """Raise SpoolFullError when the spool, or the disk, is within `reserve_bytes` of full."""
        used, free_pages = self.used_bytes()
        if used + reserve_bytes > self._max_bytes:
            # A WAL keeps its size when all of it is in the database: that must not mean full.
            self._empty_wal()
            used, free_pages = self.used_bytes()
        if used + reserve_bytes > self._max_bytes:
            raise SpoolFullError(
                f"{self.path}: {used} bytes used of spool.max_bytes {self._max_bytes}"
            )
        disk_free = shutil.disk_usage(self.path.parent).free + free_pages
        if disk_free - reserve_bytes < self._min_free_bytes:
            raise SpoolFullError(
                f"{self.path.parent}: {disk_free} bytes free, spool.min_free_bytes is"
                f" {self._min_free_bytes}"
            )

    def used_bytes(self) -> tuple[int, int]:
        """Return the bytes in use, WAL included, and the bytes of free pages in the file."""
        with self._lock:
            if self._broken:
                self._reopen()
            with self._distrust():
                used, free = self._rows.page_bytes()
        wal = self.path.with_name(self.path.name + "-wal")
        return used + (wal.stat().st_size if wal.exists() else 0), free

    def grant(self, filters: Iterable[str]) -> dict[str, int]:
        """Keep the filters that the broker granted; returns all, by number of the first grant."""
        with self._transaction() as rows:
            rows.grant(filters)
        return self.reader.granted()

    def forget_grant(self, filters: Iterable[str]) -> None:
        """Drop filters that were unsubscribed."""
        with self._transaction() as rows:
            rows.forget_grant(filters)

    def read(self, table: str, after: int, limit: int = 16) -> Sequence[Batch]:
        """Return the next batches of a table behind the id `after`.

        Fewer than `limit` means that there are no more; up to twice as many may come. Batches that
        are acknowledged and not yet deleted are left out, damaged ones too: those stay in the file
        and are named by `damaged`.
        """
        found: list[Batch] = []
        # Copied before the read: what a commit deletes meanwhile is still known as acknowledged.
        acknowledged = set(self._acknowledged)
        while len(found) < limit:
            rows = 0
            for batch in self.reader.batches(table, after, limit):
                rows, after = rows + 1, batch.id
                if isinstance(batch, Damaged):
                    self._damaged[batch.id] = f"{table}: {batch.reason}"
                elif batch.id not in acknowledged:
                    found.append(batch)
            if rows < limit:
                break
        return found

    def acknowledge(self, batches: Iterable[int]) -> None:
        """Note that Zerobus has these batches; the next commit, or tick, deletes them."""
        self._acknowledged.update(dict.fromkeys(batches))

    def cut(self, batch: int, count: int) -> None:
        """Take the first `count` records, which Zerobus has acknowledged, out of a batch."""
        with self._transaction() as rows:
            rows.cut(batch, count, "delivered")

    def set_aside(self, batch: int) -> int:
        """Make the first record of a batch a suspect: a batch of its own; returns its id."""
        with self._transaction() as rows:
            return rows.set_aside(batch)

    def bury(self, batch: Batch, fault: Fault) -> None:
        """Make a dead letter of a batch of one."""
        letter = DeadLetter(
            fault=fault,
            topic="",
            payload=batch.records[0],
            received_us=batch.received_us,
            station=batch.station,
            table=batch.table,
            seq=batch.seqs[0],
            fingerprint=batch.fingerprint,
        )
        with self._transaction() as rows:
            rows.cut(batch.id, 1, "buried")
            rows.bury([letter])

    def encode_anew(self, batch: Batch, fingerprint: bytes, records: list[bytes]) -> None:
        """Give a batch other bytes and another schema, under the same id and numbers."""
        with self._transaction() as rows:
            rows.replace(batch, fingerprint, records)

    def tick(self) -> None:
        """Delete what is acknowledged when no other commit did, and give pages back if needed."""
        self._delete()
        disk_free = shutil.disk_usage(self.path.parent).free
        if disk_free < 2 * self._min_free_bytes:
            self._give_pages_back()
        else:
            self._ballast.keep()

    @property
    def damaged(self) -> dict[int, str]:
        """Batches that were found damaged since the start: id → table and reason."""
        return dict(self._damaged)

    def close(self) -> None:
        """Commit the deletes that wait and close the file."""
        with self._lock:
            try:
                self._delete()
            finally:
                self.reader.close()
                self._connection.close()

    def _delete(self) -> None:
        if self._acknowledged:
            with self._transaction():
                pass

    @contextmanager
    def _transaction(self) -> Iterator[Rows]:
        """One commit, which also deletes what was acknowledged before it began.

        A disk without room is answered by giving up the ballast once. After any other failure
        the connection is not trusted again: the next transaction opens the file anew.
        """
        with self._lock:
            if self._broken:
                self._reopen()
            acknowledged = list(self._acknowledged)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._rows
                self._rows.delete(acknowledged)
                self._rows.flush()
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._roll_back(error)
                if isinstance(error, sqlite3.Error):
                    failure = translated(error, self.path)
                    if isinstance(failure, SpoolFullError):
                        self._ballast.give_up()
                    raise failure from error
                raise
            self.commits += 1
            for batch in acknowledged:
                self._acknowledged.pop(batch, None)

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

    def _open(self) -> SeqNumbers:
        """Open the file, and the numbers that go with it."""
        self._connection = open_writer(self.path)
        try:
            self._rows = Rows(self._connection)
            return SeqNumbers(self.path, self._rows.next_seq())
        except OSError as error:
            self._connection.close()
            raise disk_error(error, self.path) from error

    def _reopen(self) -> None:
        self._connection.close()
        try:
            self._connection = open_writer(self.path)
        except SpoolFullError:
            self._ballast.give_up()
            raise
        self._rows = Rows(self._connection)
        self._broken = False

    @contextmanager
    def _distrust(self) -> Iterator[None]:
        """Translate an error of a statement outside a transaction; the file is opened anew."""
        try:
            yield
        except sqlite3.Error as error:
            self._broken = True
            raise translated(error, self.path) from error

    def _empty_wal(self) -> None:
        with self._lock, self._distrust():
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _give_pages_back(self) -> None:
        """Take free pages off the file, which shrinks when the WAL is in the database."""
        deadline = time.monotonic() + _VACUUM_STEP_S
        with self._lock:
            if not self.used_bytes()[1]:
                return
            while time.monotonic() < deadline and self.used_bytes()[1]:
                with self._distrust():
                    # `execute` would step once, which gives one page back, by a sync of its own.
                    self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            self._empty_wal()
