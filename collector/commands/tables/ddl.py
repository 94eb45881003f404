"""`collector tables ddl`: the SQL that makes the tables of the stations."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from collector.commands._options import config_option
from collector.commands.tables._chosen import choose, names_argument

if TYPE_CHECKING:
    from collector.commands.tables._chosen import Chosen
    from collector.config import Station

_PLACEHOLDER: Final = "CLIENT-ID"
# The client id of a service principal; anything else is that of an emulator, or an example.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEADING: Final = """\
-- Written by `collector tables ddl`; nothing was executed. Run it in a SQL editor.
-- Zerobus writes to managed Delta tables only. That row tracking must be off is unconfirmed:
-- it stands in a sample of Databricks, and not in the documents."""
_WHO: Final = """\
-- The service principal may write to these tables. Zerobus wants SELECT and MODIFY on each table
-- itself: what is granted on the schema or the catalog is not enough."""
_NOBODY: Final = f"-- {_PLACEHOLDER} stands for its application id; --principal puts it in."
_VIEW: Final = """\
-- A record that is sent again carries the same number: this view has each once. Rows without a
-- gateway or a number are all kept."""


@click.command(
    short_help="Write the SQL that makes the tables.",
    epilog="Exit codes: 0 written, 2 usage, 78 the configuration or a schema has mistakes.",
)
@names_argument
@click.option("--principal", metavar="NAME", help="Who is granted. Default: zerobus.client_id.")
@config_option
def command(names: tuple[str, ...], principal: str | None, config: Path) -> None:
    """Write the SQL that makes tables: the tables, the grants, and views without duplicates.

    For all stations, or for those that are named, by themselves or by their tables. Nothing is
    executed and nothing is connected to.

    Example: collector tables ddl station_one > tables.sql
    """
    from collector.config import load
    from collector.tables.sql import create_table, grants

    loaded = load(config, secrets=False)
    chosen = choose(loaded, names)
    click.echo(_HEADING)
    for one in chosen:
        click.echo(f"\n{create_table(one.name, one.schema.columns, one.schema.comment)}")
    if principal is None and _UUID.fullmatch(loaded.zerobus.client_id):
        principal = loaded.zerobus.client_id
    click.echo(f"\n{_WHO}")
    if principal is None:
        click.echo(_NOBODY)
    for line in grants([one.name for one in chosen], principal or _PLACEHOLDER):
        click.echo(line)
    for one in chosen:
        click.echo("\n" + "\n".join(_distinct(one)))


def _distinct(chosen: "Chosen") -> Iterator[str]:
    """The view without duplicates, or what it would need."""
    from collector.tables.sql import distinct_view

    pairs = {station.name: _identity(station) for station in chosen.stations}
    whole = dict.fromkeys(pair for pair in pairs.values() if all(pair))
    if len(whole) > 1:
        yield f"-- No view without duplicates of {chosen.name}: its stations map $gateway and $seq"
        yield "-- to different columns."
    elif not whole:
        yield from _missing(chosen)
    else:
        yield _VIEW
        if without := [name for name, pair in pairs.items() if not all(pair)]:
            yield f"-- Those of {', '.join(without)} have none: map $gateway and $seq there too."
        ((gateway, seq),) = whole
        yield distinct_view(chosen.name, gateway, seq)


def _identity(station: "Station") -> tuple[str, str]:
    """The columns that say which record a row is; empty where there is none."""
    found = {words.sources: column for column, words in (station.columns or {}).items()}
    return found.get(("$gateway",), ""), found.get(("$seq",), "")


def _missing(chosen: "Chosen") -> Iterator[str]:
    names = ", ".join(station.name for station in chosen.stations)
    columns = {column.name for column in chosen.schema.columns}
    fields = [
        f"optional {kind} {name} = {number};"
        for number, (kind, name) in enumerate(_fields(columns), len(columns) + 1)
    ]
    yield f"-- There is no view without duplicates of {chosen.name}: nothing tells a record that"
    yield "-- was sent twice from two that are alike. It takes these lines in `columns` of"
    yield f"-- {names} in stations.yaml, beside one for each other column:"
    yield "--   gateway: $gateway"
    yield "--   seq: $seq"
    if fields:
        yield f"-- and these in {chosen.file.parent.name}/{chosen.file.name}:"
        yield from (f"--   {line}" for line in fields)


def _fields(columns: set[str]) -> Sequence[tuple[str, str]]:
    wanted = (("string", "gateway"), ("int64", "seq"))
    return [(kind, name) for kind, name in wanted if name not in columns]
