"""One daemon to a spool: a file lock that the kernel gives back on any death."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from collector.errors import LockedError
from collector.spool.database import disk_error, make_private


class SpoolLock:
    """Holds the lock beside the spool for life; the file names the process that holds it."""

    def __init__(self, spool: Path) -> None:
        self.path = spool.with_name(spool.name + ".lock")
        self._descriptor = -1

    def take(self) -> bool:
        """Try once; True when the lock is ours."""
        make_private(self.path)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise disk_error(error, self.path) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):  # On a full disk nobody can be told who holds it.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        give_to_owner(self.path)
        return True

    def holder(self) -> str:
        """Say who holds the lock, for a person."""
        try:
            pid = self.path.read_text().strip()
        except OSError:
            pid = ""
        return f"process {pid}" if pid else "another process"

    def wait(self, seconds: float, give_up: Callable[[], bool] = lambda: False) -> Self:
        """Wait for the lock; raises LockedError when it isn't given back in time.

        `give_up` is asked now and then, and ends the wait early in the same way.
        """
        deadline = time.monotonic() + seconds
        while not self.take():
            if time.monotonic() >= deadline or give_up():
                raise LockedError(
                    f"{self.path}: {self.holder()} owns the spool",
                    "One collector to a spool: stop the other one, or give this one a spool.path"
                    " of its own.",
                )
            time.sleep(0.2)
        return self

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            give_to_owner(self.path)
            os.close(self._descriptor)
            self._descriptor = -1


def give_to_owner(lock: Path) -> None:
    """Give what root has made beside a spool to the owner of the folder: the daemon needs it.

    A folder of root stays root's. A file that can't be given is left: who opens it says so.
    """
    if os.geteuid() != 0:
        return
    owner = lock.parent.stat()
    if owner.st_uid == 0:
        return
    spool = lock.name.removesuffix(".lock")
    for path in (*lock.parent.glob(f"{spool}*"), *lock.parent.glob("quarantine/**/*")):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == 0:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
