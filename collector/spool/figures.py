"""What is in a spool file, and whether both balances hold (decision 19).

Reads a live spool, a stopped one or a copy, in one read-only transaction, so that all figures are
of one moment. Not used by the line itself: the daemon keeps its figures in the counters.
"""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from collector.spool.database import open_reader, translated

CAME_BY: Final = ("made", "replayed", "salvaged")
LEFT_BY: Final = ("delivered", "spooled", "buried", "expired", "dropped", "purged", "lost")
_FOUND: Final = ("batches", "records", "bytes")

_BATCHES: Final = """
SELECT n.name AS name, count(*) AS batches, sum(b.records) AS records,
       sum(length(b.blob)) AS bytes, min(b.received_us) AS oldest_us
FROM batches b JOIN names n ON n.id = b.table_id GROUP BY b.table_id
"""


def read_figures(path: Path) -> dict[str, Any]:
    """Return the figures of a spool file, as JSON can say them.

    Raises:
        SpoolError: there is no such file, it is no spool, or it can't be read.
    """
    connection = open_reader(path)
    try:
        database = Database(connection, recursive_triggers=False, execute_plugins=False)
        database.execute("BEGIN")
        batches = list(database.query(_BATCHES))
        counters = list(database.query("SELECT scope, name, value FROM counters"))
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
    wal = path.with_name(path.name + "-wal")
    tables = _tables(batches, counters)
    messages = Counter({one["name"]: one["value"] for one in counters if not one["scope"]})
    return {
        "file": str(path),
        "used_bytes": (pages - free) * size,
        "free_bytes": free * size,
        "wal_bytes": wal.stat().st_size if wal.exists() else 0,
        "messages": dict(sorted(messages.items())),
        "tables": tables,
        "totals": {
            key: sum(table[key] for table in tables.values())
            for key in (*_FOUND, *CAME_BY, *LEFT_BY)
        },
        "balances": {
            "messages": _message_balance(messages),
            "records": {name: _record_balance(table) for name, table in tables.items()},
        },
    }


def holds(figures: dict[str, Any]) -> bool:
    """Say whether both balances hold, that of the records for each table."""
    balances = figures["balances"]
    return balances["messages"]["holds"] and all(
        balance["holds"] for balance in balances["records"].values()
    )


def _tables(
    batches: list[dict[str, Any]], counters: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What is there of each table, and what its counters say."""
    found = {row.pop("name"): row for row in batches}
    counted: dict[str, dict[str, Any]] = {name: {} for name in found}
    for one in counters:
        kind, _, name = one["scope"].partition(":")
        if kind == "table":
            counted.setdefault(name, {})[one["name"]] = one["value"]
    empty = dict.fromkeys((*_FOUND, *CAME_BY, *LEFT_BY), 0)
    return {
        name: {**empty, "oldest_us": None, **counted[name], **found.get(name, {})}
        for name in sorted(counted)
    }


def _message_balance(messages: Counter[str]) -> dict[str, Any]:
    parts = {name: messages[name] for name in ("received", "recorded", "dead_lettered")}
    ignored = sum(value for name, value in messages.items() if name.startswith("ignored:"))
    known = messages["recorded"] + messages["dead_lettered"] + ignored
    return {**parts, "ignored": ignored, "holds": messages["received"] == known}


def _record_balance(table: dict[str, Any]) -> dict[str, Any]:
    """The records that are there must also be those that are counted."""
    came, left = (sum(table[key] for key in keys) for keys in (CAME_BY, LEFT_BY))
    parts = {key: table[key] for key in (*CAME_BY, *LEFT_BY)}
    return {
        **parts,
        "found": table["records"],
        "holds": came == left and table["spooled"] == table["records"],
    }
