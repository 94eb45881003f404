"""What a Zerobus Station becomes: the files of a collector, tried out, and what is said of it.

Where there is a `schema.proto` it counts, because Zerobus was sent what it says; where there is
none, one is made of the fields of `config.json`.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.config import load
from collector.discover import yaml_text
from collector.errors import ConfigError, Problem
from collector.migrate.remarks import of_differences, of_environment, of_leftovers
from collector.migrate.station_file import StationFile, StationTable, read
from collector.plan import plan
from collector.tables import FILE_NAME, Schema
from collector.tables.naming import message_name

CONFIG_NAME: Final = "stations.yaml"
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
_KEYS: Final = {"zerobus.endpoint": "server_endpoint", "zerobus.workspace_url": "workspace_url"}
_MEND: Final = "mend it, or move it away: then one is made of the fields in config.json"


@dataclass(frozen=True, slots=True)
class Migration:
    """Files by their path in the new folder; `remarks` is what a person should know or do."""

    files: Mapping[Path, bytes]
    stations: tuple[str, ...]
    remarks: tuple[Problem, ...]


def migrate(file: Path, into: Path) -> Migration:
    """Return what `config.json` becomes in a folder; writes nothing.

    Raises:
        ConfigError: something of it can't be taken over.
    """
    found, folder = read(file), file.parent
    there = {one.key: schema for one in found.tables if (schema := _there(folder, one)).is_file()}
    schemas = {one.key: _schema(found, one, there) for one in found.tables}
    files = {_place(key): text for key, text in schemas.items()}
    files[Path(CONFIG_NAME)] = _config(found).encode()
    compiled = _try(found, files, there)
    remarks = [
        *found.remarks,
        *of_differences(found, {key: compiled[key] for key in there}),
        *of_leftovers(folder, schemas),
        *of_environment(folder, into),
    ]
    return Migration(files, tuple(schemas), tuple(remarks))


def _there(folder: Path, table: StationTable) -> Path:
    return folder / _place(table.key)


def _place(key: str) -> Path:
    return Path("tables") / key / FILE_NAME


def _schema(found: StationFile, table: StationTable, there: Mapping[str, Path]) -> bytes:
    """The text of a schema: of its file as it is, or of the fields."""
    if file := there.get(table.key):
        try:
            return file.read_bytes()
        except OSError as error:
            raise ConfigError([Problem(file, 1, f"can't be read: {error.strerror}")]) from error
    if not table.lines:
        text = f"names no field, and there is no {_place(table.key)}"
        raise ConfigError([found.problem(("tables", table.key, "fields"), text)])
    return _SCHEMA.format(
        table=table.table,
        message=message_name(table.key),
        lines="\n".join(f"  {line}" for line in table.lines.values()),
    ).encode()


def _config(found: StationFile) -> str:
    head = _HEAD.format(
        endpoint=yaml_text.literal(found.endpoint),
        workspace_url=yaml_text.literal(found.workspace_url),
    )
    return head + "\n".join(
        _STATION.format(name=yaml_text.text(one.key), table=yaml_text.literal(one.table))
        for one in found.tables
    )


def _try(
    found: StationFile, files: Mapping[Path, bytes], there: Mapping[str, Path]
) -> dict[str, Schema]:
    """Compile what was made, as a check does, and return the schemas by station."""
    with tempfile.TemporaryDirectory(prefix="collector-") as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        try:
            # Who one is to the workspace is not needed for that.
            variables = {"DATABRICKS_CLIENT_ID": "unused"}
            compiled = plan(load(folder / CONFIG_NAME, variables, secrets=False))
        except ConfigError as error:
            wrong = [_of_station(found, files, there, one, folder) for one in error.problems]
            raise ConfigError(wrong) from error
    pairs = zip(compiled.config.stations, compiled.mappings, strict=True)
    return {station.name: mapping.schema for station, mapping in pairs}


def _of_station(
    found: StationFile,
    files: Mapping[Path, bytes],
    there: Mapping[str, Path],
    problem: Problem,
    folder: Path,
) -> Problem:
    """Say what was found in a file that nobody has seen where it comes from."""
    path = problem.file.relative_to(folder)
    if path == Path(CONFIG_NAME):
        station = problem.key.removeprefix("stations.").partition(".")[0]
        own = _KEYS.get(problem.key)
        place = ("databricks", own) if own else ("tables", station, "table_name")
        return found.problem(place, problem.text, problem.hint)
    key = path.parent.name
    if key in there:
        return Problem(there[key], problem.line, problem.text, hint=_MEND)
    line = files[path].decode().splitlines()[problem.line - 1]
    name = re.findall(r"(\w+) = ", line)
    return found.problem(("tables", key, "fields", *name), problem.text, problem.hint)
