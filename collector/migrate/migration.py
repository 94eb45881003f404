"""What a Zerobus Station becomes: the files of a collector, tried out, and what is said of it.

Where there is a `schema.proto` it counts, because Zerobus was sent what it says; where there is
none, one is made of the fields of `config.json`. Tables of `config.json` that are one table of
Databricks share the schema of the first, its owner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.discover import yaml_text
from collector.errors import ConfigError, Problem
from collector.migrate.remarks import of_differences, of_environment, of_leftovers, of_shared
from collector.migrate.station_file import StationFile, StationTable, read
from collector.migrate.trial import CONFIG_NAME, Trial, place_of
from collector.tables import Schema
from collector.tables.naming import message_name

_HEAD: Final = """\
# Written by `collector migrate`: what a Zerobus Station did, with a spool under it. Every key that
# there is stands in docs/configuration.md; docs/from-zerobus-station.md says what is different.

# For this box alone. Another address, such as 0.0.0.0:8000, needs a token.
http:
  listen: 127.0.0.1:8000

zerobus:
  endpoint: {endpoint}
  workspace_url: {workspace_url}
  client_id: ${{DATABRICKS_CLIENT_ID}}
  client_secret: ${{DATABRICKS_CLIENT_SECRET}}

stations:
"""
_STATION: Final = """\
  {name}:
    table: {table}
"""
_SCHEMA: Final = """\
// The schema of {table}, of the fields in config.json.
syntax = "proto2";

message {message} {{
{lines}
}}
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """Files by their path in the new folder; `remarks` is what a person should know or do."""

    files: Mapping[Path, bytes]
    stations: tuple[str, ...]
    remarks: tuple[Problem, ...]


def migrate(file: Path, into: Path) -> Migration:
    """Return what `config.json` becomes in a folder; writes nothing.

    Raises:
        ConfigError: something of it can't be taken over; all that is wrong is said.
    """
    found, folder = read(file), file.parent
    there = {one.key: own for one in found.tables if (own := folder / place_of(one.key)).is_file()}
    schemas, owners = _schemas(found, there), _owners(found)
    config = _config(found, owners).encode()
    compiled = Trial(found, there).run(config, schemas)
    found.problems += _disagreeing(found, owners, compiled)
    if found.problems:
        raise ConfigError(sorted(found.problems, key=lambda one: (one.file, one.line)))
    remarks = [
        *found.remarks,
        *of_differences(found, {key: compiled[key] for key in there}),
        *of_shared(found, owners),
        *of_leftovers(folder, schemas),
        *of_environment(folder, into),
    ]
    files = {place_of(key): text for key, text in schemas.items() if owners[key] == key}
    return Migration({**files, Path(CONFIG_NAME): config}, tuple(schemas), tuple(remarks))


def _schemas(found: StationFile, there: Mapping[str, Path]) -> dict[str, bytes]:
    """The text of each schema: of its file as it is, or of the fields."""
    texts: dict[str, bytes] = {}
    for table in found.tables:
        if file := there.get(table.key):
            try:
                texts[table.key] = file.read_bytes()
            except OSError as error:
                found.problems.append(Problem(file, 1, f"can't be read: {error.strerror}"))
        elif table.lines:
            texts[table.key] = _of_fields(table)
        else:
            text = f"names no field, and there is no {place_of(table.key)}"
            found.problems.append(found.problem(("tables", table.key, "fields"), text))
    return texts


def _of_fields(table: StationTable) -> bytes:
    return _SCHEMA.format(
        table=table.table,
        message=message_name(table.key),
        lines="\n".join(f"  {line}" for line in table.lines.values()),
    ).encode()


def _owners(found: StationFile) -> dict[str, str]:
    """Whose schema each station has: that of the first of its table."""
    first: dict[str, str] = {}
    return {one.key: first.setdefault(one.table, one.key) for one in found.tables}


def _disagreeing(
    found: StationFile, owners: Mapping[str, str], compiled: Mapping[str, Schema]
) -> Iterator[Problem]:
    """Stations of one table whose columns differ: it can have the columns of one only."""
    for key, owner in owners.items():
        if key == owner or key not in compiled or owner not in compiled:
            continue
        ours, theirs = compiled[key].columns, compiled[owner].columns
        alone = [column for column in ours if column not in theirs]
        alone += [column for column in theirs if column not in ours]
        if alone:
            names = ", ".join(dict.fromkeys(column.name for column in alone))
            text = f"differ from those of {owner}, which feeds the same table: {names}"
            hint = "make them equal, also in schema.proto where it is, or name another table"
            yield found.problem(("tables", key, "fields"), text, hint)


def _config(found: StationFile, owners: Mapping[str, str]) -> str:
    head = _HEAD.format(
        endpoint=yaml_text.literal(found.endpoint),
        workspace_url=yaml_text.literal(found.workspace_url),
    )
    return head + "\n".join(_station(one, owners[one.key]) for one in found.tables)


def _station(table: StationTable, owner: str) -> str:
    name, of = yaml_text.text(table.key), yaml_text.literal(table.table)
    text = _STATION.format(name=name, table=of)
    return text if owner == table.key else f"{text}    schema: {yaml_text.text(owner)}\n"
