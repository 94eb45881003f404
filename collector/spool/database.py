"""The SQLite file: its tables, its settings, and how it is opened.

Not responsible for what is written when: that is `spool.py`.
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from collector.errors import SpoolDamagedError, SpoolError, SpoolFullError
from collector.spool.ballast import Ballast
from collector.spool.tables import MIGRATIONS, TABLES, VERSION

APPLICATION_ID: Final = 0x5A425553
WAL_MAX_BYTES: Final = 16 * 1024 * 1024
"""A larger WAL is held by a reader: it is cut to this by the first checkpoint that can be whole."""
BUSY_MS: Final = 5_000
# What SQLite says of damage: SQLITE_CORRUPT, as it is and extended (_VTAB, _SEQUENCE, _INDEX), no
# database at all, and IOERR_READ and _CORRUPTFS, by which a worn card tells of a page that is gone.
_DAMAGE: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, 267, 523, 779, sqlite3.SQLITE_NOTADB, 266, 8458}
)


def open_writer(path: Path) -> sqlite3.Connection:
    """Open the only connection that writes; makes the file when it is missing.

    The WAL is emptied into the database first: after a failed sync the WAL may hold frames that
    are not on the disk, and nothing may be appended behind such frames.

    Raises:
        SpoolError: the file can't be opened, is no spool, or is of a newer version.
        SpoolFullError: the disk is full.
    """
    is_new = make_private(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        _settle(connection, path)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise translated(error, path) from error
    except SpoolError:
        if connection is not None:
            connection.close()
        raise
    if is_new:
        sync_folder(path.parent)
    return connection


def make_private(path: Path) -> bool:
    """Make an empty file, and its folder, that nobody else can read; False when it is there.

    SQLite gives the WAL the mode of its database.

    Raises:
        SpoolError: there is no such place, or it can't be written.
        SpoolFullError: the disk is full.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError as error:
        if path.parent.is_dir():
            return False
        raise SpoolError(f"{path.parent}: a file is in the place of the folder") from error
    except OSError as error:
        raise disk_error(error, path) from error
    return True


def disk_error(error: OSError, path: Path) -> SpoolError:
    """Return our error for one of the operating system's."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpoolFullError(f"{path}: the disk is full")
    return SpoolError(f"{path}: {error.strerror or error}")


def _settle(connection: sqlite3.Connection, path: Path) -> None:
    execute = connection.execute
    execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    # First of all: another program's file is left as it is.
    check_version(connection, path)
    # Takes effect in a file without tables only, and has to come before the WAL.
    execute("PRAGMA auto_vacuum = INCREMENTAL")
    execute("PRAGMA journal_mode = WAL")
    # A PUBACK says "on the disk": NORMAL lost 3,376 of 104,480 commits in twelve power cuts.
    execute("PRAGMA synchronous = FULL")
    execute(f"PRAGMA journal_size_limit = {WAL_MAX_BYTES}")
    # Debian's SQLite fills what is deleted with zeros: a delete wrote three times as much.
    execute("PRAGMA secure_delete = FAST")
    execute("PRAGMA trusted_schema = OFF")
    execute("PRAGMA temp_store = MEMORY")
    version = execute("PRAGMA user_version").fetchone()[0]
    if version < VERSION:
        steps = [TABLES] if version == 0 else [MIGRATIONS[at] for at in range(version, VERSION)]
        connection.executescript(
            f"BEGIN IMMEDIATE; {''.join(steps)} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )
    busy, _, _ = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy and not _wal_is_on_disk(connection):
        raise SpoolError(f"{path}: another program is reading the spool and blocks its start")


def _wal_is_on_disk(connection: sqlite3.Connection) -> bool:
    """Say whether every frame of the WAL is in the database, though a reader kept the file."""
    _, frames, moved = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    return bool(frames == moved)


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a read-only connection: for drains, and for commands while the daemon runs.

    Raises:
        SpoolError: there is no such file, or it is no spool.
    """
    if not path.is_file():
        raise SpoolError(
            f"{path}: there is no spool", "It is made by `collector run` when it first starts."
        )
    try:
        return _checked(path)
    except SpoolFullError:
        # The disk has not the few pages that a reader of a WAL needs, and no daemon has made them.
        Ballast(path).give_up()
        return _checked(path)


def _checked(path: Path) -> sqlite3.Connection:
    try:
        connection = open_plain(path)
        check_version(connection, path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def open_plain(path: Path) -> sqlite3.Connection:
    """Open any SQLite file read-only, without a look into it.

    Raises:
        sqlite3.Error: it can't be opened; so is an empty one, whose WAL SQLite would delete.
    """
    if is_hollow(path):
        raise sqlite3.DatabaseError("the file is empty")
    # Of a copy on a medium that can't be written: without a WAL there is nothing to share.
    is_still = not os.access(path.parent, os.W_OK) and not wal_bytes(path)
    uri = f"file:{quote(str(path))}?mode=ro" + ("&immutable=1" if is_still else "")
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)


def wal_of(path: Path) -> Path:
    """Return the WAL that a database file has, or would have."""
    return path.with_name(path.name + "-wal")


def wal_bytes(path: Path) -> int:
    """Return the size of a file's WAL; 0 where there is none."""
    try:
        return wal_of(path).stat().st_size
    except FileNotFoundError:
        return 0


def is_hollow(path: Path) -> bool:
    """Say whether there is no database in a file, or no file."""
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse another program's file, and a spool that a newer collector wrote."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == 0 and version == 0 and tables == 0:
        return
    if application != APPLICATION_ID:
        raise SpoolError(
            f"{path}: this SQLite file is not a spool", "Give spool.path another file."
        )
    if version > VERSION:
        raise SpoolError(
            f"{path}: the spool has version {version}, this collector knows up to {VERSION}",
            "Install the newer collector again, and drain the spool with it.",
        )


def translated(error: sqlite3.Error, path: Path) -> SpoolError:
    """Return our error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return SpoolFullError(f"{path}: the disk is full")
    if code == sqlite3.SQLITE_NOTADB:
        return SpoolDamagedError(
            f"{path}: this file is not a spool",
            "Give spool.path another file, or move this one away.",
        )
    if is_damage(error):
        return SpoolDamagedError(f"{path}: the file is damaged: {error}")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return SpoolError(f"{path}: {error} ({name})")


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is damaged, and not its disk full or busy."""
    return getattr(error, "sqlite_errorcode", None) in _DAMAGE


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
