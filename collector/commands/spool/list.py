"""`collector spool list`: the records that wait."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click

from collector.commands._names import complete_table
from collector.commands._options import (
    config_option,
    count_option,
    file_option,
    selected,
    selection_options,
    spool_path,
)
from collector.commands._output import (
    as_json_text,
    at,
    echo_columns,
    echo_lines,
    lines_option,
)


@click.command(
    short_help="List records in the order of sending.",
    epilog="Exit codes: 0 done, 1 failed or a batch is damaged, 2 usage, 78 configuration.",
)
@click.argument("table", required=False, shell_complete=complete_table)
@config_option
@file_option
@selection_options(table=False)
@count_option
@click.option("--after", type=int, help="Go on behind the record of this number.")
@click.option("--newest", is_flag=True, help="The newest first.")
@lines_option
def command(
    table: str | None,
    config: Path,
    file: Path | None,
    count: int,
    after: int | None,
    newest: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List records in the order in which they will be sent, of one table or of all.

    With a TABLE its columns are shown, else each row as JSON. Works beside the daemon, without it,
    and on a copy.

    Example: collector spool list main.iot.station_one -n 5

    Example: collector spool list --newest --station station_one --json
    """
    from collector.commands.spool._record import describer
    from collector.spool.contents import Contents

    contents = Contents(spool_path(config, file))
    if table is not None:
        contents.require_table(table)
    place = contents.place(after) if after is not None else None
    records = contents.records(
        selected(filters, tables=(table,) if table else ()), after=place, newest=newest
    )
    described = map(describer(contents.stored_schema), islice(records, count))
    if as_json:
        _stream(described)
        return
    found = list(described)
    if found:
        _show(found, one_table=table is not None)
    if not found:
        click.echo("nothing waits" + (f" behind {after}" if after is not None else ""), err=True)
    elif len(found) == count and "seq" in found[-1]:
        order = "--newest " if newest else ""
        click.echo(f"for more: {order}--after {found[-1]['seq']}", err=True)
    _judge(sum("broken" in one for one in found))


def _stream(described: Iterator[dict[str, Any]]) -> None:
    """Write each as it is read, however many are wanted."""
    broken = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal broken
        for one in described:
            broken += "broken" in one
            yield one

    echo_lines(counted())
    _judge(broken)


def _judge(broken: int) -> None:
    if broken:
        click.echo(f"{broken} can't be read: see `collector spool verify`", err=True)
        raise click.exceptions.Exit(1)


def _show(found: list[dict[str, Any]], *, one_table: bool) -> None:
    names: list[str] = []
    for one in found:
        names += [name for name in one.get("row", {}) if name not in names]
    heading = ["SEQ", "ARRIVED", *([] if one_table else ["TABLE"])]
    heading += [*(names if one_table else ["ROW"]), "STATION", "BATCH"]
    rows: list[list[Any]] = [heading]
    for one in found:
        row, broken = one.get("row", {}), one.get("broken", "")
        where = [
            str(one.get("seq", "-")),
            at(one["received_us"]) if "received_us" in one else "-",
            *([] if one_table else [one["table"]]),
        ]
        values = [_shown(row.get(name)) for name in names] if one_table else [as_json_text(row)]
        if broken:
            values = [f"damaged: {broken}", *[""] * (len(values) - 1)]
        rows.append([*where, *values, one.get("station", "-"), str(one["batch"])])
    echo_columns(rows, fixed=2)


def _shown(value: Any) -> str:
    return "NULL" if value is None else value if isinstance(value, str) else as_json_text(value)
