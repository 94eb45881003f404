"""The numbers of records: given once, never again, also by a later spool file (decision 3).

The mark is a small file beside the spool that is always ahead of the highest number given: it is
moved, and synced, once per block of 2^20 numbers. A new spool file starts at the mark.
"""

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Final

from collector.spool.database import sync_folder

BLOCK: Final = 1 << 20
_RELEASED_US: Final = 1_790_000_000_000_000
"""A clock before this moment (September 2026) is wrong: it would give numbers again."""


class SeqNumbers:
    """Gives the numbers. `stored_next` is what the spool file knows, or None for a new file."""

    def __init__(self, spool: Path, stored_next: int | None) -> None:
        self._path = spool.with_name(spool.name + ".seq")
        self._lock = threading.Lock()
        self.next = _first(self._read_mark(), stored_next)
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
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
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


def _first(mark: int | None, stored_next: int | None) -> int:
    """Decide where the numbers go on.

    - The spool knows its next number, and the mark doesn't say that the file is an old copy.
    - The mark is ahead of the file by more than a block: an old copy came back, or a new file.
    - No mark and a new file: now in microseconds, or a random start where no clock ever gets,
      when the clock is older than this program.
    """
    if stored_next is not None and (mark is None or mark - BLOCK <= stored_next):
        return stored_next
    if mark is not None:
        return mark
    now_us = time.time_ns() // 1000
    return now_us if now_us >= _RELEASED_US else (1 << 60) + secrets.randbits(58)
