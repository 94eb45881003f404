"""What is said of a Zerobus Station: what differs, what is left out, what is to be done."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from collector.config.environment import read_dotenv
from collector.errors import Problem
from collector.migrate.station_file import StationFile, StationTable, line_of
from collector.tables import FILE_NAME, Schema
from collector.tables.proto_text import field_line

_SECRETS: Final = ("DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET")
_DIFF: Final = "schema.proto counts; `collector tables diff` compares it with the table"


def of_differences(found: StationFile, schemas: Mapping[str, Schema]) -> Iterator[Problem]:
    """Where `config.json` and the schemas that were there disagree."""
    for table in found.tables:
        if table.key in schemas:
            yield from _of_table(found, table, schemas[table.key])


def _of_table(found: StationFile, table: StationTable, schema: Schema) -> Iterator[Problem]:
    place = ("tables", table.key)
    said, own = f"{table.package}.{table.message}", schema.message.DESCRIPTOR.full_name
    if table.message and said != own:
        text = f"the message is {said} here and {own} in {FILE_NAME}"
        yield found.problem((*place, "message_name"), text, _DIFF)
    theirs = {
        column.name: field_line(column, column.number).partition(" //")[0]
        for column in schema.columns
    }
    if not table.lines:
        yield found.problem(place, "has no fields", f"{FILE_NAME} says which columns there are")
        return
    for name in dict.fromkeys([*table.lines, *theirs]):
        here, there = table.lines.get(name), theirs.get(name)
        if here == there:
            continue
        if there is None:
            text = f"{name} is not in {FILE_NAME}, so that Zerobus is not sent it"
        elif here is None:
            text = f"{name} is not here, but in {FILE_NAME}: it is a column"
        else:
            text = f"it is `{here}` here and `{there}` in {FILE_NAME}"
        yield found.problem((*place, "fields", name), text, _DIFF)


def of_shared(found: StationFile, owners: Mapping[str, str]) -> Iterator[Problem]:
    """Which stations have the schema of another, because both feed one table."""
    for key, owner in owners.items():
        if key != owner:
            text = f"is that of {owner} as well: both have the schema of {owner}"
            hint = f"tables/{key}/{FILE_NAME} is not used, if it is there"
            yield found.problem(("tables", key, "table_name"), text, hint)


def of_leftovers(folder: Path, keys: Collection[str]) -> Iterator[Problem]:
    """What lies in `tables/` and is not used."""
    tables = folder / "tables"
    for file in sorted(tables.glob("*/schema_pb2.py")):
        hint = f"{FILE_NAME} is compiled at start: it may be deleted"
        yield Problem(file, 1, "is not used", hint=hint)
    for file in sorted(tables.glob(f"*/{FILE_NAME}")):
        if file.parent.name not in keys:
            hint = "give it a station in stations.yaml, if records are to be sent there"
            yield Problem(file, 1, "has no table in config.json and is left out", hint=hint)


def of_environment(folder: Path, into: Path) -> Iterator[Problem]:
    """What is to be done so that the two variables are set; their values are told to nobody."""
    file = folder / ".env"
    if not file.exists():
        hint = f"write {' and '.join(_SECRETS)} into {into / '.env'}, or set them"
        yield Problem(file, 1, "is not there", hint=hint)
        return
    variables, problems = read_dotenv(file)
    yield from (replace(one, hint="a line is NAME=VALUE: correct it") for one in problems)
    for name in _SECRETS:
        if not variables.get(name):
            hint = "it is of the service principal: stations.yaml takes it from there"
            yield Problem(file, 1, "is not set", name, hint)
    for name in [name for name in variables if name not in _SECRETS]:
        line = line_of(file.read_text("utf-8-sig"), name)
        hint = f"`${{{name}}}` in stations.yaml stands for it"
        yield Problem(file, line, "is not used", name, hint)
    if into.absolute() != folder.absolute():
        yield Problem(file, 1, "is not copied", hint=f"install -m 600 {file} {into / '.env'}")
