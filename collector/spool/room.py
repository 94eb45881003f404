"""How much room a spool has: against its limit, and on its disk.

Judges and gives back; what is dropped when there is none is in `drops.py`.
"""

import shutil
from pathlib import Path
from typing import Final

from collector.errors import SpoolFullError
from collector.spool.ballast import BALLAST_BYTES
from collector.spool.damage.quarantine import quarantined_bytes
from collector.spool.database import WAL_MAX_BYTES, wal_bytes
from collector.spool.limits import Limits
from collector.spool.writer import Writer

_VACUUM_S: Final = 0.1
_SALVAGED_BYTES: Final = 8 * 1024 * 1024


class Room:
    """The room of one spool; usable from any thread."""

    def __init__(self, path: Path, limits: Limits, writer: Writer) -> None:
        self._path = path
        self._limits = limits
        self._writer = writer

    def check(self, reserve_bytes: int = 0) -> None:
        """Raise SpoolFullError when the spool, or the disk, is within `reserve_bytes` of full."""
        limit, reserve = self._limits.max_bytes, self._limits.min_free_bytes
        used, free_pages = self.used_bytes()
        if used + reserve_bytes > limit:
            # A WAL keeps its size when all of it is in the database: that must not mean full.
            self._writer.empty_wal()
            used, free_pages = self.used_bytes()
        if used + reserve_bytes > limit:
            raise SpoolFullError(f"{self._path}: {used} bytes used of spool.max_bytes {limit}")
        disk_free = shutil.disk_usage(self._path.parent).free + free_pages
        if disk_free - reserve_bytes < reserve:
            kept = quarantined_bytes(self._path)
            also = f"; quarantine/ there holds {kept} bytes" if kept else ""
            text = f"{disk_free} bytes free, spool.min_free_bytes is {reserve}{also}"
            raise SpoolFullError(f"{self._path.parent}: {text}")

    def check_to_salvage(self) -> None:
        """Raise SpoolFullError when a step of a salvage has to wait.

        The damaged file itself may be what fills the disk. So a little of it may be in the spool
        below the reserve as well: it is sent, deleted, and makes room for more of it. What remains
        is room for the ballast and a WAL.
        """
        try:
            self.check()
        except SpoolFullError:
            used, free_pages = self.used_bytes()
            disk_free = shutil.disk_usage(self._path.parent).free + free_pages
            if used > _SALVAGED_BYTES or disk_free < BALLAST_BYTES:
                raise

    def used_bytes(self) -> tuple[int, int]:
        """Return the bytes in use, WAL included, and the bytes of free pages in the file.

        Of the WAL as much counts as it has by itself: what a reader makes it keep, such as a backup
        that was suspended, must not stop the intake while the disk has room.
        """
        used, free = self._writer.page_bytes()
        return used + min(self.wal_bytes(), WAL_MAX_BYTES), free

    def wal_bytes(self) -> int:
        """Return the size of the WAL."""
        return wal_bytes(self._path)

    def give_pages_back(self) -> int:
        """Take free pages off the file, for at most 100 ms; returns how many bytes are left."""
        return self._writer.give_pages_back(_VACUUM_S)
