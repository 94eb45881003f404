"""`collector spool export`: the records of a table for another program."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._export import export, format_option, output_option
from collector.commands._files import refuse_spool
from collector.commands._names import complete_table
from collector.commands._options import (
    config_option,
    file_option,
    selected,
    selection_options,
    spool_path,
)

if TYPE_CHECKING:
    from collector.spool.contents import Contents

_META = ("_seq", "_station", "_received")


@click.command(
    short_help="Write the records of a table to a file.",
    epilog="Exit codes: 0 done, 1 failed or a batch is damaged: the rest is exported, 2 usage,"
    " 78 configuration.",
)
@click.argument("table", shell_complete=complete_table)
@config_option
@file_option
@selection_options(table=False)
@format_option
@output_option
def command(
    table: str, config: Path, file: Path | None, form: str, output: Path | None, **filters: Any
) -> None:
    """Write the records of a table to a file or to stdout, however many wait.

    Each has the columns of the table, and _seq, _station and _received. Nothing is taken out of the
    spool: what is exported will still be sent.

    Example: collector spool export main.iot.station_one --format csv -o station_one.csv
    """
    from collector.spool.contents import Contents

    contents = Contents(spool_path(config, file))
    refuse_spool(output, contents.path)
    contents.require_table(table)
    selection = selected(filters, tables=(table,))
    total = contents.count(selection)
    broken: list[str] = []
    documents = _documents(contents, selection, broken)
    columns = (*_META, *_columns(contents, table))
    count = export(documents, columns, form, output, total)
    click.echo(f"{count:,} records of {table}", err=True)
    if broken:
        for text in broken[:20]:
            click.echo(text, err=True)
        click.echo(f"{len(broken)} can't be read: see `collector spool verify`", err=True)
        raise click.exceptions.Exit(1)


def _documents(contents: "Contents", selection: Any, broken: list[str]) -> Iterator[dict[str, Any]]:
    from collector.commands.spool._record import describer

    for one in map(describer(contents.stored_schema), contents.records(selection)):
        if "row" in one:
            meta = zip(_META, (one["seq"], one["station"], one["received"]), strict=True)
            yield {**dict(meta), **one["row"]}
        else:
            broken.append(f"batch {one['batch']}: {one['broken']}")


def _columns(contents: "Contents", table: str) -> Iterable[str]:
    """The columns of every schema that waiting records of a table have."""
    from collector.rows import Rows

    rows = Rows(contents.stored_schema)
    names: dict[str, None] = {}
    for fingerprint in contents.fingerprints(table):
        names |= dict.fromkeys(column.name for column in rows.schema(fingerprint).columns)
    return names
