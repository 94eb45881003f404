"""Whether a spool file can be trusted; one that can't is moved, not deleted.

A damaged file never keeps the daemon down. Database, WAL and all that lies beside it go together
into `quarantine/TIME/`, and a fresh spool starts; `salvage.py` brings over what is intact. A file
that is sound and not ours is left alone: it may be another program's.
"""

import contextlib
import logging
import os
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from collector.errors import SpoolDamagedError, SpoolFullError
from collector.spool.ballast import Ballast
from collector.spool.damage.frames import Frames
from collector.spool.damage.pages import Pages, page_size
from collector.spool.damage.shapes import as_batch
from collector.spool.database import (
    APPLICATION_ID,
    disk_error,
    is_hollow,
    open_plain,
    sync_folder,
    translated,
    wal_bytes,
    wal_of,
)
from collector.spool.tables import VERSION

_log = logging.getLogger(__name__)

CHECK_BUDGET_S: Final = 2.0
"""How long a start looks for damage in the pages; what it does not reach, checksums find later."""
FOLDER: Final = "quarantine"
SPOOL: Final = "spool.db"
DONE: Final = "salvaged.json"
_STEPS: Final = 1_000
_PAGES_TO_TELL: Final = 2_000
MOVED: Final = ("", "-wal", "-shm", "-journal", ".names")
_FOLDER_NAME: Final = re.compile(r"[0-9TZ.]+")
_REQUIRED: Final = (
    "batches", "names", "schemas", "payloads", "dead_letters", "counters", "granted", "retained",
)  # fmt: skip


def find_damage(path: Path, budget_s: float = CHECK_BUDGET_S) -> str:
    """Return why a spool file can't be trusted, or nothing; reads only.

    What is no spool of ours and sound, or of a newer version, is not damaged: opening refuses it.

    Raises:
        SpoolFullError: the disk has not even the room that a reader needs.
    """
    if marker := _read_marker(path):
        return marker["reason"] or "it was found damaged while in use"
    try:
        return _find(path, budget_s)
    except OSError:
        return ""  # Opening says why it can't be read.


def _find(path: Path, budget_s: float) -> str:
    if is_hollow(path):
        # SQLite would delete the WAL of an empty database, with all that is in it.
        if wal_bytes(path):
            return "the database is empty or gone, and its WAL is there"
        return "the file is empty, and a spool was here" if path.exists() and is_ours(path) else ""
    if not path.is_file():
        return ""
    was_ours = is_ours(path)
    try:
        with closing(open_plain(path)) as connection:
            if found := _look(connection, budget_s, was_ours=was_ours):
                return found
    except sqlite3.Error as error:
        # A stranger's file, as far as anyone can know, is for opening to refuse.
        failure = translated(error, path)
        if isinstance(failure, SpoolFullError):
            raise failure from error
        return f"{error}" if was_ours and isinstance(failure, SpoolDamagedError) else ""
    except UnicodeDecodeError:
        # SQLite quotes in its error what stands where the schema should be.
        return "its schema is damaged" if was_ours else ""
    if was_ours and Frames(wal_of(path), page_size(path)).is_broken(time.monotonic() + budget_s):
        return "its WAL is damaged before commits that were finished"
    return ""


def is_ours(path: Path) -> bool:
    """Say whether a spool was at this place: what is kept beside it tells, or a batch in it."""
    if path.with_name(path.name + ".seq").exists():
        return True
    with closing(Pages(path)) as pages:
        found = (row for _, rows in islice(pages.rows(), _PAGES_TO_TELL) for row in rows)
        return any(as_batch(row) for row in found)


def leave_marker(path: Path, reason: str) -> None:
    """Note beside a spool that it is damaged, so that the next start does not try it again."""
    with contextlib.suppress(OSError):
        _write_marker(path, reason, "")


def quarantine(path: Path, reason: str) -> Path:
    """Move a spool file with all that belongs to it; returns the folder.

    A marker says first what is moved where: interrupted, the next start goes on with it, and never
    opens a part of what was there.

    Raises:
        SpoolError: it can't be moved.
    """
    try:
        folder = _move(path, reason)
    except SpoolFullError:
        Ballast(path).give_up()
        folder = _move(path, reason)
    _log.error("%s is damaged: %s; it is kept in %s, what is intact is saved", path, reason, folder)
    return folder


def _move(path: Path, reason: str) -> Path:
    marker = _read_marker(path) or {}
    stamp = marker.get("folder") or datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    folder = path.parent / FOLDER / stamp
    try:
        _write_marker(path, reason, stamp)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "reason.txt").write_text(reason + "\n")
        for suffix in MOVED:
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(folder / (SPOOL + suffix))
        (folder / SPOOL).touch(mode=0o600)
        for place in (folder, folder.parent, path.parent):
            sync_folder(place)
        _marker(path).unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


def waiting(path: Path) -> list[Path]:
    """Return the folders in quarantine that nobody has salvaged yet, the oldest first."""
    folders = sorted((path.parent / FOLDER).glob("*/"))
    return [one for one in folders if not (one / DONE).exists() and (one / SPOOL).exists()]


def quarantined_bytes(path: Path) -> int:
    """Return how much room quarantine takes: of a full disk it may be what goes first."""
    size = 0
    with contextlib.suppress(OSError):  # Someone may be taking it away.
        for one in (path.parent / FOLDER).rglob("*"):
            size += one.stat().st_size if one.is_file() else 0
    return size


def reason_of(folder: Path) -> str:
    """Return why a folder is in quarantine, as far as that was written down."""
    reason = folder / "reason.txt"
    return reason.read_text(errors="replace").strip() if reason.exists() else ""


def keep_bytes(path: Path, batch: int, body: bytes) -> Path:
    """Keep the bytes of one damaged batch; returns the file, which is on the disk then."""
    folder = path.parent / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / f"{time.time_ns() // 1000}-batch-{batch}.bin"
        with file.open("xb") as target:
            target.write(body)
            target.flush()
            os.fchmod(target.fileno(), 0o600)
            os.fsync(target.fileno())
        sync_folder(folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    return file


def _look(connection: sqlite3.Connection, budget_s: float, *, was_ours: bool) -> str:
    execute = connection.execute
    application = execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION_ID:
        ours = was_ours and tables >= set(_REQUIRED)
        return "its header is damaged" if ours or (was_ours and not tables) else ""
    if not 0 < execute("PRAGMA user_version").fetchone()[0] <= VERSION:
        return ""
    for table in _REQUIRED:
        if table not in tables:
            return f"the table {table} is missing"
        execute(f"SELECT * FROM {table} LIMIT 1").fetchall()  # noqa: S608 - ours.
    deadline = time.monotonic() + budget_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        (found,) = execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return ""
        raise
    return "" if found == "ok" else "; ".join(str(found).splitlines()[-1:])


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _read_marker(path: Path) -> dict[str, str] | None:
    """What the marker says: the reason, and the folder of a move that was begun."""
    try:
        text = _marker(path).read_text(errors="replace")
    except OSError:
        return None
    reason, _, folder = text.rstrip("\n").partition("\n")
    return {"reason": reason, "folder": folder if _FOLDER_NAME.fullmatch(folder) else ""}


def _write_marker(path: Path, reason: str, folder: str) -> None:
    line = " ".join(reason.split())
    fresh = _marker(path).with_suffix(".damaged.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{line}\n{folder}\n")
        file.flush()
        os.fsync(descriptor)
    fresh.replace(_marker(path))
    sync_folder(path.parent)
