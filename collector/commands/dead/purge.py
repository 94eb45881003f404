"""`collector dead purge`: dead letters that nobody needs."""

from pathlib import Path
from typing import Any

import click

from collector.commands._confirm import confirm
from collector.commands._control import carry_out
from collector.commands._options import (
    config_option,
    dry_run_option,
    selected,
    selection_options,
    spool_path,
    yes_option,
)


@click.command(
    short_help="Delete dead letters for good.",
    epilog="Exit codes: 0 done, 1 failed or not confirmed, 2 usage, 75 locked, 78 configuration.",
)
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@config_option
@selection_options(reason=True)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@dry_run_option
@yes_option
def command(
    ids: tuple[int, ...], config: Path, everything: bool, dry_run: bool, yes: bool, **filters: Any
) -> None:
    """Delete dead letters for good, after asking; they are counted as purged.

    Runs through the daemon when it is up.

    Example: collector dead purge --until 30d

    Example: collector dead purge 17 18 --yes
    """
    from collector.spool.letters import Letters

    selection = selected(filters, ids=ids)
    if not (everything or selection.is_narrow):
        raise click.UsageError("Which? Give ids or filters, or --all.")
    count = Letters(spool_path(config, None)).count(selection)
    if ids and count < len(set(ids)):
        click.echo(f"{len(set(ids)) - count:,} of these ids are not there", err=True)
    if dry_run or not count:
        click.echo(f"{count:,} dead letters would be purged")
        return
    confirm(count, "dead letters", yes=yes)
    request = {"operation": "purge letters", "selection": selection.as_json()}
    done = carry_out(config, request, "dead letters")
    click.echo(f"{done['purged']:,} dead letters were purged")
