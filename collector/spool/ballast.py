"""A file that is given up on a full disk, so that deletes and the WAL can still be written."""

import contextlib
import os
from pathlib import Path
from typing import Final

BALLAST_BYTES: Final = 8 * 1024 * 1024


class Ballast:
    """8 MiB beside the spool."""

    def __init__(self, spool: Path) -> None:
        self._path = spool.with_name(spool.name + ".ballast")
        self.is_there = self._path.exists() and self._path.stat().st_size >= BALLAST_BYTES

    def keep(self) -> None:
        """Make the file when it is missing, if there is room."""
        if self.is_there:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
            finally:
                os.close(descriptor)
            self.is_there = True
        except OSError:
            # No room, no inode, a limit on files, a read-only disk: the line does without.
            self.give_up()

    def give_up(self) -> None:
        """Free the room; it is made again when the disk has room."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.is_there = False
