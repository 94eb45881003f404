"""What `/` and `/health` say of the stations: made of a look at the line, never a constant."""

import time
from datetime import UTC, datetime
from typing import Any

from collector import status
from collector.config import Station


def of_all(look: dict[str, Any]) -> dict[str, Any]:
    """Return the health of the whole line, with its streams."""
    name, reasons = status.health(look)
    states = [table.get("state", "idle") for table in look["tables"].values()]
    return {
        "health": name,
        "reasons": reasons,
        "streams": {"active": states.count("streaming"), "tables": len(states)},
    }


def of_station(station: Station, look: dict[str, Any]) -> dict[str, Any]:
    """Return the health of one station: its stream, its backlog, what came of what it brought."""
    table, counts = look["tables"][station.table], look["stations"][station.name]
    failing = status.failures(look, ready=True)
    offline = status.broker_away(look["broker"]) if station.topics else []
    degraded = _degraded(table, counts)
    state = table.get("state", "idle")
    oldest_us = table["oldest_us"]
    return {
        "station": station.name,
        "table": station.table,
        "health": _worst(failing=failing, offline=offline, degraded=degraded),
        "reasons": failing + degraded + offline,
        "stream": {
            "state": state,
            "active": state == "streaming",
            "opened": table.get("streams_opened", 0),
            "in_flight_bytes": table.get("in_flight_bytes", 0),
        },
        "backlog": {
            "records": table.get("spooled", 0),
            "bytes": table.get("spooled_bytes", 0),
            "oldest_age_s": round(time.time() - oldest_us / 1e6, 1) if oldest_us else None,
        },
        "last_ack": _moment(table.get("last_ack_us", 0)),
        "last_error": table.get("last_error") or None,
        "last_error_at": _moment(table.get("last_error_us", 0)),
        "messages": counts.get("messages", 0),
        "records": counts.get("records", 0),
        "dead_letters": status.dead_letters(counts),
    }


def _worst(*, failing: list[str], offline: list[str], degraded: list[str]) -> str:
    if failing:
        return "failing"
    return "offline" if offline else "degraded" if degraded else "ok"


def _degraded(table: dict[str, Any], counts: dict[str, Any]) -> list[str]:
    said = []
    if away := status.stream_away(table):
        said.append(f"the stream is {away}")
    elif table.get("stuck"):
        said.append(f"some batches are held: {table['stuck']}")
    if count := counts["internal_since_start"]:
        said.append(f"{count} dead letters of kind internal since the start")
    if counts.get("is_silent"):
        said.append(f"no message for {status.format_age(counts['silence_s'])}")
    return said


def _moment(time_us: int) -> str | None:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat() if time_us else None
