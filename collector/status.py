"""The status file: what a running daemon says of itself, for everything that reads.

One JSON file in the runtime directory, replaced at most once a second by a rename, so that a
reader never sees half of it. Health is derived here, so that every reader derives the same.
"""

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from collector.errors import CollectorError

FILE: Final = "status.json"
STALE_S: Final = 15.0
EXIT_CODES: Final = {"ok": 0, "degraded": 1, "offline": 1, "not running": 3, "failing": 4}


class NotRunningError(CollectorError):
    """No daemon says anything of itself."""

    exit_code = 3


class StatusFile:
    """Writes the file, which only the user of the daemon may read."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, snapshot: dict[str, Any]) -> None:
        """Replace the file."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(snapshot, file)
        fresh.replace(self._path)

    def remove(self) -> None:
        """Take the file away at the end of the daemon."""
        self._path.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """Return the snapshot of the running daemon.

    Raises:
        NotRunningError: there is none, its process is gone, or it has not written for long.
    """
    path = folder / FILE
    hint = "Start it with `collector run`, or `systemctl start collector`."
    try:
        snapshot: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotRunningError(f"no collector is running: {path} is not there", hint) from None
    except ValueError as error:
        raise NotRunningError(f"{path} can't be read: {error}", hint) from error
    if not _is_alive(int(snapshot["pid"])):
        raise NotRunningError(f"the collector (process {snapshot['pid']}) is gone", hint)
    return snapshot


def health(snapshot: dict[str, Any]) -> tuple[str, list[str]]:
    """Return ok, degraded, offline or failing, and why.

    failing: nothing can be stored, or the loop stands still. offline: the broker is away.
    degraded: all is stored, but something is not delivered or was not understood.
    """
    failing: list[str] = []
    if snapshot["paused"]:
        failing.append(f"nothing is stored: {snapshot['paused']}")
    age = time.time() - snapshot["updated_us"] / 1e6
    if age > STALE_S:
        failing.append(f"the daemon has not reported for {age:.0f} s")
    broker = snapshot["broker"]
    offline = [] if broker["connected"] else [f"broker: {broker['last_error'] or 'connecting'}"]
    degraded = [
        f"filter {text} is refused by the broker: {reason}"
        for text, reason in broker["refused_filters"].items()
    ]
    for table, state in sorted(snapshot["tables"].items()):
        if state.get("state") in ("held", "waiting"):
            hint = f" ({state['hint']})" if state["hint"] else ""
            degraded.append(f"{table} is {state['state']}: {state['reason']}{hint}")
    degraded += [f"batch {batch}: {why}" for batch, why in snapshot["spool"]["damaged"].items()]
    for station, counts in snapshot["stations"].items():
        if count := counts["internal_since_start"]:
            degraded.append(f"{station}: {count} dead letters of kind internal since the start")
    reasons = failing + offline + degraded
    name = "failing" if failing else "offline" if offline else "degraded" if degraded else "ok"
    return name, reasons


def line(snapshot: dict[str, Any]) -> str:
    """Return one line for an operator: `online · 12,345 spooled, oldest 4m · 310 msg/s`."""
    name, _ = health(snapshot)
    tables = snapshot["tables"].values()
    spooled = sum(table.get("spooled", 0) for table in tables)
    ages = [table["oldest_us"] for table in tables if table["oldest_us"]]
    oldest = f", oldest {format_age(time.time() - min(ages) / 1e6)}" if ages else ""
    word = {"ok": "online"}.get(name, name)
    return f"{word} · {spooled:,} spooled{oldest} · {snapshot['received_rate']:,.0f} msg/s"


def format_age(seconds: float) -> str:
    """Return an age in its largest unit.

    >>> format_age(250)
    '4m'
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
