"""The numbers of records: given once, never again, also by a later spool file (decision 3).

The mark is a small file beside the spool that is always ahead of the highest number given: it is
moved, and synced, once per block of 2^20 numbers. Every start begins at the mark: an old copy of
the spool that was put back, even one of a minute ago, can't give numbers again.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from collector.spool.damage.quarantine import waiting
from collector.spool.damage.wreck import highest_seq
from collector.spool.database import disk_error, sync_folder
from collector.spool.writer import Writer

BLOCK: Final = 1 << 20
RELEASED_US: Final = 1_790_000_000_000_000
"""A clock before this moment (September 2026) is wrong: it would give numbers again."""


class SeqNumbers:
    """Gives the numbers. `stored_next` is what the spool file knows, or None for a new file."""

    def __init__(
        self, spool: Path, stored_next: int | None, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._path = spool.with_name(spool.name + ".seq")
        self._lock = threading.Lock()
        known = [at for at in (self._read_mark(), stored_next) if at is not None]
        self.next = max(known) if known else _without_a_mark(clock_ns() // 1000)
        self._mark = self.next
        self._move_mark()

    def take(self, count: int = 1) -> int:
        """Reserve `count` numbers in a row and return the first."""
        with self._lock:
            first = self.next
            self.next = first + count
            if self.next > self._mark:
                self._move_mark()
            return first

    def _read_mark(self) -> int | None:
        """Return the mark; None where there is none. What can't be read is not to be guessed."""
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _move_mark(self) -> None:
        mark = self.next + BLOCK
        fresh = self._path.with_suffix(self._path.suffix + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{mark}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        self._mark = mark


def numbers_of(path: Path, writer: Writer) -> SeqNumbers:
    """Return the numbers of a spool that was opened; closes it when they can't be had.

    Raises:
        SpoolError: the mark can't be moved.
    """
    try:
        with writer.transaction() as rows:
            known = rows.next_seq()
        if known is None:
            known = highest_seq(waiting(path))
        try:
            return SeqNumbers(path, known)
        except OSError:
            writer.ballast.give_up()
            return SeqNumbers(path, known)
    except OSError as error:
        writer.close()
        raise disk_error(error, path) from error


def _without_a_mark(now_us: int) -> int:
    """Decide where numbers begin when nothing says which were given.

    Now in microseconds; or, when the clock is older than this program, a random start where no
    clock ever gets.
    """
    return now_us if now_us >= RELEASED_US else (1 << 60) + secrets.randbits(58)
