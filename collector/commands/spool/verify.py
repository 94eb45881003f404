"""`collector spool verify`: whether the spool is whole."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from collector.commands._options import config_option, file_option, spool_path
from collector.commands._output import echo_json, json_option, printable

_SHOWN = 50


@click.command(
    short_help="Check whether the spool is whole.",
    epilog="Exit codes: 0 the spool is whole, 1 it is not or can't be read, 2 usage,"
    " 78 configuration.",
)
@config_option
@file_option
@json_option
def command(config: Path, file: Path | None, as_json: bool) -> None:
    """Check the pages of the file, every batch and record, and the counters.

    Works beside the daemon, without it, and on a copy; reads all of the file.

    Example: collector spool verify --file /media/card/spool.db
    """
    from collector.spool import verify

    path = spool_path(config, file)
    problems = verify.pages(path)
    count = 0
    if not problems:
        problems += verify.counters(path)
    with click.progressbar(
        verify.records(path, _decoder()), file=sys.stderr, show_pos=True, label="records",
        update_min_steps=10_000, hidden=not sys.stderr.isatty(),
    ) as found:  # fmt: skip
        for records, problem in found:
            count += records
            problems += [problem] if problem else []
    if as_json:
        echo_json({"file": str(path), "records": count, "problems": problems})
    else:
        for problem in problems[:_SHOWN]:
            click.echo(printable(problem))
        if len(problems) > _SHOWN:
            click.echo(f"and {len(problems) - _SHOWN:,} more")
        click.echo(f"{path}: {count:,} records, {len(problems) or 'nothing'} wrong")
    if problems:
        hint = "`collector spool repair` saves what can be read, with the daemon stopped"
        click.echo(hint, err=True)
        raise click.exceptions.Exit(1)


def _decoder() -> Callable[[bytes, bytes], object]:
    """Return what decodes a record by its stored schema, each schema compiled once."""
    from collector.tables import Schema

    schemas: dict[bytes, Schema] = {}

    def decode(stored: bytes, record: bytes) -> object:
        if stored not in schemas:
            schemas[stored] = Schema.from_stored(stored)
        return schemas[stored].message.FromString(record)

    return decode
