"""What every part of the line is doing at this moment, as plain values.

Asked by the main thread for the status file, and by the threads of the server for figures and
probes. It waits for no lock that is held during a commit, so that a disk that stalls does not keep
anybody from hearing of it.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from collector.clock import Clock
from collector.config import Station
from collector.daemon.line import Line
from collector.daemon.reload import Reloads
from collector.daemon.silence import Counters, Silence
from collector.daemon.web import Web
from collector.drain.state import DrainState
from collector.errors import SpoolError
from collector.http import Server
from collector.spool.damage.told import losses, salvages
from collector.spool.database import WAL_MAX_BYTES

_log = logging.getLogger(__name__)

Scopes = dict[str, dict[str, int]]

TICK: Final = "tick"
"""The loop of the main thread, by its name among the others."""


class LineState:
    """Looks at a line; usable from every thread, but for `ticked`.

    `counted` are the counters of the spool at the last tick, those after `counted_commits`.
    """

    def __init__(self, line: Line, reloads: Reloads, server: Server, web: Web) -> None:
        self.line = line
        self._reloads = reloads
        self._server = server
        self._web = web
        self._started_us = time.time_ns() // 1000
        self.counted: Counters = line.spool.reader.counters()
        self._at_start = self._counters = self.counted
        self.counted_commits = line.spool.commits
        self._silence = Silence(line.spool, self._counters, time.monotonic())
        self._clock = Clock()
        self._lock = threading.Lock()
        self._ticked_at = time.monotonic()

    # -- the main thread -----------------------------------------------------------------------

    def ticked(self) -> None:
        """Note a second of the main thread, what was counted, and who was silent in it."""
        self._ticked_at = time.monotonic()
        line = self.line
        # Asked before: a commit that comes between is seen as news at the next tick.
        self.counted_commits = line.spool.commits
        self.counted = self.counters()
        is_storing, is_connected = not self.paused(), line.subscriber.state.connected
        self._silence.look(
            line.config.stations,
            self.counted,
            self._ticked_at,
            # What comes over HTTP needs no broker.
            listens=lambda station: is_storing and (is_connected or not station.topics),
        )

    def stopping(self) -> None:
        """Keep what is to outlive this run."""
        try:
            self._silence.keep(time.monotonic())
        except SpoolError as error:
            _log.warning("what is usual of the stations can't be kept: %s", error)

    # -- any thread ----------------------------------------------------------------------------

    def beat_ages(self) -> dict[str, float]:
        """Return for how many seconds each loop was not heard of."""
        now = time.monotonic()
        ages = {**self.line.beat_ages(now), **self._web.beat_ages(now)}
        return {TICK: now - self._ticked_at, **ages}

    def standing_still(self) -> list[str]:
        """Return the loops that were not heard of for too long; waits for no disk."""
        line, silent_s = self.line, time.monotonic() - self._ticked_at
        tick = [TICK] if silent_s > line.beat_within_s else []
        return tick + line.standing_still() + self._web.standing_still()

    def paused(self) -> str:
        """Say why nothing can be stored: also when no message has come yet that would tell."""
        line, limits = self.line, self.line.spool.limits
        if said := line.intake.paused or line.spool.failure or self._web.paused():
            return said
        used, free = line.spool.reader.page_bytes()
        disk_free = _disk_free_bytes(line.spool.path.parent)
        if limits.drops:
            return ""
        if used > limits.max_bytes:
            return f"{used} bytes used of spool.max_bytes {limits.max_bytes}"
        if disk_free is not None and disk_free + free < limits.min_free_bytes:
            return f"{disk_free + free} bytes free, spool.min_free_bytes is {limits.min_free_bytes}"
        return ""

    def counters(self) -> Counters:
        """Return what the spool has counted, or had at the last time that it could be read."""
        try:
            self._counters = self.line.spool.reader.counters()
        except SpoolError:
            return self._counters
        return self._counters

    def look(self, counters: Counters | None = None) -> dict[str, Any]:
        """Return the state of every part, as JSON can say it; times are µs since the epoch.

        Raises:
            SpoolError: the spool can't be read.
        """
        line = self.line
        scopes = _by_scope(self.counters() if counters is None else counters)
        return {
            "pid": os.getpid(),
            "version": version("zerobus-collector"),
            "gateway": line.config.gateway,
            "started_us": self._started_us,
            "updated_us": time.time_ns() // 1000,
            "configuration": self.configuration(),
            "metrics": self.metrics(),
            "http": self.http(),
            "paused": self.paused(),
            "standing_still": self.standing_still(),
            "clock_ok": self.is_clock_ok(),
            "broker": self._broker(),
            "messages": scopes.get("", {}),
            "stations": {one.name: self._station(one, scopes) for one in line.config.stations},
            "tables": self._tables(scopes),
            "spool": self._spool(),
        }

    def is_clock_ok(self) -> bool:
        """Whether something keeps this box's clock in step."""
        with self._lock:
            return self._clock.is_synchronised()

    def configuration(self) -> dict[str, Any]:
        """Return which configuration is in use, and why a later one is not."""
        outcome = self._reloads.outcome
        return {
            "path": str(self.line.config.path),
            "loaded_us": outcome.loaded_us,
            "reloads": outcome.reloads,
            "failed_us": outcome.failed_us,
            "error": outcome.error,
        }

    def metrics(self) -> dict[str, str]:
        """Return where figures and health can be asked for, and why not, if so."""
        return {"listen": self.line.config.metrics.listen, "problem": self._server.problem}

    def http(self) -> dict[str, Any] | None:
        """Return what was asked of the station over HTTP; None without one."""
        return self._web.figures()

    def requests(self) -> dict[tuple[str, str, int], int]:
        """Return how many were answered, by method, route and status."""
        return self._web.requests()

    def silent(self) -> list[str]:
        """Return the stations that were silent for too long at the last tick."""
        return self._silence.silent

    def _station(self, station: Station, scopes: Scopes) -> dict[str, Any]:
        scope = f"station:{station.name}"
        counts = scopes.get(scope, {})
        return {
            "table": station.table,
            "has_topics": bool(station.topics),
            "max_age_s": station.max_age,
            "internal_since_start": self._since_start(counts, scope, "dead:internal"),
            **self._silence.of(station),
            **counts,
        }

    def _since_start(self, counts: Mapping[str, int], scope: str, name: str) -> int:
        return counts.get(name, 0) - self._at_start.get((scope, name), 0)

    def _broker(self) -> dict[str, Any]:
        """Return the state of the connection; `url` and `connected` are None without a broker."""
        state = self.line.subscriber.state
        subscriptions = self.line.subscriber.subscriptions
        return {
            "url": self.line.config.mqtt.url or None,
            "connected": state.connected if self.line.has_broker else None,
            "protocol": state.protocol,
            "session_present": state.session_present,
            "connects": state.connects,
            "disconnects": state.disconnects,
            "sessions_lost": state.sessions_lost,
            "last_error": state.last_error,
            "status_topic_problem": self.line.subscriber.announcing.problem,
            "refused_filters": subscriptions.refused | subscriptions.limited,
        }

    def _tables(self, scopes: Scopes) -> dict[str, Any]:
        states = self.line.drains.states()
        known = {scope[6:] for scope in scopes if scope.startswith("table:")}
        known |= set(states) | set(self.line.plan.schemas)
        return {table: self._table(table, scopes, states.get(table)) for table in known}

    def _table(self, table: str, scopes: Scopes, state: DrainState | None) -> dict[str, Any]:
        scope = f"table:{table}"
        counts = scopes.get(scope, {})
        described: dict[str, Any] = {
            **counts,
            "oldest_us": None,
            "made_since_start": self._since_start(counts, scope, "made"),
            "delivered_since_start": self._since_start(counts, scope, "delivered"),
        }
        if counts.get("spooled", 0):
            described["oldest_us"] = self.line.spool.reader.oldest_us(table)
        return described | (_drain(state) if state is not None else {})

    def _spool(self) -> dict[str, Any]:
        spool, limits = self.line.spool, self.line.config.spool
        (used, free), wal = spool.reader.page_bytes(), spool.room.wal_bytes()
        return {
            "path": str(spool.path),
            "used_bytes": used + min(wal, WAL_MAX_BYTES),
            "free_bytes": free,
            "max_bytes": limits.max_bytes,
            "min_free_bytes": limits.min_free_bytes,
            "disk_free_bytes": _disk_free_bytes(spool.path.parent),
            "wal_bytes": wal,
            "commits": spool.commits,
            "quarantine": salvages(spool.reader),
            "losses": losses(spool.reader),
            "damaged": {str(batch): reason for batch, reason in spool.damaged.items()},
        }


def _drain(state: DrainState) -> dict[str, Any]:
    return {
        "state": state.state,
        "reason": state.reason,
        "hint": state.hint,
        "stuck": state.stuck,
        "last_ack_us": state.last_ack_us,
        "last_error": state.last_error,
        "last_error_us": state.last_error_us,
        "streams_opened": state.streams_opened,
        "ends": dict(state.ends),
        "in_flight_bytes": state.in_flight_bytes,
        "window_bytes": state.window_bytes,
        "sent_records": state.sent_records,
        "sent_bytes": state.sent_bytes,
        "suspects": state.suspects,
    }


def _by_scope(counters: Counters) -> Scopes:
    """Sort the counters once: with a thousand stations it is no use to look for each."""
    scopes: Scopes = {}
    for (scope, name), value in counters.items():
        scopes.setdefault(scope, {})[name] = value
    return scopes


def _disk_free_bytes(folder: Path) -> int | None:
    """A disk that can't be asked must not end the daemon: it is the commits that notice."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
