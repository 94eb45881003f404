"""`collector status`: how the running daemon is, by its status file."""

from pathlib import Path
from typing import Any

import click

from collector.commands._options import config_option
from collector.commands._output import echo_columns, echo_json, json_option, printable


@click.command(
    epilog="Exit codes: 0 ok, 1 degraded or offline, 2 usage, 3 not running, 4 failing,"
    " 78 configuration."
)
@config_option
@json_option
def command(config: Path, as_json: bool) -> None:
    """Show the health of the running collector, and what it has done.

    degraded: all is stored, but something is not delivered. offline: the broker is away. failing:
    nothing is stored.

    Example: collector status --config /etc/collector/stations.yaml
    """
    from collector import status
    from collector.config import load

    try:
        snapshot = status.read(load(config).runtime_dir)
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


def _show(snapshot: dict[str, Any], reasons: list[str], line: str) -> None:
    click.echo(line)
    for reason in reasons:
        click.echo(f"  {printable(reason)}")
    click.echo()
    rows: list[tuple[Any, ...]] = [("STATION", "MESSAGES", "RECORDS", "DEAD LETTERS", "RATE/S")]
    for name, counts in snapshot["stations"].items():
        dead = sum(value for key, value in counts.items() if key.startswith("dead:"))
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
