"""A YAML file as plain values that know their lines; the only place that imports yaml.

Scalars are read by the core rules of YAML 1.2: `true` and `false` are the only booleans, so that
ON, off, yes and no stay text. Keys are always text. Anchors, aliases and tags are refused: what an
operator reads is what there is, and no file can grow while it is read. Nothing here knows a key.

Every problem is collected; the values of what could be read are still given, so that one wrong
line does not hide the next.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from collector.errors import Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32
_TOO_DEEP: Final = f"it is nested deeper than {MAX_DEPTH} levels"

Place = tuple[str | int, ...]
"""Where a value stands: keys and positions from the top."""

Value = str | int | float | bool | dict[str, "Value"] | list["Value"] | None

_INTEGER = re.compile(r"[-+]?[0-9]{1,30}|0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    re.ASCII,
)
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}


@dataclass
class Document:
    """What one file holds: its values, the line of each place, and what is wrong.

    `broken` means that it could not be read to its end: what seems missing may be there.
    `unexpanded` says why a text could not be expanded. It is no problem yet: the value may come
    from elsewhere.
    """

    file: Path
    values: Value = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unexpanded: dict[Place, str] = field(default_factory=dict)
    broken: bool = False

    def line(self, place: Place) -> int:
        """The line of a place; of what encloses it when the place itself is not in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def lines_of_each(self, place: Place) -> dict[str | int, dict[str, int]]:
        """The lines of all that each member of a place holds, by keys that begin there."""
        depth = len(place)
        found: dict[str | int, dict[str, int]] = {}
        for inner, line in self.lines.items():
            if len(inner) > depth and inner[:depth] == place:
                member = found.setdefault(inner[depth], {})
                if len(inner) > depth + 1:
                    member[key_of(inner[depth + 1 :])] = line
        return found

    def place_of(self, place: Place, steps: Place) -> Place:
        """Follow steps from a place as far as the file has them; all of them if it ends early.

        A short form in the file has fewer levels than the model that it is read into.
        """
        found = place
        for step in steps:
            if (*found, step) in self.lines:
                found = (*found, step)
        missing = steps[-1:] if found == place else ()
        return (*found, *missing)

    def report(self, place: Place, text: str, hint: str = "") -> None:
        """Note that something is wrong at a place."""
        self.problems.append(Problem(self.file, self.line(place), text, key_of(place), hint))


def key_of(place: Place) -> str:
    """How a place is named in a message: `stations.one.topic[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def read(file: Path, expand: Callable[[str], str]) -> Document:
    """Read a file; `expand` is called with each text value and may raise ValueError."""
    document = Document(file, broken=True)
    try:
        _Composer(document, expand, _content(file)).compose()
        document.broken = False
    except OSError as error:
        hint = "name another with --config" if isinstance(error, FileNotFoundError) else ""
        document.report((), f"can't be read: {error.strerror or error}", hint)
    except ValueError as error:
        document.report((), str(error))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        document.problems.append(Problem(file, line, f"is no valid YAML: {_words(error)}"))
    except yaml.YAMLError as error:
        text = str(getattr(error, "reason", "it can't be parsed"))
        document.problems.append(Problem(file, 1, f"is no valid YAML: {text}"))
    return document


def _content(file: Path) -> str:
    with file.open("rb") as stream:
        raw = stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError("is larger than 1 MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(f"is not UTF-8 text (line {line})") from error


def _words(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, without quoting the file: the text may be a password."""
    problem = str(error.problem or error.context or "it can't be parsed")
    if "nesting depth" in problem:  # The parser reads ahead, and has a limit of its own.
        return _TOO_DEEP
    return re.sub(r"(handle|anchor|alias|directive) ['\"].*", r"\1", problem)


class _Composer:
    """Builds the values from the parser's events."""

    def __init__(self, document: Document, expand: Callable[[str], str], text: str) -> None:
        self._document = document
        self._expand = expand
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)

    def compose(self) -> None:
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fault(event, (), "holds a second document: `---` may stand only once")
                    return
                self._document.values = self._value(next(self._events), ())

    def _value(self, event: yaml.Event, place: Place) -> Value:
        if len(place) >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=_TOO_DEEP,
                problem_mark=yaml.Mark("", 0, _line(event) - 1, 0, None, 0),
            )
        self._document.lines.setdefault(place, _line(event))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._fault(event, place, "anchors and aliases are not supported: write it out")
        if getattr(event, "tag", None) not in (None, "!"):
            self._fault(
                event, place, "tags are not supported: put text that starts with ! in quotes"
            )
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place)
        return self._scalar(event, place) if isinstance(event, yaml.ScalarEvent) else None

    def _mapping(self, place: Place) -> dict[str, Value]:
        values: dict[str, Value] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._fault(event, place, "a key must be plain text")
                self._value(event, (*place, ""))
                self._value(next(self._events), (*place, ""))
                continue
            inner = (*place, event.value)
            if event.value in values:
                first = self._document.lines[inner]
                self._fault(event, inner, f"stands twice: first in line {first}")
                self._value(next(self._events), inner)
                continue
            self._document.lines.setdefault(inner, _line(event))
            values[event.value] = self._value(next(self._events), inner)
        return values

    def _sequence(self, place: Place) -> list[Value]:
        values: list[Value] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*place, len(values))))
        return values

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Value:
        text: str = event.value
        try:
            expanded = self._expand(text)
        except ValueError as error:
            self._document.unexpanded[place] = str(error)
            return text
        # What comes out of a variable is text whatever it looks like; the key's type reads it.
        quoted = not event.implicit[0]
        return expanded if quoted or expanded != text else _resolve(text)

    def _fault(self, event: yaml.Event, place: Place, text: str) -> None:
        line = _line(event)
        self._document.problems.append(Problem(self._document.file, line, text, key_of(place)))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _resolve(text: str) -> Value:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in {"0o", "0x"} else 10)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
