"""`collector spool stats`: how much is in the spool, and whether both balances hold."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collector.commands._options import config_option, file_option
from collector.commands._output import echo_columns, echo_json, json_option, printable, size


@click.command(
    short_help="Show what is in the spool, and how full it is.",
    epilog="Exit codes: 0 both balances hold, 1 one does not or the file can't be read, 2 usage,"
    " 78 configuration.",
)
@config_option
@file_option
@json_option
def command(config: Path, file: Path | None, as_json: bool) -> None:
    """Show what is in the spool, when it will be full, and check both balances.

    Messages: received = recorded + dead-lettered + ignored. Records: made + replayed + salvaged =
    delivered + spooled + buried + expired + dropped + purged + lost. Answers by counters, however
    much is in the spool; `collector spool verify` compares them with what is there.

    Example: collector spool stats --config /etc/collector/stations.yaml
    """
    from collector.spool.damage.told import damage_of
    from collector.spool.figures import holds, read_figures
    from collector.status import forecast, full_in_s

    path, max_bytes, snapshot = (file, None, None) if file else _configured(config)
    assert path is not None  # noqa: S101 - one of the two gave it.
    found = read_figures(path)
    found |= damage_of(path)
    found |= {"max_bytes": max_bytes, "running": snapshot is not None}
    found["full_in_s"] = full_in_s(snapshot) if snapshot else None
    if snapshot is not None:
        _add_what_the_daemon_says(found, snapshot)
    if as_json:
        echo_json(found)
    else:
        _show(found, forecast(snapshot) if snapshot else "")
    if not holds(found):
        click.echo("a balance does not hold: this is a bug, please keep the file", err=True)
        raise click.exceptions.Exit(1)


def _configured(config: Path) -> tuple[Path, int | None, dict[str, Any] | None]:
    """The spool of the configuration, its limit, and the status file of a daemon that runs."""
    from collector import status
    from collector.commands._places import places

    spool, runtime_dir, max_bytes = places(config)
    try:
        snapshot = status.read(runtime_dir)
    except status.NotRunningError:
        return spool, max_bytes, None
    return spool, max_bytes or snapshot["spool"]["max_bytes"], snapshot


def _add_what_the_daemon_says(found: dict[str, Any], snapshot: dict[str, Any]) -> None:
    """Rates since the start of the daemon, and the state of each table's stream."""
    seconds = max(1.0, time.time() - snapshot["started_us"] / 1e6)
    for name, table in found["tables"].items():
        said = snapshot["tables"].get(name, {})
        table["in_per_s"] = round(said.get("made_since_start", 0) / seconds, 1)
        table["out_per_s"] = round(said.get("delivered_since_start", 0) / seconds, 1)
        table["state"] = said.get("state", "idle")
        table["last_ack_us"] = said.get("last_ack_us", 0)


def _show(found: dict[str, Any], forecast: str) -> None:
    from collector.spool.figures import CAME_BY, LEFT_BY
    from collector.status import loss_line

    running = found["running"]
    heading = ["TABLE", "RECORDS", "SIZE", "OLDEST", "NEWEST"]
    rows: list[list[Any]] = [heading + (["IN/S", "OUT/S", "STATE", "ACK"] if running else [])]
    for name, table in found["tables"].items():
        row = [name, table["records"], size(table["bytes"])]
        row += [_age(table["oldest_us"]), _age(table["newest_us"])]
        if running:
            row += [f"{table['in_per_s']:,.1f}", f"{table['out_per_s']:,.1f}", table["state"]]
            row.append(_age(table["last_ack_us"]))
        rows.append(row)
    totals = found["totals"]
    rows.append(["total", totals["records"], size(totals["bytes"])] + [""] * (len(rows[0]) - 3))
    echo_columns(rows)
    click.echo()
    used, free, wal = (found[f"{key}_bytes"] for key in ("used", "free", "wal"))
    click.echo(f"file          {found['file']}")
    click.echo(f"              {size(used)} used, {size(free)} free in it, WAL {size(wal)}")
    if found["max_bytes"]:
        click.echo(f"capacity      {_capacity(found, forecast)}")
    messages = found["messages"]
    dead, dead_bytes = messages.get("dead", 0), messages.get("dead_bytes", 0)
    dropped = messages.get("dead_dropped", 0)
    click.echo(f"dead letters  {dead:,} kept, {size(dead_bytes)}; {dropped:,} made room for others")
    for one in found["salvages"]:
        state = "done" if one["state"] == "done" else "going on"
        text = f"{one['salvaged']:,} records saved, {state}"
        click.echo(f"quarantine    {one['folder']}: {text}")
    for loss in found["losses"]:
        click.echo(f"lost          {printable(loss_line(loss))}")
    balances = found["balances"]
    parts = ("recorded", "dead_lettered", "ignored")
    click.echo(f"messages      {_equation(balances['messages'], ('received',), parts)}")
    for name, balance in balances["records"].items():
        click.echo(f"records       {name}: {_equation(balance, CAME_BY, LEFT_BY)}")
    if not running:
        click.echo("no daemon runs on it, or none was asked: no rates and no states", err=True)


def _capacity(found: dict[str, Any], forecast: str) -> str:
    part = (found["used_bytes"] + found["wal_bytes"]) / found["max_bytes"]
    text = f"{part:.1%} of {size(found['max_bytes'])}"
    return f"{text}; {forecast}" if forecast else text


def _age(time_us: int | None) -> str:
    from collector.status import format_age

    return format_age(time.time() - time_us / 1e6) if time_us else "-"


def _equation(balance: dict[str, Any], came_by: Sequence[str], left_by: Sequence[str]) -> str:
    came, left = (
        " + ".join(f"{balance[key]:,} {key}" for key in keys if balance[key] or key == keys[0])
        for keys in (came_by, left_by)
    )
    return f"{came} = {left}: {'holds' if balance['holds'] else 'DOES NOT HOLD'}"
