"""The configuration, read again: `systemctl reload`, which is SIGHUP.

All of it is compiled before anything changes, so that a broken file changes nothing; what can't be
changed while the line runs is refused as a whole, because half a change is hard to see.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from collector.config import Config, load
from collector.daemon.line import Line
from collector.daemon.notify import notify
from collector.errors import CollectorError
from collector.plan import Plan, plan

_log = logging.getLogger(__name__)

_LOGGED_LINES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """When the configuration was taken, in µs since the epoch, and why a later one was not.

    `error` is of the last try, and empty when that went well.
    """

    loaded_us: int
    reloads: int = 0
    error: str = ""
    failed_us: int | None = None


class Reloads:
    """Changes a line to what its file says now; used by the main thread."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.outcome = Outcome(_now_us())

    def reload(self, meanwhile: Callable[[], None]) -> bool:
        """Read the file and change the line; whatever is wrong with it, the line goes on.

        `meanwhile` is called once a second while the line waits for its intake. Returns whether the
        line goes on by what the file says now.
        """
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify("RELOADING=1", f"MONOTONIC_USEC={now_us}")
        path = self._line.config.path
        _log.info("reloading %s", path)
        try:
            fresh = plan(load(path))
            _check_fixed(self._line.config, fresh.config)
            return self._change(fresh, meanwhile)
        except (CollectorError, OSError) as error:
            for line in str(error).splitlines()[:_LOGGED_LINES_MAX]:
                _log.error("%s", line.strip())
            _log.error("not reloaded: the collector goes on as it was")
            self.outcome = replace(self.outcome, error=str(error), failed_us=_now_us())
            return False
        finally:
            notify("READY=1")

    def _change(self, fresh: Plan, meanwhile: Callable[[], None]) -> bool:
        before = {one.name: one for one in self._line.config.stations}
        after = {one.name: one for one in fresh.config.stations}
        for warning in fresh.config.warnings:
            _log.warning("%s", warning)
        if not self._line.change(fresh, meanwhile):
            return False
        self.outcome = Outcome(_now_us(), self.outcome.reloads + 1)
        _log.info(
            "reloaded: %d stations, %d of them new, %d gone",
            len(after),
            len(after.keys() - before.keys()),
            len(before.keys() - after.keys()),
        )
        return True


def _check_fixed(before: Config, after: Config) -> None:
    """Raise CollectorError when the file wants to move what the daemon holds on to."""
    pairs = {
        "spool.path": (before.spool.path, after.spool.path),
        "runtime_dir": (before.runtime_dir, after.runtime_dir),
    }
    for key, (old, new) in pairs.items():
        if old != new:
            raise CollectorError(f"{key} was {old} at the start, and is {new}", "Restart for that.")


def _now_us() -> int:
    return time.time_ns() // 1000
