"""`collector dead replay`: dead letters, tried again."""

from pathlib import Path
from typing import Any

import click

from collector.commands._control import carry_out
from collector.commands._names import complete_station
from collector.commands._options import (
    config_option,
    dry_run_option,
    selected,
    selection_options,
)
from collector.commands._output import echo_json, json_option, printable


@click.command(
    short_help="Map dead letters again, and store what comes out.",
    epilog="Exit codes: 0 nothing that was tried fails any more, 1 some still fails, 2 usage,"
    " 75 locked, 78 configuration.",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@config_option
@selection_options(reason=True)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option(
    "--as",
    "station",
    default="",
    help="For a station that was renamed or removed.",
    shell_complete=complete_station,
)
@dry_run_option
@json_option
def command(
    ids: tuple[int, ...],
    config: Path,
    everything: bool,
    station: str,
    dry_run: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Map dead letters again with the configuration as it is now, and store what comes out.

    A message is mapped for the station whose letter it is; a record that was refused or expired
    goes back with its own number. What still fails stays, with its new reason. Runs through the
    daemon when it is up. Interrupted at any point it loses nothing and makes nothing twice.

    Example: collector dead replay --reason bad_value --station station_one --dry-run

    Example: collector dead replay 17 18
    """
    selection = selected(filters, ids=ids)
    if not (everything or selection.is_narrow):
        raise click.UsageError("Which? Give ids or filters, or --all.")
    request = {
        "operation": "replay",
        "selection": selection.as_json(),
        "station": station,
        "dry_run": dry_run,
    }
    done = carry_out(config, request, "dead letters")
    if ids and done["letters"] < len(set(ids)):
        click.echo(f"{len(set(ids)) - done['letters']:,} of these ids are not there", err=True)
    if as_json:
        echo_json(done)
    else:
        _show(done)
    if done["failing"] or (ids and not done["letters"]):
        raise click.exceptions.Exit(1)


def _show(done: dict[str, Any]) -> None:
    would = "would be " if done["dry_run"] else ""
    click.echo(
        f"{done['letters']:,} dead letters: {done['replayed']:,} {would}replayed as"
        f" {done['records']:,} records"
    )
    for kind, count in sorted(done["failing"].items()):
        click.echo(f"  {count:,} still fail: {kind}")
    for reason, count in sorted(done["skipped"].items()):
        click.echo(printable(f"  {count:,} stay: {reason}"))
