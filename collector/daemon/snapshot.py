"""What the status file says: the state of the line, and how fast it changes."""

import time
from typing import Any

from collector.daemon.growth import Growth
from collector.daemon.silence import Counters
from collector.daemon.state import LineState
from collector.spool.database import WAL_MAX_BYTES
from collector.status import SHORT_PART


class Snapshots:
    """Takes a snapshot once a second, for the main thread; rates are against the one before."""

    def __init__(self, state: LineState) -> None:
        self._state = state
        self._before: tuple[float, Counters] = (time.monotonic(), state.counters())
        self._taken_commits = -1
        self._growth = Growth()
        self._requests = 0

    def changes(self) -> object:
        """Return a value that differs when a snapshot would: commits, and all that health tells."""
        line = self._state.line
        broker, subscriptions = line.subscriber.state, line.subscriber.subscriptions
        return (
            self._state.counted_commits,
            # One more after the last commit: by then the rates have come to rest.
            self._taken_commits == self._state.counted_commits,
            self._state.silent(),
            self._state.is_clock_ok(),
            line.spool.reader.page_bytes()[0] >= SHORT_PART * line.spool.limits.max_bytes,
            len(line.spool.damaged),
            list(subscriptions.refused | subscriptions.limited),
            self._state.configuration(),
            self._state.metrics(),
            self._state.http(),
            self._state.paused(),
            self._state.standing_still(),
            (broker.connected, broker.last_error, line.subscriber.announcing.problem),
            [(state.state, state.reason) for state in line.drains.states().values()],
        )

    def take(self) -> dict[str, Any]:
        """Return the state of every part, with rates, as JSON can say it."""
        now, counters = time.monotonic(), self._state.counted
        elapsed = max(now - self._before[0], 1e-3)
        before, self._before = self._before[1], (now, counters)
        self._taken_commits = self._state.counted_commits

        def rate(scope: str, *names: str) -> float:
            keys = [(scope, name) for name in names]
            change = sum(counters.get(key, 0) - before.get(key, 0) for key in keys)
            return round(change / elapsed, 1)

        found = self._state.look(counters)
        found["received_rate"] = rate("", "received")
        found["broker_rate"] = round(found["received_rate"] - rate("", "received_http"), 1)
        for name, station in found["stations"].items():
            scope = f"station:{name}"
            dead = [key for key in station if key.startswith("dead:")]
            station["rate"] = rate(scope, "records")
            station["message_rate"] = rate(scope, "messages", "without_rows", *dead)
        for name, table in found["tables"].items():
            table["rate"] = rate(f"table:{name}", "delivered")
        if http := found["http"]:
            http["request_rate"] = round((http["requests"] - self._requests) / elapsed, 1)
            self._requests = http["requests"]
        spool = found["spool"]
        # Without the WAL, whose size goes up and down with its checkpoints.
        pages = spool["used_bytes"] - min(spool["wal_bytes"], WAL_MAX_BYTES)
        spool["growth_per_s"] = self._growth.per_s(now, pages)
        return found
