"""`collector spool backup`: a copy of the spool, also while the daemon runs."""

import sys
from pathlib import Path

import click

from collector.commands._files import refuse_spool
from collector.commands._options import config_option, file_option, spool_path
from collector.commands._output import size
from collector.errors import CollectorError


@click.command(
    short_help="Copy the spool, also beside the daemon.",
    epilog="Exit codes: 0 the copy is whole, 1 failed, 2 usage, 78 configuration.",
)
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@file_option
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
def command(target: Path, config: Path, file: Path | None, force: bool) -> None:
    """Copy the spool to FILE, consistently, while the daemon runs or without it.

    Never copy a spool with cp: half of it is in the -wal file. What the daemon delivers after the
    copy is still in it: draining the copy would send that a second time.

    Example: collector spool backup /media/card/spool.db
    """
    from collector.spool.backup import back_up

    path = spool_path(config, file)
    refuse_spool(target, path)
    if target.exists() and not force:
        raise CollectorError(f"{target}: is there already", "Give another name, or --force.")
    with click.progressbar(
        length=path.stat().st_size if path.exists() else 0, file=sys.stderr, label="copying",
        hidden=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        copied = back_up(path, target, bar.update)
    click.echo(f"{target}: {size(copied)}, checked", err=True)
