"""A consistent copy of a spool file, beside its writer."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from collector.errors import SpoolError
from collector.spool.database import (
    APPLICATION_ID,
    disk_error,
    open_reader,
    sync_folder,
    translated,
)

_STEP_PAGES: Final = 1_024


def back_up(path: Path, target: Path, copied: Callable[[int], object]) -> int:
    """Copy a spool file; returns its bytes. `copied` is told of bytes as they are copied.

    The copy is of one moment: it is read in one transaction, so that what the daemon commits
    meanwhile is kept in its WAL. It takes its name when it is whole and on the disk.

    Raises:
        SpoolError: the file can't be read, or the copy not written.
    """
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(open_reader(path)) as source, closing(sqlite3.connect(fresh)) as copy:
            # Without a transaction of its own a backup starts over whenever something is committed.
            source.execute("BEGIN")
            size = source.execute("PRAGMA page_size").fetchone()[0]
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            left: list[int] = []

            def progress(_status: int, remaining: int, total: int) -> None:
                done = total - remaining
                copied((done - (left[-1] if left else 0)) * size)
                left.append(done)

            source.backup(copy, pages=_STEP_PAGES, progress=progress, sleep=0)
            _check(copy, path)
        return _finish(fresh, target)
    except sqlite3.Error as error:
        raise translated(error, target) from error
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        with suppress(OSError):  # As where nothing could be made.
            fresh.unlink(missing_ok=True)


def _check(copy: sqlite3.Connection, path: Path) -> None:
    found = [text for (text,) in copy.execute("PRAGMA quick_check(5)") if text != "ok"]
    if found or copy.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise SpoolError(
            f"{path}: the copy is not whole: {'; '.join(found) or 'it is no spool'}",
            "`collector spool verify` says what is wrong with the spool itself.",
        )
    # A copy that is carried away is one file.
    copy.execute("PRAGMA journal_mode = DELETE")


def _finish(fresh: Path, target: Path) -> int:
    descriptor = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(target)
    sync_folder(target.parent)
    return target.stat().st_size
