"""How a command changes a spool: by the daemon when one runs on it, else by itself."""

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.errors import CollectorError, LockedError

if TYPE_CHECKING:
    from collector.config import Config
    from collector.drain import Drains
    from collector.operations import Operation
    from collector.spool import Spool


class StoppedError(CollectorError):
    """The daemon, or the operator, ended an operation before it was done."""


def carry_out(
    config: Path, request: dict[str, Any], unit: str, *, draining: bool = False
) -> dict[str, Any]:
    """Carry out an operation on the spool of a configuration and return its summary.

    Progress goes to a terminal, counted in `unit`. With `draining` it needs Zerobus, also where no
    daemon runs.

    Raises:
        LockedError: another program has the spool, and takes no commands.
        CollectorError: what the operation raises.
    """
    from collector.config import load
    from collector.spool.lock import SpoolLock

    loaded = load(config, secrets=False)
    lock = SpoolLock(loaded.spool.path)
    if not lock.take():
        return _watched(_by_the_daemon(loaded, lock.holder(), request), unit)
    try:
        return _watched(_alone(loaded, config, request, draining=draining), unit)
    finally:
        lock.release()


def _alone(
    loaded: "Config", config: Path, request: dict[str, Any], *, draining: bool
) -> Iterator[dict[str, Any]]:
    from collector.logs import operations_to_system_log
    from collector.operations import Scene, perform
    from collector.spool import Limits, Spool

    operations_to_system_log()
    spool = Spool(loaded.spool.path, Limits.of(loaded))
    try:
        with _drains(config, spool) if draining else nullcontext() as drains:
            scene = Scene(spool, config.absolute(), drains, spool.tick)
            yield from _steps(perform(scene, request))
    finally:
        spool.close()


@contextmanager
def _drains(config: Path, spool: "Spool") -> Iterator["Drains"]:
    """Drain tables as the daemon would: those that the operation notifies."""
    from collector.config import load
    from collector.daemon.draining import STOP_S, make_drains
    from collector.plan import plan

    drains = make_drains(plan(load(config)), spool)
    try:
        yield drains
    finally:
        drains.stop(time.monotonic() + STOP_S)
        spool.tick()


def _steps(operation: "Operation") -> Iterator[dict[str, Any]]:
    try:
        while True:
            yield {"progress": next(operation)}
    except StopIteration as end:
        yield {"done": end.value}
    finally:
        operation.close()


def _by_the_daemon(
    loaded: "Config", holder: str, request: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    from collector.status import SOCKET

    path = loaded.runtime_dir / SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect(str(path))
        except OSError as error:
            raise LockedError(
                f"{holder} owns the spool, and {path} takes no commands: {error.strerror}",
                "If another command is at work wait for it, else stop the daemon.",
            ) from error
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            for line in answers:
                answer = json.loads(line)
                if "error" in answer:
                    failed = CollectorError(answer["error"], answer.get("hint", ""))
                    failed.exit_code = answer.get("exit_code", 1)
                    raise failed
                yield answer
    raise StoppedError("the daemon ended before it was done", "What was done until then is done.")


def _watched(answers: Iterator[dict[str, Any]], unit: str) -> dict[str, Any]:
    """Show progress on a terminal; an interrupt stops between two transactions."""
    shown = sys.stderr.isatty()
    last: dict[str, Any] = {}
    try:
        for answer in answers:
            if "done" in answer:
                done: dict[str, Any] = answer["done"]
                return done
            last = answer["progress"]
            if shown:
                first = next(iter(last.values()), 0)
                click.echo(f"\r{first:,} {unit}", nl=False, err=True)
    except KeyboardInterrupt:
        counts = ", ".join(f"{value:,} {name}" for name, value in last.items())
        raise StoppedError(f"stopped: {counts or 'nothing was done'}") from None
    finally:
        if shown and last:
            click.echo("\r\x1b[K", nl=False, err=True)
    raise StoppedError("it ended without an answer")
