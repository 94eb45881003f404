"""`collector dead bury`: the way out for a table that is held because its records are refused."""

from pathlib import Path

import click

from collector.commands._confirm import confirm
from collector.commands._control import carry_out
from collector.commands._names import complete_table
from collector.commands._options import config_option, dry_run_option, spool_path, yes_option
from collector.commands._output import printable


@click.command(
    short_help="Bury what Zerobus refuses of a held table.",
    epilog="Exit codes: 0 done, 1 nothing moves or not confirmed, 2 usage, 75 locked,"
    " 78 configuration.",
)
@click.argument("table", shell_complete=complete_table)
@config_option
@dry_run_option
@yes_option
def command(table: str, config: Path, dry_run: bool, yes: bool) -> None:
    """Send what waits for a TABLE, and bury what Zerobus refuses, one by one.

    A table whose records are all refused is held, since its schema may be wrong and not they. When
    they are, this makes dead letters of them, up to the newest that is there now; what is accepted
    is delivered. Records of an older schema that do not fit the configured one are buried as well.
    Runs through the daemon when it is up. `collector dead replay` brings them back.

    Example: collector dead bury main.iot.station_one --dry-run
    """
    from collector.config import load
    from collector.spool.contents import Contents
    from collector.spool.selection import Selection

    contents = Contents(spool_path(config, None))
    contents.require_table(table)
    count = contents.count(Selection(tables=(table,)))
    contents.close()
    if dry_run or not count:
        click.echo(f"{count:,} records of {table} wait{_state(config, table)}")
        return
    fate = "are sent, and become dead letters where Zerobus refuses them"
    if count > (most := load(config, secrets=False).dead_letters.max_count):
        fate += f" (of more than dead_letters.max_count, {most:,}, the oldest go for good)"
    confirm(count, f"records of {table}", yes=yes, fate=fate)
    done = carry_out(config, {"operation": "bury", "table": table}, "buried", draining=True)
    buried, delivered = done["buried"], done["delivered"]
    click.echo(f"{buried:,} records of {table} were buried, {delivered:,} delivered")


def _state(config: Path, table: str) -> str:
    """What the daemon says of the table, if one runs."""
    from collector import status
    from collector.config import load

    try:
        state = status.read(load(config, secrets=False).runtime_dir)["tables"].get(table, {})
    except status.NotRunningError:
        return ""
    return printable(f"; it is {state.get('state', 'idle')}: {state.get('reason') or 'no reason'}")
