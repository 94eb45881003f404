"""`collector spool repair`: saves what is intact in a damaged spool."""

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._options import config_option, dry_run_option, spool_path
from collector.commands._output import printable
from collector.errors import LockedError, SpoolError

if TYPE_CHECKING:
    from collector.spool import Spool

_NO_LIMIT = 1 << 62


@click.command(
    epilog="Exit codes: 0 nothing is wrong, or nothing is lost, 1 something is lost, 2 usage,"
    " 75 locked, 78 configuration."
)
@click.argument(
    "file", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@config_option
@dry_run_option
def command(file: Path | None, config: Path, dry_run: bool) -> None:
    """Save what is intact in a damaged spool, with the daemon stopped.

    The damaged file goes to quarantine/ beside it and is never deleted; what is intact is brought
    into a fresh file at its place. A daemon does the same by itself at its start.

    Example: collector spool repair --dry-run

    Example: collector spool repair /media/card/spool.db
    """
    from collector.spool.database import wal_bytes
    from collector.spool.lock import SpoolLock

    path = spool_path(config, file)
    if not path.is_file():
        raise SpoolError(f"{path}: there is no spool")
    if not path.stat().st_size and not wal_bytes(path):
        raise SpoolError(f"{path}: the file is empty: there is nothing to save")
    lock = SpoolLock(path)
    if not lock.take():
        raise LockedError(f"{path}: {lock.holder()} owns the spool", "Stop the daemon first.")
    try:
        lost = _rehearse(path) if dry_run else _repair(path)
    finally:
        lock.release()
    if lost:
        raise click.exceptions.Exit(1)


def _repair(path: Path) -> bool:
    from collector.spool import Limits, Spool
    from collector.spool.damage.quarantine import quarantine, waiting
    from collector.spool.damage.told import losses
    from collector.status import loss_line

    if reason := _damage(path):
        click.echo(printable(f"{path}: {reason}"), err=True)
        quarantine(path, reason)
    # Nothing that was saved is let go here; the daemon holds to its limits when it starts.
    spool = Spool(path, Limits(_NO_LIMIT, dead_max_bytes=_NO_LIMIT, dead_max_count=_NO_LIMIT))
    try:
        before = len(losses(spool.reader, 1 << 30))
        for folder in waiting(path):
            _save(spool, folder)
        _quarantine_batches(spool)
        lost = losses(spool.reader, 1 << 30)
        for loss in lost[: len(lost) - before]:
            click.echo(printable(loss_line(loss)))
        if len(lost) == before:
            click.echo("nothing is lost" if reason else f"{path}: nothing is wrong")
        return len(lost) > before
    finally:
        spool.close()


def _save(spool: "Spool", folder: Path) -> None:
    from collector.spool.damage.salvage import Salvage

    summary: dict[str, Any] = {}
    for summary in Salvage(spool, folder).steps():
        if sys.stderr.isatty():
            click.echo(f"\r{summary['records']:,} records are saved", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    click.echo(
        f"{summary['records']:,} records and {summary['letters']:,} dead letters are saved;"
        f" the damaged file is in {folder}"
    )


def _quarantine_batches(spool: "Spool") -> None:
    """Read every batch, so that those whose bytes are not what was written are taken out."""
    for table in spool.reader.tables():
        position = 0
        while batches := spool.read(table, position, 64):
            position = batches[-1].id
    spool.tick()


def _rehearse(path: Path) -> bool:
    """Say what a repair would save and what is lost; changes nothing."""
    from collector.spool.damage.wreck import Wreck

    reason = _damage(path)
    whole = broken = 0
    with closing(Wreck(path)) as wreck:
        held = sum(value for (_, name), value in wreck.counters().items() if name == "spooled")
        for batch in wreck.batches(0):
            whole += batch.records if batch.is_whole else 0
            broken += 0 if batch.is_whole else batch.records
        pages = wreck.batches_of_pages(0, wreck.batch_ids())
        whole += sum(one.records for _, found in pages for one in found)
    lost = max(held - whole, broken)
    click.echo(printable(f"{path}: {reason or 'its pages are sound'}"))
    click.echo(f"{whole:,} records can be saved, {lost:,} are lost")
    return lost > 0


def _damage(path: Path) -> str:
    """All that can be found, however long it takes."""
    from collector.spool.damage.quarantine import find_damage

    return find_damage(path, budget_s=float("inf"))
