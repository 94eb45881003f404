"""`collector drain`: empties a spool into Zerobus, without MQTT."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import click

from collector.commands._options import Duration, config_option, file_option
from collector.commands._output import echo_json, json_option, printable
from collector.signals import Ending

_SHOW_EVERY_S = 1.0


@click.command(
    short_help="Empty the spool into Zerobus, without MQTT.",
    epilog="Exit codes: 0 the spool is empty, 1 something is left, 2 usage, 75 locked,"
    " 78 configuration.",
)
@config_option
@file_option
@click.option("--for", "seconds", type=Duration(), help="Give up after this time, such as 10min.")
@json_option
def command(config: Path, file: Path | None, seconds: float | None, as_json: bool) -> None:
    """Send everything that is in the spool to Zerobus, and exit; nothing is taken from MQTT.

    For a gateway that goes, or a spool file that was carried here: its tables are sent by the
    schemas that it holds. Ends with 1 and a list when only held tables are left.

    Example: collector drain --for 10min

    Example: collector drain --file /media/card/spool.db
    """
    from collector.config import load
    from collector.daemon.draining import Draining
    from collector.plan import plan

    compiled = plan(load(config))
    draining = Draining(compiled, file or compiled.config.spool.path)
    stop = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    deadline = time.monotonic() + seconds if seconds is not None else float("inf")
    shown_at = 0.0
    try:
        for remaining in draining.run():
            now = time.monotonic()
            if sys.stderr.isatty() and now - shown_at >= _SHOW_EVERY_S:
                shown_at = now
                click.echo(f"\r\x1b[K{remaining.records:,} records left", nl=False, err=True)
            if stop.is_set() or now >= deadline:
                break
    finally:
        last = draining.close()
        if shown_at:
            click.echo("\r\x1b[K", nl=False, err=True)
    _show(last, as_json=as_json)
    if last.records:
        raise click.exceptions.Exit(1)


def _show(last: Any, *, as_json: bool) -> None:
    if as_json:
        echo_json({"delivered": last.delivered, "left": last.records, "stuck": last.stuck})
        return
    click.echo(f"{last.delivered:,} records were delivered, {last.records:,} are left")
    for table, reason in last.stuck.items():
        click.echo(printable(f"  {table}: {reason}"))
