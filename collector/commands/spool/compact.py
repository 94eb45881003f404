"""`collector spool compact`: give the disk back what the spool does not need."""

from pathlib import Path

import click

from collector.commands._control import carry_out
from collector.commands._options import config_option
from collector.commands._output import size


@click.command(
    short_help="Give free pages of the file back to the disk.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 75 locked, 78 configuration.",
)
@config_option
def command(config: Path) -> None:
    """Give free pages of the file back to the disk, without stopping what is stored meanwhile.

    Only needed when the disk is short: the spool uses free pages again, and gives them back by
    itself when the disk gets full.

    Example: collector spool compact
    """
    done = carry_out(config, {"operation": "compact"}, "bytes left")
    click.echo(f"{size(done['before_bytes'])} before, {size(done['after_bytes'])} now")
