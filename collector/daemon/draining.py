"""The second half of the line alone: what is in a spool goes to Zerobus, and nothing comes in.

For a gateway that goes, or a spool file that was carried to another box.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from collector.catalog import Catalog
from collector.drain import Drains
from collector.drain.look import look_at
from collector.errors import LockedError
from collector.plan import Plan
from collector.spool import Limits, Spool
from collector.spool.damage.salvage import SalvageThread
from collector.spool.lock import SpoolLock
from collector.stream import Connections

STOP_S: Final = 20.0
_LOOK_EVERY_S: Final = 0.2
_LOOK_AFTER_S: Final = 5.0
_SETTLED_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left at one moment; `stuck` says why, of the tables that make no progress."""

    records: int
    delivered: int
    stuck: dict[str, str]
    is_over: bool


def make_drains(plan: Plan, spool: Spool, drains_type: type[Drains] = Drains) -> Drains:
    """Return the drains of a spool by a configuration; they start with `notify`."""
    connections = Connections(
        plan.config.zerobus, f"zerobus-collector/{version('zerobus-collector')}"
    )
    look = partial(look_at, Catalog(plan.config.zerobus))
    return drains_type(spool, connections, plan.config.zerobus, plan.schemas, look)


class Draining:
    """Drains of every table in a spool file.

    Raises:
        LockedError: another collector has the spool; a daemon drains by itself.
    """

    def __init__(self, plan: Plan, path: Path) -> None:
        self._lock = SpoolLock(path)
        if not self._lock.take():
            raise LockedError(
                f"{path}: {self._lock.holder()} owns the spool",
                "A daemon that runs drains it by itself: `collector status` shows how far it is.",
            )
        # The ages and the room of the spool are no matter here: nothing comes in.
        limits = replace(Limits.of(plan.config), max_bytes=1 << 62, min_free_bytes=0, ages={})
        self._spool = Spool(path, limits)
        self._drains = make_drains(plan, self._spool)
        self._salvage = SalvageThread(self._spool)
        self._delivered_before = self._count("delivered")
        self._stuck_since: float | None = None

    def run(self) -> Iterator[Remaining]:
        """Yield what is left, several times a second, until nothing moves any more."""
        self._spool.stored = self._drains.notify
        self._drains.notify(self._spool.reader.tables())
        self._salvage.start()
        looked_at = time.monotonic()
        while True:
            self._spool.tick()
            now = time.monotonic()
            if now - looked_at >= _LOOK_AFTER_S:
                looked_at = now
                self._drains.look_after(self._spool.reader.tables())
            remaining = self._remaining(now)
            yield remaining
            if remaining.is_over:
                return
            time.sleep(_LOOK_EVERY_S)

    def close(self) -> Remaining:
        """End the streams in order, within the deadline of a stop; returns what is left then."""
        try:
            self._salvage.stop(time.monotonic() + STOP_S)
            self._drains.stop(time.monotonic() + STOP_S)
            self._spool.tick()
            return self._remaining(time.monotonic())
        finally:
            self._spool.close()
            self._lock.release()

    def _remaining(self, now: float) -> Remaining:
        """Judge by the states of the drains: held tables, and suspects that nothing proves."""
        salvaging = self._salvage.is_alive()
        left = self._spool.reader.tables()
        states = self._drains.states()
        stuck: dict[str, str] = {}
        for table in left:
            state = states.get(table)
            if state is not None and state.state == "held":
                hint = f" ({state.hint})" if state.hint else ""
                stuck[table] = f"held: {state.reason}{hint}"
            elif state is not None and state.state == "idle" and state.suspects:
                stuck[table] = f"{state.suspects} records were refused, and no other was accepted"
        if len(stuck) < len(left) or not left:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        settled = self._stuck_since is not None and now - self._stuck_since >= _SETTLED_S
        return Remaining(
            records=self._count("spooled"),
            delivered=self._count("delivered") - self._delivered_before,
            stuck=stuck,
            is_over=not salvaging and (not left or settled),
        )

    def _count(self, wanted: str) -> int:
        counters = self._spool.reader.counters()
        return sum(value for (_, name), value in counters.items() if name == wanted)
