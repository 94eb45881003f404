"""`collector status`: how the running daemon is, by its status file."""

import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from collector.commands._options import Duration, config_option
from collector.commands._output import echo_columns, echo_json, json_option, printable
from collector.errors import CollectorError

_EVERY_S: Final = (0.1, 3600.0)


@click.command(
    short_help="Show how the running collector is.",
    epilog="Exit codes: 0 ok, or --watch was ended, 1 degraded or offline,"
    " or the probe fails, 2 usage, 3 not running, 4 failing, 78 configuration.",
)
@config_option
@json_option
@click.option("--watch", "watched", is_flag=True, help="Stay, as `top` does; q or Ctrl-C ends it.")
@click.option(
    "--every",
    "every_s",
    type=Duration(),
    default="2s",
    show_default=True,
    help="How often --watch looks.",
)
@click.option(
    "--probe",
    type=click.Choice(["live", "ready"]),
    help="Say only whether a container is well: 0 it is, 1 it is not.",
)
def command(config: Path, as_json: bool, watched: bool, every_s: float, probe: str | None) -> None:
    """Show the health of the running collector, and what it has done.

    degraded: all is stored, but something is not delivered. offline: the broker is away. failing:
    nothing is stored.

    --watch writes only lines that changed, so that a slow serial line will do; the worst stations
    come first. It needs a terminal whose cursor can be moved (TERM is not dumb), goes on while the
    daemon is away, and takes no colours where NO_COLOR is set.

    --probe is for Docker and Kubernetes, which want 0 or 1. live: the daemon reports, and no loop
    stands still; starting it anew would help otherwise. ready: it can store what comes as well. A
    broker or a cloud that is away is neither.

    Example: collector status --config /etc/collector/stations.yaml

    Example: collector status --watch --every 5s

    Example: collector status --probe ready
    """
    if probe:
        if watched or as_json:
            raise click.UsageError("--probe goes with neither --watch nor --json.")
        _probe(config, ready=probe == "ready")
        return
    from collector import status
    from collector.commands._places import places

    if watched:
        _check_terminal(every_s, as_json=as_json)
        from collector.commands._watch import watch

        watch(places(config).runtime_dir, every_s)
        return
    try:
        snapshot = status.read(places(config).runtime_dir)
    except status.NotRunningError as error:
        if as_json:
            echo_json({"health": "not running", "reasons": [str(error)]})
            raise click.exceptions.Exit(error.exit_code) from error
        raise
    health, reasons = status.health(snapshot)
    if as_json:
        echo_json({"health": health, "reasons": reasons, **snapshot})
    else:
        _show(snapshot, reasons, status.line(snapshot))
    raise click.exceptions.Exit(status.EXIT_CODES[health])


def _probe(config: Path, *, ready: bool) -> None:
    """Answer with one line; raises CollectorError, whose exit code is 1, when it is not well."""
    from collector import status
    from collector.config.outline import outline

    try:
        snapshot = status.read(outline(config).runtime_dir)
    except status.NotRunningError as error:
        raise CollectorError(str(error)) from error
    if reasons := status.failures(snapshot, ready=ready):
        raise CollectorError("; ".join(reasons))
    click.echo(status.line(snapshot))


def _check_terminal(every_s: float, *, as_json: bool) -> None:
    """Refuse to watch what would not be seen; programs ask again and again instead."""
    if as_json:
        raise click.UsageError("--watch is for people: it has no --json.")
    if not _EVERY_S[0] <= every_s <= _EVERY_S[1]:
        raise click.UsageError("--every is from 100ms to 1h.")
    if not sys.stdout.isatty():
        raise click.UsageError("--watch needs a terminal, and stdout is none.")
    if os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        raise click.UsageError("--watch needs a terminal whose cursor can be moved: TERM is dumb.")


def _show(snapshot: dict[str, Any], reasons: list[str], line: str) -> None:
    from collector.status import dead_letters

    click.echo(line)
    for reason in reasons:
        click.echo(f"  {printable(reason)}")
    click.echo()
    rows: list[tuple[Any, ...]] = [("STATION", "MESSAGES", "RECORDS", "DEAD LETTERS", "RATE/S")]
    for name, counts in snapshot["stations"].items():
        dead = dead_letters(counts)
        rows.append(
            (name, counts.get("messages", 0), counts.get("records", 0), dead, round(counts["rate"]))
        )
    echo_columns(rows)
    click.echo()
    rows = [("TABLE", "STATE", "SPOOLED", "DELIVERED", "RATE/S", "OLDEST")]
    rows += [_table_row(name, table) for name, table in sorted(snapshot["tables"].items())]
    echo_columns(rows)


def _table_row(name: str, table: dict[str, Any]) -> tuple[Any, ...]:
    import time

    from collector.status import format_age

    oldest = table["oldest_us"]
    return (
        name,
        table.get("state", "idle"),
        table.get("spooled", 0),
        table.get("delivered", 0),
        round(table["rate"]),
        format_age(time.time() - oldest / 1e6) if oldest else "-",
    )
