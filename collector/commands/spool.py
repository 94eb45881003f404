"""`collector spool`: looking at a spool; works beside the daemon, without it, and on a copy."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collector.commands._options import config_option
from collector.commands._output import echo_columns, echo_json, json_option


@click.group(epilog="Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.")
def command() -> None:
    """Look into the spool.

    Example: collector spool stats
    """


@command.command(
    epilog="Exit codes: 0 both balances hold, 1 one does not or the file can't be read, 2 usage,"
    " 78 configuration."
)
@config_option
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A spool file, such as a copy, instead of that of the configuration.",
)
@json_option
def stats(config: Path, file: Path | None, as_json: bool) -> None:
    """Show what is in the spool, and check both balances.

    Messages: received = recorded + dead-lettered + ignored. Records: made + replayed + salvaged =
    delivered + spooled + buried + expired + dropped + purged + lost.

    Example: collector spool stats --config /etc/collector/stations.yaml
    """
    from collector.spool.figures import holds, read_figures

    found = read_figures(file or _configured(config))
    if as_json:
        echo_json(found)
    else:
        _show(found)
    if not holds(found):
        click.echo("a balance does not hold: this is a bug, please keep the file", err=True)
        raise click.exceptions.Exit(1)


def _configured(config: Path) -> Path:
    from collector.config import load

    return load(config).spool.path


def _show(found: dict[str, Any]) -> None:
    from collector.spool.figures import CAME_BY, LEFT_BY
    from collector.status import format_age

    now = time.time()
    rows: list[tuple[Any, ...]] = [
        ("TABLE", "BATCHES", "RECORDS", "BYTES", "OLDEST", "MADE", "DELIVERED", "BURIED")
    ]
    for name, table in found["tables"].items():
        oldest = table["oldest_us"]
        rows.append(
            (
                name, table["batches"], table["records"], table["bytes"],
                format_age(now - oldest / 1e6) if oldest else "-",
                table["made"], table["delivered"], table["buried"],
            )
        )  # fmt: skip
    totals = found["totals"]
    rows.append(
        (
            "total", totals["batches"], totals["records"], totals["bytes"], "",
            totals["made"], totals["delivered"], totals["buried"],
        )
    )  # fmt: skip
    echo_columns(rows)
    click.echo()
    messages = found["messages"]
    used, free, wal = (found[f"{key}_bytes"] for key in ("used", "free", "wal"))
    click.echo(f"file          {found['file']}: {used:,} bytes used, {free:,} free, WAL {wal:,}")
    dead, size = messages.get("dead", 0), messages.get("dead_bytes", 0)
    dropped = messages.get("dead_dropped", 0)
    click.echo(f"dead letters  {dead:,} kept, {size:,} bytes; {dropped:,} made room for others")
    balances = found["balances"]
    parts = ("recorded", "dead_lettered", "ignored")
    click.echo(f"messages      {_equation(balances['messages'], ('received',), parts)}")
    for name, balance in balances["records"].items():
        click.echo(f"records       {name}: {_equation(balance, CAME_BY, LEFT_BY)}")


def _equation(balance: dict[str, Any], came_by: Sequence[str], left_by: Sequence[str]) -> str:
    came, left = (
        " + ".join(f"{balance[key]:,} {key}" for key in keys if balance[key] or key == keys[0])
        for keys in (came_by, left_by)
    )
    return f"{came} = {left}: {'holds' if balance['holds'] else 'DOES NOT HOLD'}"
