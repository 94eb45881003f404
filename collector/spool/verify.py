"""Whether a spool file is whole: the pages, every batch, and the counters against what is there.

Reads only; the records of a live file are read page by page in short transactions. The check of the
pages and the comparison of the counters are of one moment each, and hold the WAL as long as they
take: half a minute for ten million records. What is delivered while it looks is no mistake.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from collector.errors import SpoolError
from collector.spool.contents import BrokenBatch, Contents, StoredRecord
from collector.spool.database import open_reader, translated
from collector.spool.figures import message_balance, record_balance
from collector.spool.selection import Selection

_COUNTED = (
    "SELECT n.name, sum(b.records), sum(length(b.blob)) FROM batches b"
    " JOIN names n ON n.id = b.table_id GROUP BY b.table_id"
)
_DEAD = (
    "SELECT (SELECT count(*) FROM dead_letters), (SELECT coalesce(sum(length(body)), 0)"
    " FROM payloads), (SELECT count(*) FROM payloads WHERE id NOT IN"
    " (SELECT payload_id FROM dead_letters)), (SELECT count(*) FROM dead_letters WHERE payload_id"
    " NOT IN (SELECT id FROM payloads))"
)
_LOOSE = (
    "SELECT count(*) FROM batches WHERE schema_id NOT IN (SELECT id FROM schemas)"
    " OR table_id NOT IN (SELECT id FROM names) OR station_id NOT IN (SELECT id FROM names)"
)
_PAGES_SHOWN = 20
_STEPS_AT_ONCE = 10_000


def pages(path: Path) -> list[str]:
    """Return what SQLite finds wrong with the pages of the file."""
    with closing(open_reader(path)) as connection:
        try:
            rows = connection.execute(f"PRAGMA integrity_check({_PAGES_SHOWN})").fetchall()
        except sqlite3.Error as error:
            return [str(translated(error, path))]
    texts = [line for (text,) in rows for line in text.splitlines()]
    return [text for text in texts if text != "ok" and not text.startswith("***")]


def glance(path: Path, seconds: float) -> tuple[str, bool]:
    """Look for damage no longer than so; returns the first that is found, and whether all was seen.

    Raises:
        SpoolError: the file can't be opened, is no spool, or is of a newer version.
    """
    deadline = time.monotonic() + seconds
    with closing(open_reader(path)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_AT_ONCE)
        try:
            ((text,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                return "", False
            return str(translated(error, path)), True
    return "" if text == "ok" else f"{path}: the file is damaged: {text.splitlines()[-1]}", True


def counters(path: Path) -> list[str]:
    """Return where the counters differ from what is there, or from each other."""
    with closing(open_reader(path)) as connection:
        try:
            connection.execute("BEGIN")
            found = {name: (count, size) for name, count, size in connection.execute(_COUNTED)}
            ((loose,),) = connection.execute(_LOOSE).fetchall()
            dead = connection.execute(_DEAD).fetchone()
            known = connection.execute("SELECT scope, name, value FROM counters").fetchall()
        except sqlite3.Error as error:
            return [str(translated(error, path))]
    messages = Counter({name: value for scope, name, value in known if not scope})
    tables: dict[str, dict[str, Any]] = {name: {} for name in found}
    for scope, name, value in known:
        if scope.startswith("table:"):
            tables.setdefault(scope[6:], {})[name] = value
    wrong = [] if message_balance(messages)["holds"] else ["the balance of messages does not hold"]
    if loose:
        wrong.append(f"{loose} batches name a table, a station or a schema that is not there")
    for name, table in sorted(tables.items()):
        if not record_balance(table)["holds"]:
            wrong.append(f"{name}: the balance of records does not hold")
        records, size = found.get(name, (0, 0))
        if (records, size) != (table.get("spooled", 0), table.get("spooled_bytes", 0)):
            wrong.append(
                f"{name}: {records} records of {size} bytes are there, the counters say"
                f" {table.get('spooled', 0)} of {table.get('spooled_bytes', 0)}"
            )
    letters, size, orphans, bare = dead
    if (letters, size) != (messages["dead"], messages["dead_bytes"]):
        wrong.append(
            f"{letters} dead letters of {size} bytes are there, the counters say"
            f" {messages['dead']} of {messages['dead_bytes']}"
        )
    if orphans or bare:
        wrong.append(f"{orphans} payloads without a dead letter, {bare} dead letters without one")
    return wrong


def records(path: Path, decode: Callable[[bytes, bytes], object]) -> Iterator[tuple[int, str]]:
    """Yield for each record 1 and what is wrong with it, or nothing; a broken batch is one.

    `decode` takes the stored schema and the record, and raises ValueError.
    """
    contents = Contents(path)
    stored: dict[bytes, bytes] = {}
    with closing(contents):
        for one in _as_far_as_possible(contents):
            if isinstance(one, SpoolError):
                yield 0, f"what stands behind can't be read: {one}"
                continue
            if isinstance(one, BrokenBatch):
                yield one.records, f"batch {one.batch} of {one.table}: {one.reason}"
                continue
            try:
                if one.fingerprint not in stored:
                    stored[one.fingerprint] = contents.stored_schema(one.fingerprint)
                decode(stored[one.fingerprint], one.body)
            except (ValueError, DecodeError, SpoolError) as error:
                yield 1, f"record {one.seq} in batch {one.batch} of {one.table}: {error}"
            else:
                yield 1, ""


def _as_far_as_possible(contents: Contents) -> Iterator[StoredRecord | BrokenBatch | SpoolError]:
    try:
        yield from contents.records(Selection())
    except SpoolError as error:
        yield error
