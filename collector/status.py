"""The status file: what a running daemon says of itself, for everything that reads.

One JSON file in the runtime directory, replaced at most once a second by a rename, so that a
reader never sees half of it. Health is derived here, so that every reader derives the same.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from collector.errors import CollectorError

FILE: Final = "status.json"
SOCKET: Final = "control.sock"
"""Where the daemon takes commands, beside the status file."""
STALE_S: Final = 15.0
_LOSS_SHOWN_S: Final = 86_400.0
_WAL_SHOWN: Final = 64 * 1024 * 1024
_NOT_GROWING_S: Final = 365 * 86_400.0
SHORT_PART: Final = 0.5
"""From this part of `spool.max_bytes` on space is short: health says so, and shares are held."""
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
            # Several times faster than `dump`, which does without the encoder in C.
            file.write(json.dumps(snapshot))
        fresh.replace(self._path)

    def remove(self) -> None:
        """Take the file away at the end of the daemon."""
        self._path.unlink(missing_ok=True)


def read(folder: Path) -> dict[str, Any]:
    """Return the snapshot of the running daemon.

    Raises:
        NotRunningError: there is none, or its process is gone.
        CollectorError: this user may not read the file.
    """
    path = folder / FILE
    hint = "Start it with `collector run`, or `systemctl start collector`."
    try:
        snapshot: dict[str, Any] = json.loads(path.read_bytes())
        pid = int(snapshot["pid"])
    except FileNotFoundError:
        raise NotRunningError(f"no collector is running: {path} is not there", hint) from None
    except OSError as error:
        raise CollectorError(
            f"{path}: {error.strerror}", "Only the user of the daemon may read it: use sudo -u."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotRunningError(f"{path} can't be read: {error!r}", hint) from error
    if not _is_alive(pid):
        raise NotRunningError(f"the collector (process {pid}) is gone", hint)
    return snapshot


def age_s(snapshot: Mapping[str, Any]) -> float:
    """Return for how many seconds the daemon has said nothing else."""
    age: float = time.time() - snapshot["updated_us"] / 1e6
    return age


def broker_away(broker: Mapping[str, Any]) -> list[str]:
    """Say that the broker is away, and why; nothing without a broker, where `connected` is None."""
    is_away = broker["connected"] is False
    return [f"broker: {broker['last_error'] or 'connecting'}"] if is_away else []


def stream_away(table: Mapping[str, Any]) -> str:
    """Say why nothing of a table is sent: `held: no grant (grant it)`; nothing when it is."""
    if table.get("state") not in ("held", "waiting"):
        return ""
    hint = f" ({table['hint']})" if table["hint"] else ""
    return f"{table['state']}: {table['reason']}{hint}"


def failures(snapshot: dict[str, Any], *, ready: bool) -> list[str]:
    """Return why the daemon is not alive: it is silent, or a loop stands still.

    With `ready`, also why it can't store what comes. A broker or a cloud that is away, and dead
    letters, are neither: starting anew would not help, and the spool is for that.
    """
    found = []
    if ready and snapshot["paused"]:
        found.append(f"nothing is stored: {snapshot['paused']}")
    found += [f"{loop} stands still" for loop in snapshot.get("standing_still", ())]
    age = age_s(snapshot)
    if age > STALE_S:
        found.append(f"the daemon has not reported for {age:.0f} s")
    return found


def health(snapshot: dict[str, Any]) -> tuple[str, list[str]]:
    """Return ok, degraded, offline or failing, and why.

    failing: nothing can be stored, or the loop stands still. offline: the broker is away.
    degraded: all is stored, but something is not delivered or was not understood. A clock that is
    not synchronised is a reason that makes nothing worse by itself: what comes is kept.
    """
    failing = failures(snapshot, ready=True)
    broker = snapshot["broker"]
    offline = broker_away(broker)
    degraded = _configuration(snapshot.get("configuration", {}))
    servers = snapshot.get("metrics"), snapshot.get("http")
    problems = [server["problem"] for server in servers if server]
    degraded += filter(None, [*problems, broker.get("status_topic_problem")])
    degraded += [
        f"filter {text} is refused by the broker: {reason}"
        for text, reason in broker["refused_filters"].items()
    ]
    for table, state in sorted(snapshot["tables"].items()):
        if away := stream_away(state):
            degraded.append(f"{table} is {away}")
        elif state.get("stuck"):
            degraded.append(f"{table}: some of its batches are held: {state['stuck']}")
    degraded += _space(snapshot["spool"], snapshot["tables"])
    degraded += _damage(snapshot["spool"])
    degraded += [f"batch {batch}: {why}" for batch, why in snapshot["spool"]["damaged"].items()]
    for station, counts in snapshot["stations"].items():
        if count := counts["internal_since_start"]:
            degraded.append(f"{station}: {count} dead letters of kind internal since the start")
        if counts.get("is_silent") and not (offline and counts.get("has_topics", True)):
            degraded.append(_silence(station, counts))
    reasons = failing + offline + degraded
    if not snapshot.get("clock_ok", True):
        reasons.append("this box's clock is not synchronised: times of arrival may be wrong")
    name = "failing" if failing else "offline" if offline else "degraded" if degraded else "ok"
    return name, reasons


def _configuration(configuration: dict[str, Any]) -> list[str]:
    """Say what keeps the file from being used: the next start would end with it."""
    if not (error := configuration.get("error")):
        return []
    at = time.strftime("%F %T", time.localtime(configuration["failed_us"] / 1e6))
    return [f"the configuration was not reloaded at {at}: {' '.join(error.split())}"]


def _silence(station: str, counts: dict[str, Any]) -> str:
    """Say for how long nothing came; while the broker is away that is the broker's fault."""
    usual = counts["usual_gap_s"]
    often = f", usually every {format_age(usual)}" if usual is not None else ""
    limit = format_age(counts["silent_after_s"])
    return f"{station}: no message for {format_age(counts['silence_s'])} ({limit} is much{often})"


def _damage(spool: dict[str, Any]) -> list[str]:
    """Say what is being salvaged, and for a day what damage has cost."""
    said = [
        f"a damaged spool is in quarantine/{one['folder']}: {one['salvaged']:,} records are saved"
        " so far"
        for one in spool["quarantine"]
        if one["state"] != "done"
    ]
    now_us = time.time() * 1e6
    recent = [one for one in spool["losses"] if now_us - one["at_us"] < _LOSS_SHOWN_S * 1e6]
    return said + [loss_line(one) for one in recent]


def dead_letters(station: Mapping[str, Any]) -> int:
    """Return how many dead letters came of a station's messages and records, kept or not.

    >>> dead_letters({"table": "a.b.c", "records": 7, "dead:bad_value": 2, "buried:refused": 1})
    3
    """
    counted = [count for name, count in station.items() if name.startswith(("dead:", "buried:"))]
    return sum(counted)


def loss_line(loss: dict[str, Any]) -> str:
    """Return what damage has cost, for a person; `loss` is one of those of `told.losses`."""
    count = "an unknown number of" if loss["records"] is None else f"{loss['records']:,}"
    first, last = loss["first_seq"], loss["last_seq"]
    begin = f" from {first}" if first is not None else ""
    end = f" up to {last}" if last is not None else ""
    table = loss["table"] or "tables that are not known"
    return f"{count} records of {table} are lost{begin}{end}: {loss['reason']}"


def _space(spool: dict[str, Any], tables: dict[str, Any]) -> list[str]:
    """Say from half on how full the spool is, and which table fills it."""
    said = []
    if spool["wal_bytes"] > _WAL_SHOWN:
        size = spool["wal_bytes"] / 1e6
        said.append(f"the WAL has {size:,.0f} MB: a `spool backup` or `verify` holds it, or hangs")
    part = spool["used_bytes"] / spool["max_bytes"]
    if part < SHORT_PART:
        return said
    fullest = max(tables, key=lambda name: tables[name].get("spooled_bytes", 0), default="")
    held = tables[fullest].get("spooled_bytes", 0) / spool["max_bytes"] if fullest else 0.0
    return [*said, f"the spool is {part:.0%} full, {held:.0%} of it by {fullest}"]


def full_in_s(snapshot: dict[str, Any]) -> float | None:
    """Return when the spool is full, or its disk, if it goes on as in the last two minutes.

    None when it does not grow, not to speak of, or when it was not watched for long enough.
    """
    spool = snapshot["spool"]
    room = spool["max_bytes"] - spool["used_bytes"]
    if spool.get("disk_free_bytes") is not None:
        # Free pages are filled before the file takes more of the disk.
        disk = spool["disk_free_bytes"] + spool["free_bytes"] - spool["min_free_bytes"]
        room = min(room, disk)
    if room <= 0:
        return 0
    growth = spool.get("growth_per_s") or 0.0
    seconds = room / growth if growth > 0 else _NOT_GROWING_S
    return round(seconds) if seconds < _NOT_GROWING_S else None


def forecast(snapshot: dict[str, Any]) -> str:
    """Return `full in 3h at this rate`, `not growing`, `full`, or nothing while it is not known."""
    seconds = full_in_s(snapshot)
    if seconds is not None:
        return f"full in {format_age(seconds)} at this rate" if seconds else "full"
    return "" if snapshot["spool"].get("growth_per_s") is None else "not growing"


def line(snapshot: dict[str, Any]) -> str:
    """Return one line for an operator: `online · 12,345 spooled, oldest 4m · 310 msg/s`."""
    name, _ = health(snapshot)
    tables = snapshot["tables"].values()
    spooled = sum(table.get("spooled", 0) for table in tables)
    ages = [table["oldest_us"] for table in tables if table["oldest_us"]]
    oldest = f", oldest {format_age(time.time() - min(ages) / 1e6)}" if ages else ""
    word = {"ok": "online"}.get(name, name)
    told = " · not reloaded, see the log" if snapshot.get("configuration", {}).get("error") else ""
    return f"{word} · {spooled:,} spooled{oldest} · {snapshot['received_rate']:,.0f} msg/s{told}"


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
