"""`config.json` of a Zerobus Station: its values, where they stand, and what is wrong with them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from collector.errors import ConfigError, Problem

MAX_BYTES: Final = 1024 * 1024
_TOP: Final = ("databricks", "tables")
_DATABRICKS: Final = ("server_endpoint", "workspace_id", "workspace_url")
_TABLE: Final = ("table_name", "proto_package", "message_name", "fields")
_FIELD: Final = ("name", "type", "proto_type", "field_num")
_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KIND: Final = re.compile(r"(optional|required|repeated) [a-z0-9]+", re.ASCII)
_TOKEN: Final = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<colon>\s*:)?|[{}]')
# Hosts are written in lower case.
_PLACEHOLDERS: Final = {
    "server_endpoint": re.compile(r"[A-Z]{3,}|<.*>|\byour\b", re.ASCII),
    "workspace_url": re.compile(r"[A-Z]{3,}|<.*>|\byour\b", re.ASCII),
    "table_name": re.compile(r"catalog\.schema\..*", re.ASCII),
}


@dataclass(frozen=True, slots=True)
class StationTable:
    """An entry of `tables`; `lines` are its fields as `schema.proto` has them, by name."""

    key: str
    table: str
    package: str
    message: str
    lines: dict[str, str]


@dataclass(slots=True)
class StationFile:
    """What the file says; `remarks` is what a person should know of it or has to do.

    `problems` are mistakes; what has one is not among the `tables`.
    """

    file: Path
    text: str = ""
    endpoint: str = ""
    workspace_url: str = ""
    tables: list[StationTable] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, place: Sequence[str], text: str, hint: str = "") -> Problem:
        """Return what is wrong at a place, with its line."""
        line = line_of(self.text, *(json.dumps(key, ensure_ascii=False) for key in place))
        return Problem(self.file, line, text, ".".join(place), hint)


def read(file: Path) -> StationFile:
    """Read a file; raises `ConfigError` when nothing of it can be read."""
    return _Reading(file).run()


def line_of(text: str, *words: str) -> int:
    """Return the line of a word: of its first mention after those before it."""
    found = 0
    for word in words:
        found = max(found, text.find(word, found))
    return text.count("\n", 0, found) + 1


def _repeated(found: StationFile) -> Iterator[Problem]:
    """What stands twice in one object of the text, which is JSON: a reader takes the last."""
    path, seen = [""], [set[str]()]
    for token in _TOKEN.finditer(found.text):
        if token[0] == "{":
            path.append("")
            seen.append(set())
        elif token[0] == "}":
            path.pop()
            seen.pop()
        elif token["colon"]:
            path[-1] = key = json.loads(token["text"])
            if key in seen[-1]:
                line = found.text.count("\n", 0, token.start()) + 1
                hint = "a Zerobus Station takes the last: delete the other"
                yield Problem(found.file, line, "stands twice", ".".join(path[1:]), hint)
            seen[-1].add(key)


class _Reading:
    """One reading of one file."""

    def __init__(self, file: Path) -> None:
        self._found = StationFile(file)

    def run(self) -> StationFile:
        found, top = self._found, self._mapping(self._values(), ())
        self._remark_unknown(top, (), _TOP)
        databricks = self._mapping(top.get("databricks"), ("databricks",))
        self._remark_unknown(databricks, ("databricks",), _DATABRICKS)
        found.endpoint = self._said(databricks, ("databricks", "server_endpoint"))
        found.workspace_url = self._said(databricks, ("databricks", "workspace_url"))
        self._remark_other_workspace(databricks.get("workspace_id"))
        tables = self._mapping(top.get("tables"), ("tables",))
        if not tables:
            self._report(("tables",), "names no table")
        for key, value in tables.items():
            self._table(key, self._mapping(value, ("tables", key)))
        return found

    def _values(self) -> Any:
        try:
            raw = self._found.file.read_bytes()
        except OSError as error:
            self._end(1, f"can't be read: {error.strerror or error}")
        if len(raw) > MAX_BYTES:
            self._end(1, "is larger than 1 MiB")
        try:
            self._found.text = raw.decode("utf-8-sig")
            values = json.loads(self._found.text)
        except UnicodeDecodeError:
            self._end(1, "is not UTF-8 text")
        except json.JSONDecodeError as error:
            self._end(error.lineno, f"is no JSON: {error.msg}")
        except RecursionError:
            self._end(1, "is nested too deeply")
        self._found.problems += _repeated(self._found)
        return values

    def _end(self, line: int, text: str) -> NoReturn:
        raise ConfigError([Problem(self._found.file, line, text)])

    def _table(self, key: str, values: dict[str, Any]) -> None:
        place = ("tables", key)
        if not _KEY.fullmatch(key):
            text = "must be of ASCII letters, digits, underscores and hyphens"
            self._report(place, text, "it names the station and its folder: give it another")
            return
        self._remark_unknown(values, place, _TABLE)
        before = len(self._found.problems)
        table = StationTable(
            key=key,
            table=self._said(values, (*place, "table_name")),
            package=str(values.get("proto_package", key)),
            message=str(values.get("message_name", "")),
            lines=self._lines(values.get("fields"), place),
        )
        if len(self._found.problems) == before:
            self._found.tables.append(table)

    def _lines(self, fields: Any, place: tuple[str, ...]) -> dict[str, str]:
        place = (*place, "fields")
        if fields is not None and not isinstance(fields, list):
            self._report(place, "must be a list")
        lines: dict[str, str] = {}
        for number, one in enumerate(fields if isinstance(fields, list) else ()):
            values = self._mapping(one, place)
            name, kind, count = (values.get(word) for word in ("name", "proto_type", "field_num"))
            self._remark_unknown(values, (*place, str(name)), _FIELD)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                self._report(place, f"field {number + 1} has no name that protobuf takes")
            elif name in lines:
                self._report((*place, name), f"{name} stands twice")
            elif not isinstance(kind, str) or not _KIND.fullmatch(kind):
                hint = "write it as `optional int32`"
                self._report((*place, name), f"{name} has no proto_type that can be read", hint)
            elif type(count) is not int:
                self._report((*place, name), f"{name} has no field_num")
            else:
                lines[name] = f"{kind} {name} = {count};"
                self._remark_type((*place, name), values.get("type"), kind)
        return lines

    def _remark_type(self, place: tuple[str, ...], said: Any, kind: str) -> None:
        if said is not None and said != kind.split()[1]:
            text = f"the type of {place[-1]} is {said!r} and its proto_type {kind!r}"
            self._remark(place, text, "the proto_type counts")

    def _remark_unknown(
        self, values: dict[str, Any], place: tuple[str, ...], known: Sequence[str]
    ) -> None:
        for key in [key for key in values if key not in known]:
            text = "means nothing to a Zerobus Station and is left out"
            self._remark((*place, key), text, "docs/configuration.md has the keys that there are")

    def _remark_other_workspace(self, workspace: Any) -> None:
        own = self._found.endpoint.removeprefix("https://").partition(".")[0]
        is_known = own and not _PLACEHOLDERS["server_endpoint"].search(own)
        if workspace is not None and is_known and str(workspace) != own:
            place, text = ("databricks", "workspace_id"), f"is not {own}, that of server_endpoint"
            self._remark(place, text, "server_endpoint counts: see that it is the right one")

    def _said(self, values: dict[str, Any], place: tuple[str, ...]) -> str:
        """A text that must be there; a placeholder in it is left to be filled in."""
        value = values.get(place[-1])
        if not isinstance(value, str) or not value:
            self._report(place, "is missing" if value is None else "must be text")
            return ""
        if _PLACEHOLDERS[place[-1]].search(value):
            hint = "write your own into stations.yaml"
            self._remark(place, f"{value} looks like a placeholder", hint)
        return value

    def _mapping(self, value: Any, place: tuple[str, ...]) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        if value is not None or not place:
            self._report(place, "must be an object")
        return {}

    def _report(self, place: tuple[str, ...], text: str, hint: str = "") -> None:
        self._found.problems.append(self._found.problem(place, text, hint))

    def _remark(self, place: tuple[str, ...], text: str, hint: str) -> None:
        self._found.remarks.append(self._found.problem(place, text, hint))
