"""From a snapshot of the line to the sections of the page, as JSON can say them.

Rows stand in the order in which they need somebody: trouble first. Times are µs since the epoch, so
that the browser counts the ages and a section changes only when something has happened.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector import status

ROWS_MAX: Final = 500
REASONS_MAX: Final = 20
_BEHIND_US: Final = 60_000_000
_EXACT_BELOW: Final = 1_000
_TABLE_TROUBLE: Final = {"held": 0, "waiting": 1, "stuck": 2, "behind": 3}
_STATION_TROUBLE: Final = {"failing": 0, "silent": 1}
_CALM: Final = 9

Values = Mapping[str, Any]


def line(snapshot: Values) -> dict[str, Any]:
    """Return the line as a whole: health, and a figure or two of each part."""
    health, found = status.health(dict(snapshot))
    reasons = _folded(found, snapshot["tables"])
    return {
        "gateway": snapshot["gateway"],
        "version": snapshot["version"],
        "started_us": snapshot["started_us"],
        "updated_us": snapshot["updated_us"],
        "hangs": status.age_s(snapshot) > status.STALE_S,
        "health": health,
        "reasons": reasons[:REASONS_MAX],
        "more_reasons": max(0, len(reasons) - REASONS_MAX),
        "broker": _broker(snapshot),
        "http": snapshot.get("http"),
        "stations": _all_stations(snapshot),
        "spool": _spool(snapshot),
        "streams": _streams(snapshot["tables"].values()),
        "tables": _all_tables(snapshot["tables"].values()),
    }


def stations(snapshot: Values) -> dict[str, Any]:
    """Return a row for each station, those in trouble first, then as they are configured."""
    rows = [_station(name, one) for name, one in snapshot["stations"].items()]
    rows.sort(key=lambda row: _STATION_TROUBLE.get(row["state"], _CALM))
    return {"rows": rows[:ROWS_MAX], "all": len(rows)}


def tables(snapshot: Values) -> dict[str, Any]:
    """Return a row for each table, those in trouble first, then by what waits.

    By its order of magnitude, so that rows do not change places all the time.
    """
    now_us = snapshot["updated_us"]
    rows = [_table(name, one, now_us) for name, one in snapshot["tables"].items()]
    rows.sort(key=_urgency)
    return {"rows": rows[:ROWS_MAX], "all": len(rows)}


def _folded(reasons: Iterable[str], tables_: Values) -> list[str]:
    """Say once what is said of many tables, as when the service is away.

    >>> _folded(["a is waiting: x", "b is waiting: x", "the clock"], {"a": {}, "b": {}})
    ['a is waiting: x (and 1 more)', 'the clock']
    """
    told: dict[str, tuple[str, int]] = {}
    for reason in reasons:
        name, _, rest = reason.partition(" ")
        key = rest if name in tables_ else reason
        first, count = told.get(key, (reason, 0))
        told[key] = first, count + 1
    return [
        one if count == 1 else f"{one} (and {count - 1:,} more)" for one, count in told.values()
    ]


def _broker(snapshot: Values) -> dict[str, Any] | None:
    """Return nothing when records come over HTTP alone."""
    broker = snapshot["broker"]
    if not broker["url"]:
        return None
    shown = ("url", "connected", "protocol", "last_error", "connects")
    return {**{key: broker[key] for key in shown}, "rate": snapshot["broker_rate"]}


def _all_stations(snapshot: Values) -> dict[str, Any]:
    rows = [_station(name, one) for name, one in snapshot["stations"].items()]
    states = Counter(row["state"] for row in rows)
    return {
        "count": len(rows),
        "states": states,
        "record_rate": round(sum(row["record_rate"] for row in rows), 1),
        "message_rate": round(sum(row["message_rate"] for row in rows), 1),
    }


def _spool(snapshot: Values) -> dict[str, Any]:
    spool, tables_ = snapshot["spool"], snapshot["tables"].values()
    shown = ("used_bytes", "max_bytes", "disk_free_bytes", "min_free_bytes", "growth_per_s")
    return {
        **{key: spool.get(key) for key in shown},
        "paused": snapshot["paused"],
        "forecast": status.forecast(dict(snapshot)),
        "backlog": sum(one.get("spooled", 0) for one in tables_),
        "oldest_us": min((one["oldest_us"] for one in tables_ if one["oldest_us"]), default=None),
        "dead": snapshot["messages"].get("dead", 0),
        "dead_bytes": snapshot["messages"].get("dead_bytes", 0),
    }


def _streams(tables_: Iterable[Values]) -> dict[str, Any]:
    """Return what the drains do, each of a table that has had work."""
    at_work = [one for one in tables_ if "state" in one]
    return {
        "states": Counter(one["state"] for one in at_work),
        "in_flight_bytes": sum(one["in_flight_bytes"] for one in at_work),
        "opened": sum(one["streams_opened"] for one in at_work),
    }


def _all_tables(tables_: Iterable[Values]) -> dict[str, Any]:
    listed = list(tables_)
    return {
        "count": len(listed),
        "rate": round(sum(one.get("rate", 0) for one in listed), 1),
        "delivered": sum(one.get("delivered", 0) for one in listed),
        "last_ack_us": max((one.get("last_ack_us", 0) for one in listed), default=0),
    }


def _station(name: str, one: Values) -> dict[str, Any]:
    rate = one.get("message_rate", 0.0)
    state = "receiving" if rate else "quiet"
    if one.get("internal_since_start"):
        state = "failing"
    elif one.get("is_silent"):
        state = "silent"
    return {
        "name": name,
        "table": one["table"],
        "state": state,
        "message_rate": rate,
        "record_rate": one.get("rate", 0.0),
        "dead": status.dead_letters(one),
        "last_us": one.get("last_message_us"),
    }


def _table(name: str, one: Values, now_us: int) -> dict[str, Any]:
    state = one.get("state", "idle")
    oldest_us = one["oldest_us"]
    is_behind = oldest_us is not None and now_us - oldest_us > _BEHIND_US
    if state not in _TABLE_TROUBLE:
        state = "stuck" if one.get("stuck") else "behind" if is_behind else state
    return {
        "name": name,
        "state": state,
        "reason": one.get("reason") or one.get("stuck", ""),
        "hint": one.get("hint", ""),
        "rate": one.get("rate", 0.0),
        "backlog": one.get("spooled", 0),
        "oldest_us": oldest_us,
        "in_flight_bytes": one.get("in_flight_bytes", 0),
        "last_ack_us": one.get("last_ack_us", 0),
    }


def _urgency(row: Values) -> tuple[int, int, str]:
    size = len(str(row["backlog"])) if row["backlog"] >= _EXACT_BELOW else 0
    return _TABLE_TROUBLE.get(row["state"], _CALM), -size, row["name"]
