"""Which tables a command is about: those of all stations, or of the ones that are named."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.commands._names import complete_station_or_table

if TYPE_CHECKING:
    from collector.config import Config, Station
    from collector.tables import Schema

names_argument = click.argument(
    "names", nargs=-1, metavar="[STATION|TABLE]...", shell_complete=complete_station_or_table
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A table with its schema and the stations that feed it."""

    name: str
    stations: "tuple[Station, ...]"
    schema: "Schema"

    @property
    def file(self) -> Path:
        """The schema's file."""
        from collector.tables import FILE_NAME

        return self.stations[0].schema_dir / FILE_NAME


def choose(config: "Config", names: Sequence[str]) -> list[Chosen]:
    """Return the tables, in the order of the configuration, and read their schemas.

    Raises:
        click.UsageError: there is no station and no table of a name.
        ConfigError: a schema has mistakes.
    """
    from collector.tables import load_schemas

    stations: dict[str, list[Station]] = {}
    for station in config.stations:
        stations.setdefault(station.table, []).append(station)
    tables = {station.name: station.table for station in config.stations}
    wanted = {_table(name, tables) for name in names} or set(stations)
    schemas = load_schemas(stations[table][0].schema_dir for table in stations if table in wanted)
    return [
        Chosen(table, tuple(feeding), schemas[feeding[0].schema_dir])
        for table, feeding in stations.items()
        if table in wanted
    ]


def _table(name: str, tables: dict[str, str]) -> str:
    """The table that is named, or that the named station feeds."""
    if name in tables:
        return tables[name]
    if name in tables.values():
        return name
    known = [*tables, *tables.values()]
    near = get_close_matches(name, known, 1) or sorted(tables)
    raise click.UsageError(f"{name} is no station and no table: did you mean {', '.join(near)}?")
