"""The SQLite file: its tables, its settings, and how it is opened.

Not responsible for what is written when: that is `spool.py`.
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from collector.errors import SpoolError, SpoolFullError

VERSION: Final = 1
APPLICATION_ID: Final = 0x5A425553

_TABLES: Final = """
-- AUTOINCREMENT: an id is never given twice, so that a late acknowledgment can't meet a stranger.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_id INTEGER NOT NULL,
    station_id INTEGER NOT NULL,
    schema_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    records INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    suspect INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE INDEX batches_by_table ON batches (table_id, id);
CREATE INDEX suspects ON batches (table_id) WHERE suspect = 1;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE schemas (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE,
    stored BLOB NOT NULL
);
-- A payload stands once, however many stations or records of it failed.
CREATE TABLE payloads (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_us INTEGER NOT NULL,
    station TEXT NOT NULL,
    table_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT NOT NULL,
    position INTEGER,
    seq INTEGER,
    fingerprint BLOB NOT NULL,
    payload_id INTEGER NOT NULL
);
CREATE TABLE counters (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;
-- What the broker granted, so that a later configuration knows what to unsubscribe (decision 7).
CREATE TABLE granted (filter TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
-- The last retained copy of a topic, for brokers that send it again (decision 7).
CREATE TABLE retained (id INTEGER PRIMARY KEY, topic BLOB NOT NULL UNIQUE, hash BLOB NOT NULL);
"""


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
    execute("PRAGMA busy_timeout = 5000")
    # First of all: another program's file is left as it is.
    check_version(connection, path)
    # Takes effect in a file without tables only, and has to come before the WAL.
    execute("PRAGMA auto_vacuum = INCREMENTAL")
    execute("PRAGMA journal_mode = WAL")
    # A PUBACK says "on the disk": NORMAL lost 3,376 of 104,480 commits in twelve power cuts.
    execute("PRAGMA synchronous = FULL")
    execute("PRAGMA journal_size_limit = 16777216")
    execute("PRAGMA trusted_schema = OFF")
    execute("PRAGMA temp_store = MEMORY")
    if execute("PRAGMA user_version").fetchone()[0] == 0:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
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
    uri = f"file:{quote(str(path))}?mode=ro"
    try:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5
        )
        check_version(connection, path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


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
        return SpoolError(
            f"{path}: this file is not a spool",
            "Give spool.path another file, or move this one away.",
        )
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return SpoolError(f"{path}: {error} ({name})")


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
