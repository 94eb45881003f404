"""One reading of the status file, as values that the screen can trust.

Another version of the daemon may have written the file: what is missing in it is an error here, and
nowhere behind.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

from collector import status

_BEHIND_S: Final = 60.0
_EXACT_BELOW: Final = 1_000
_URGENT: Final = {"held": 0, "waiting": 1}


@dataclass(frozen=True, slots=True)
class StationRow:
    """A station and its table; rates are per second. `dead` counts since the spool was made."""

    name: str
    table: str
    message_rate: float
    record_rate: float
    out_rate: float
    backlog: int
    oldest_us: int
    dead: int
    state: str
    has_failed: bool = False

    def urgency(self, now: float) -> tuple[int, int]:
        """Return what sorts the worst first.

        Held, waiting, mappings that failed, older than a minute, the rest; then by the order of
        magnitude of the backlog, so that rows don't change places all the time.
        """
        behind = bool(self.oldest_us) and now - self.oldest_us / 1e6 > _BEHIND_S
        calm = 2 if self.has_failed else 3 if behind else 4
        size = len(str(self.backlog)) if self.backlog >= _EXACT_BELOW else 0
        return _URGENT.get(self.state, calm), -size


@dataclass(frozen=True, slots=True)
class Reading:
    """What the daemon said last; `is_fresh` when that was not long ago.

    `broker_rate` is messages of the broker per second, None without one.
    """

    health: str
    reasons: tuple[str, ...]
    is_fresh: bool
    version: str
    gateway: str
    started_us: int
    updated_us: int
    broker: str
    broker_rate: float | None
    http: str
    rows: tuple[StationRow, ...]
    backlogs: dict[str, int]
    dead: int
    dead_bytes: int
    used_bytes: int
    max_bytes: int
    disk_free_bytes: int | None
    forecast: str
    quarantined: int
    salvaged: int


def take(snapshot: dict[str, Any]) -> Reading:
    """Check a snapshot of the status file.

    Raises:
        ValueError: something is missing in it, or is not what it should be.
    """
    try:
        return _reading(snapshot)
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _reading(snapshot: dict[str, Any]) -> Reading:
    now = time.time()
    health, reasons = status.health(snapshot)
    spool, messages, tables = snapshot["spool"], snapshot["messages"], snapshot["tables"]
    updated_us = int(snapshot["updated_us"])
    rows = sorted(_rows(snapshot["stations"], tables), key=lambda row: row.urgency(now))
    free = spool.get("disk_free_bytes")
    return Reading(
        health=health,
        reasons=tuple(reasons),
        is_fresh=now - updated_us / 1e6 <= status.STALE_S,
        version=str(snapshot["version"]),
        gateway=str(snapshot["gateway"]),
        started_us=int(snapshot["started_us"]),
        updated_us=updated_us,
        broker=_broker(snapshot["broker"]),
        broker_rate=float(snapshot.get("broker_rate", snapshot["received_rate"]))
        if snapshot["broker"]["url"]
        else None,
        http=_http(snapshot.get("http")),
        rows=tuple(rows),
        backlogs={str(name): int(table.get("spooled", 0)) for name, table in tables.items()},
        dead=int(messages.get("dead", 0)),
        dead_bytes=int(messages.get("dead_bytes", 0)),
        used_bytes=int(spool["used_bytes"]),
        max_bytes=int(spool["max_bytes"]),
        disk_free_bytes=None if free is None else int(free),
        forecast=status.forecast(snapshot),
        quarantined=len(spool["quarantine"]),
        salvaged=sum(int(one["salvaged"]) for one in spool["quarantine"]),
    )


def _broker(broker: dict[str, Any]) -> str:
    if broker["connected"] is None:
        return "none: records come over HTTP"
    if broker["connected"]:
        return f"connected to {broker['url']} by MQTT {broker['protocol']}"
    return f"away: {broker['url']}: {broker['last_error'] or 'connecting'}"


def _http(http: dict[str, Any] | None) -> str:
    """Say what is asked over HTTP; nothing without a station over HTTP."""
    if http is None:
        return ""
    if http["problem"]:
        return str(http["problem"])
    rate = float(http.get("request_rate", 0))
    refused = f", {int(http['refused']):,} refused" if http["refused"] else ""
    return f"{http['listen']}, {rate:,.0f} requests/s{refused}"


def _rows(stations: dict[str, Any], tables: dict[str, Any]) -> list[StationRow]:
    """The stations, and the tables that have a backlog and no station any more."""
    rows = [
        _row(str(name), counts, str(counts["table"]), tables.get(counts["table"], {}))
        for name, counts in stations.items()
    ]
    fed = {row.table for row in rows}
    rows += [
        _row(str(name), {}, str(name), table)
        for name, table in tables.items()
        if name not in fed and table.get("spooled", 0)
    ]
    return rows


def _row(name: str, counts: dict[str, Any], table: str, said: dict[str, Any]) -> StationRow:
    rate = float(counts.get("rate", 0))
    return StationRow(
        name=name,
        table=table,
        message_rate=float(counts.get("message_rate", rate)),
        record_rate=rate,
        out_rate=float(said.get("rate", 0)),
        backlog=int(said.get("spooled", 0)),
        oldest_us=int(said.get("oldest_us") or 0),
        dead=int(status.dead_letters(counts)),
        state=str(said.get("state", "idle")),
        has_failed=bool(counts.get("internal_since_start", 0)),
    )
