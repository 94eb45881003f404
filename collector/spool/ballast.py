"""A file that is given up on a full disk, so that deletes and the WAL can still be written."""

import errno
import os
from pathlib import Path
from typing import Final

BALLAST_BYTES: Final = 8 * 1024 * 1024


class Ballast:
    """8 MiB beside the spool."""

    def __init__(self, spool: Path) -> None:
        self._path = spool.with_name(spool.name + ".ballast")
        self.is_there = self._path.exists() and self._path.stat().st_size >= BALLAST_BYTES
        if not self.is_there:
            self.make()

    def make(self) -> None:
        """Make the file, if there is room."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
            self.is_there = True
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def give_up(self) -> None:
        """Free the room; it is made again when the disk has room."""
        self._path.unlink(missing_ok=True)
        self.is_there = False
