"""`collector spool purge`: records that nobody wants delivered."""

from pathlib import Path
from typing import Any

import click

from collector.commands._confirm import confirm
from collector.commands._control import carry_out
from collector.commands._names import complete_table
from collector.commands._options import (
    config_option,
    dry_run_option,
    selected,
    selection_options,
    spool_path,
    yes_option,
)


@click.command(
    short_help="Delete records of a table for good.",
    epilog="Exit codes: 0 done, 1 failed or not confirmed, 2 usage, 75 locked, 78 configuration.",
)
@click.argument("table", shell_complete=complete_table)
@config_option
@selection_options(table=False)
@click.option("--all", "everything", is_flag=True, help="All records of the table.")
@dry_run_option
@yes_option
def command(
    table: str, config: Path, everything: bool, dry_run: bool, yes: bool, **filters: Any
) -> None:
    """Delete records of a table that wait, for good, after asking; they are counted as purged.

    What is in flight is left alone. Runs through the daemon when it is up. To keep a copy:
    `collector spool export`.

    Example: collector spool purge main.iot.station_one --until 7d

    Example: collector spool purge main.iot.old_table --all --yes
    """
    from collector.spool.contents import Contents

    selection = selected(filters, tables=(table,))
    if not (everything or selected({}, tables=(table,)) != selection):
        raise click.UsageError("Which? Give filters, or --all.")
    contents = Contents(spool_path(config, None))
    contents.require_table(table)
    count = contents.count(selection)
    contents.close()
    if dry_run or not count:
        click.echo(f"{count:,} records of {table} would be purged")
        return
    confirm(count, f"records of {table}", yes=yes)
    request = {"operation": "purge records", "selection": selection.as_json()}
    done = carry_out(config, request, "records")
    click.echo(f"{done['purged']:,} records of {table} were purged")
    if done["in_flight"]:
        click.echo(f"{done['in_flight']:,} were in flight, and stay", err=True)
