"""Tries out what was made, as a check does, and says of its mistakes where they come from.

Nobody has seen the files that are tried: a mistake in them is one of `config.json`, or of a schema
that was there.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from collector.config import load
from collector.errors import ConfigError, Problem
from collector.migrate.station_file import StationFile
from collector.plan import plan
from collector.tables import FILE_NAME, Schema, load_schemas

CONFIG_NAME: Final = "stations.yaml"
_KEYS: Final = {"zerobus.endpoint": "server_endpoint", "zerobus.workspace_url": "workspace_url"}
_MEND: Final = "mend it, or move it away: then one is made of the fields in config.json"
# Who one is to the workspace is not needed to try it out.
_VARIABLES: Final = {"DATABRICKS_CLIENT_ID": "unused"}


def place_of(key: str) -> Path:
    """Return where the schema of a station stands, in its folder."""
    return Path("tables") / key / FILE_NAME


class Trial:
    """One try; `there` are the schemas that were not made here. Mistakes go to `found.problems`."""

    def __init__(self, found: StationFile, there: Mapping[str, Path]) -> None:
        self._found = found
        self._there = there
        # What is wrong in a value that is missing was said already.
        self._said = {one.key for one in found.problems}

    def run(self, config: bytes, schemas: Mapping[str, bytes]) -> dict[str, Schema]:
        """Compile them, and return the schemas by station: none when one has mistakes."""
        with tempfile.TemporaryDirectory(prefix="collector-") as name:
            folder = Path(name)
            for key, text in schemas.items():
                (folder / place_of(key)).parent.mkdir(parents=True)
                (folder / place_of(key)).write_bytes(text)
            (folder / CONFIG_NAME).write_bytes(config)
            compiled = self._compile(folder, schemas)
            if schemas:
                self._load(folder, is_whole=len(compiled) == len(self._found.tables))
        return compiled

    def _compile(self, folder: Path, schemas: Mapping[str, bytes]) -> dict[str, Schema]:
        folders = {key: (folder / place_of(key)).parent for key in schemas}
        try:
            found = load_schemas(folders.values())
        except ConfigError as error:
            self._report(self._of_schema(one, schemas) for one in error.problems)
            return {}
        return {key: found[folders[key]] for key in schemas}

    def _load(self, folder: Path, *, is_whole: bool) -> None:
        """Read the configuration, and compile all of it when there is a schema for each station."""
        try:
            config = load(folder / CONFIG_NAME, _VARIABLES, secrets=False)
            if is_whole:
                plan(config)
        except ConfigError as error:
            self._report(map(self._of_config, error.problems))

    def _report(self, problems: Iterable[Problem]) -> None:
        self._found.problems += [one for one in problems if one.key not in self._said]

    def _of_config(self, problem: Problem) -> Problem:
        station = problem.key.removeprefix("stations.").partition(".")[0]
        own = _KEYS.get(problem.key)
        place = ("databricks", own) if own else ("tables", station, "table_name")
        return self._found.problem(place, problem.text, problem.hint)

    def _of_schema(self, problem: Problem, schemas: Mapping[str, bytes]) -> Problem:
        key = problem.file.parent.name
        if key in self._there:
            return Problem(self._there[key], problem.line, problem.text, hint=_MEND)
        line = schemas[key].decode().splitlines()[problem.line - 1]
        name = re.findall(r"(\w+) = ", line)
        return self._found.problem(("tables", key, "fields", *name), problem.text, problem.hint)
