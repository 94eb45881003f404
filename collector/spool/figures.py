"""How much is in a spool file, and whether both balances hold (decision 19).

Reads a live spool, a stopped one or a copy, in one read-only transaction, so that all figures are
of one moment. By the counters and the index alone: it answers in the same time for ten records and
for ten million. `verify.py` compares the counters with what is really there.
"""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Final

from collector.spool.database import open_reader, translated, wal_bytes

CAME_BY: Final = ("made", "replayed", "salvaged")
LEFT_BY: Final = ("delivered", "spooled", "buried", "expired", "dropped", "purged", "lost")

_ENDS: Final = """
SELECT n.name,
  (SELECT received_us FROM batches WHERE table_id = n.id ORDER BY id LIMIT 1) AS oldest_us,
  (SELECT received_us FROM batches WHERE table_id = n.id ORDER BY id DESC LIMIT 1) AS newest_us
FROM names n
"""


def read_figures(path: Path) -> dict[str, Any]:
    """Return the figures of a spool file, as JSON can say them.

    Raises:
        SpoolError: there is no such file, it is no spool, or it can't be read.
    """
    from sqlite_utils import Database  # noqa: PLC0415 - It starts slowly; verify does without it.

    connection = open_reader(path)
    try:
        database = Database(connection, recursive_triggers=False, execute_plugins=False)
        database.execute("BEGIN")
        ends = {row.pop("name"): row for row in database.query(_ENDS)}
        counters = list(database.query("SELECT scope, name, value FROM counters"))
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
    tables = _tables(counters, ends)
    messages = Counter({one["name"]: one["value"] for one in counters if not one["scope"]})
    return {
        "file": str(path),
        "used_bytes": (pages - free) * size,
        "free_bytes": free * size,
        "wal_bytes": wal_bytes(path),
        "messages": dict(sorted(messages.items())),
        "tables": tables,
        "totals": {
            key: sum(table[key] for table in tables.values())
            for key in ("records", "bytes", *CAME_BY, *LEFT_BY)
        },
        "balances": {
            "messages": message_balance(messages),
            "records": {name: record_balance(table) for name, table in tables.items()},
        },
    }


def holds(figures: dict[str, Any]) -> bool:
    """Say whether both balances hold, that of the records for each table."""
    balances = figures["balances"]
    return balances["messages"]["holds"] and all(
        balance["holds"] for balance in balances["records"].values()
    )


def message_balance(messages: Counter[str]) -> dict[str, Any]:
    """Return the sides of the balance of messages, and whether it holds."""
    parts = {name: messages[name] for name in ("received", "recorded", "dead_lettered")}
    ignored = sum(value for name, value in messages.items() if name.startswith("ignored:"))
    known = messages["recorded"] + messages["dead_lettered"] + ignored
    return {**parts, "ignored": ignored, "holds": messages["received"] == known}


def record_balance(table: dict[str, Any]) -> dict[str, Any]:
    """Return the sides of the balance of a table's records, and whether it holds."""
    came, left = (sum(table.get(key, 0) for key in keys) for keys in (CAME_BY, LEFT_BY))
    parts = {key: table.get(key, 0) for key in (*CAME_BY, *LEFT_BY)}
    return {**parts, "holds": came == left}


def _tables(
    counters: list[dict[str, Any]], ends: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What the counters say of each table, and when its oldest and newest records arrived."""
    counted: dict[str, dict[str, Any]] = {}
    for one in counters:
        kind, _, name = one["scope"].partition(":")
        if kind == "table":
            counted.setdefault(name, {})[one["name"]] = one["value"]
    empty = {**dict.fromkeys((*CAME_BY, *LEFT_BY), 0), "oldest_us": None, "newest_us": None}
    return {
        name: {
            **empty,
            **counted[name],
            **ends.get(name, {}),
            "records": counted[name].get("spooled", 0),
            "bytes": counted[name].get("spooled_bytes", 0),
        }
        for name in sorted(counted)
    }
