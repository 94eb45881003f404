"""What the line is doing, as plain values: the content of the status file."""

import os
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collector.clock import Clock
from collector.config import Station
from collector.daemon.growth import Growth
from collector.daemon.line import Line
from collector.daemon.reload import Reloads
from collector.errors import SpoolError
from collector.spool.damage.told import losses, salvages
from collector.spool.database import WAL_MAX_BYTES

Counters = Mapping[tuple[str, str], int]


class Snapshots:
    """Takes a snapshot once a second; rates are against the one before."""

    def __init__(self, line: Line, reloads: Reloads) -> None:
        self._line = line
        self._reloads = reloads
        self._started_us = time.time_ns() // 1000
        self._before: tuple[float, Counters] = (time.monotonic(), line.spool.reader.counters())
        self._at_start = self._before[1]
        self._growth = Growth()
        self._clock = Clock()

    def changes(self) -> object:
        """Return a value that differs when a snapshot would: commits, states of the parts."""
        line = self._line
        broker = line.subscriber.state
        return (
            line.spool.commits,
            self._reloads.outcome,
            line.intake.paused,
            line.standing_still(),
            (broker.connected, broker.last_error),
            [(state.state, state.reason) for state in line.drains.states().values()],
        )

    def take(self) -> dict[str, Any]:
        """Return the state of every part, as JSON can say it; times are µs since the epoch."""
        line, now = self._line, time.monotonic()
        try:
            counters = line.spool.reader.counters()
        except SpoolError:
            counters = dict(self._before[1])
        elapsed = max(now - self._before[0], 1e-3)
        before, self._before = self._before[1], (now, counters)

        def rate(scope: str, *names: str) -> float:
            keys = [(scope, name) for name in names]
            change = sum(counters.get(key, 0) - before.get(key, 0) for key in keys)
            return round(change / elapsed, 1)

        return {
            "pid": os.getpid(),
            "version": version("zerobus-collector"),
            "gateway": line.config.gateway,
            "started_us": self._started_us,
            "updated_us": time.time_ns() // 1000,
            "configuration": self._configuration(),
            "paused": line.intake.paused,
            "standing_still": line.standing_still(),
            "clock_ok": self._clock.is_synchronised(),
            "broker": self._broker(),
            "messages": _scope(counters, ""),
            "received_rate": rate("", "received"),
            "stations": {
                station.name: self._station(station, counters, rate)
                for station in line.config.stations
            },
            "tables": self._tables(counters, rate),
            "spool": self._spool(now),
        }

    def _configuration(self) -> dict[str, Any]:
        outcome = self._reloads.outcome
        return {
            "path": str(self._line.config.path),
            "loaded_us": outcome.loaded_us,
            "reloads": outcome.reloads,
            "failed_us": outcome.failed_us,
            "error": outcome.error,
        }

    def _station(self, station: Station, counters: Counters, rate: Any) -> dict[str, Any]:
        scope = f"station:{station.name}"
        counted = _scope(counters, scope)
        dead = [name for name in counted if name.startswith("dead:")]
        return {
            "table": station.table,
            "rate": rate(scope, "records"),
            "message_rate": rate(scope, "messages", *dead),
            "internal_since_start": self._since_start(scope, "dead:internal"),
            **counted,
        }

    def _since_start(self, scope: str, name: str) -> int:
        key = (scope, name)
        return self._before[1].get(key, 0) - self._at_start.get(key, 0)

    def _broker(self) -> dict[str, Any]:
        state = self._line.subscriber.state
        subscriptions = self._line.subscriber.subscriptions
        return {
            "url": self._line.config.mqtt.url,
            "connected": state.connected,
            "protocol": state.protocol,
            "session_present": state.session_present,
            "connects": state.connects,
            "disconnects": state.disconnects,
            "sessions_lost": state.sessions_lost,
            "last_error": state.last_error,
            "refused_filters": subscriptions.refused | subscriptions.limited,
        }

    def _tables(self, counters: Counters, rate: Any) -> dict[str, Any]:
        states = self._line.drains.states()
        known = {scope[6:] for scope, _ in counters if scope.startswith("table:")}
        known |= set(states) | set(self._line.plan.schemas)
        return {table: self._table(table, counters, rate, states.get(table)) for table in known}

    def _table(self, table: str, counters: Counters, rate: Any, state: Any) -> dict[str, Any]:
        scope = f"table:{table}"
        described: dict[str, Any] = {
            **_scope(counters, scope),
            "rate": rate(scope, "delivered"),
            "oldest_us": None,
            "made_since_start": self._since_start(scope, "made"),
            "delivered_since_start": self._since_start(scope, "delivered"),
        }
        if counters.get((scope, "spooled"), 0):
            described["oldest_us"] = self._line.spool.reader.oldest_us(table)
        if state is not None:
            described |= {
                "state": state.state,
                "reason": state.reason,
                "hint": state.hint,
                "stuck": state.stuck,
                "last_ack_us": state.last_ack_us,
                "streams_opened": state.streams_opened,
                "ends": dict(state.ends),
                "in_flight_bytes": state.in_flight_bytes,
                "window_bytes": state.window_bytes,
                "suspects": state.suspects,
            }
        return described

    def _spool(self, now: float) -> dict[str, Any]:
        spool, limits = self._line.spool, self._line.config.spool
        (used, free), wal = spool.used_bytes(), spool.wal_bytes()
        return {
            "path": str(spool.path),
            "used_bytes": used,
            "free_bytes": free,
            "max_bytes": limits.max_bytes,
            "min_free_bytes": limits.min_free_bytes,
            "disk_free_bytes": _disk_free_bytes(spool.path.parent),
            "wal_bytes": wal,
            # Without the WAL, whose size goes up and down with its checkpoints.
            "growth_per_s": self._growth.per_s(now, used - min(wal, WAL_MAX_BYTES)),
            "commits": spool.commits,
            "quarantine": salvages(spool.reader),
            "losses": losses(spool.reader),
            "damaged": {str(batch): reason for batch, reason in spool.damaged.items()},
        }


def _scope(counters: Counters, wanted: str) -> dict[str, int]:
    return {name: value for (scope, name), value in counters.items() if scope == wanted}


def _disk_free_bytes(folder: Path) -> int | None:
    """A disk that can't be asked must not end the daemon: it is the commits that notice."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
