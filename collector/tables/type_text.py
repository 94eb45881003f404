"""Delta types as SQL and the catalog write them, of any kind: `struct<a:int,b:array<string>>`.

`parse_delta` in `types.py` is for the comments of a schema and takes only what Zerobus takes.
"""

import re
from typing import Final

from collector.tables.types import SYNONYMS, Column, DeltaType

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<mark>[<>,:()])|`(?P<quoted>(?:[^`]|``)*)`|(?P<text>'(?:[^'\\]|\\.)*')"""
    r"""|(?P<word>[^\s<>,:()`']+))""",
    re.DOTALL,
)
_SYNONYMS: Final = {
    **SYNONYMS,
    "REAL": "FLOAT",
    "DEC": "DECIMAL",
    "NUMERIC": "DECIMAL",
    "TIMESTAMP_LTZ": "TIMESTAMP",
}
_DEPTH_MAX: Final = 100


def parse_type(text: str) -> DeltaType:
    """Read a type; raises ValueError when it is none."""
    reader = _Reader(text)
    delta = reader.type(0)
    if not reader.is_at_end:
        raise ValueError(f"{text!r} is no type")
    return delta


class _Reader:
    def __init__(self, text: str) -> None:
        self._source = text
        self._tokens: list[tuple[str, str]] = []
        place, text = 0, text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise ValueError(f"{text!r} is no type")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()
        self._place = 0

    @property
    def is_at_end(self) -> bool:
        return self._place == len(self._tokens)

    def type(self, depth: int) -> DeltaType:
        if depth > _DEPTH_MAX:
            raise ValueError(f"a type is nested deeper than {_DEPTH_MAX} levels")
        name = self._word().upper()
        name = _SYNONYMS.get(name, name)
        if name == "ARRAY":
            self._mark("<")
            element = self.type(depth + 1)
            self._mark(">")
            return DeltaType("ARRAY", element=element)
        if name == "MAP":
            self._mark("<")
            key = self.type(depth + 1)
            self._mark(",")
            value = self.type(depth + 1)
            self._mark(">")
            return DeltaType("MAP", key=key, element=value)
        if name == "STRUCT":
            return DeltaType("STRUCT", fields=self._members(depth + 1))
        return self._plain(name)

    def _plain(self, name: str) -> DeltaType:
        arguments = self._arguments()
        if name == "VARCHAR" and len(arguments) == 1 and arguments[0].isdigit():
            return DeltaType("VARCHAR", length=int(arguments[0]))
        if name == "DECIMAL":
            arguments = arguments or ["10", "0"]
            arguments = arguments if len(arguments) > 1 else [*arguments, "0"]
        if name == "STRING":
            arguments = []  # A collation says nothing about what it holds.
        words = [name]
        while self._peek("word") and self._peek_upper() not in {"NOT", "COMMENT", "COLLATE"}:
            words.append(self._word().upper())  # `interval day to second`
        if self._peek_upper() == "COLLATE":
            self._word()
            self._word()
        return DeltaType(" ".join(words) + (f"({','.join(arguments)})" if arguments else ""))

    def _arguments(self) -> list[str]:
        arguments: list[str] = []
        if self._take("("):
            arguments.append(self._word())
            while self._take(","):
                arguments.append(self._word())
            self._mark(")")
        return arguments

    def _members(self, depth: int) -> tuple[Column, ...]:
        members: list[Column] = []
        self._mark("<")
        while not self._take(">"):
            if members:
                self._mark(",")
            name = self._name()
            self._take(":")
            delta = self.type(depth)
            nullable, comment = True, ""
            if self._peek_upper() == "NOT":
                self._word()
                if self._word().upper() != "NULL":
                    raise ValueError(f"{self._source!r} is no type")
                nullable = delta.name in {"ARRAY", "MAP"}
            if self._peek_upper() == "COMMENT":
                self._word()
                comment = re.sub(r"\\(.)", r"\1", self._next("text")[1:-1])
            members.append(Column(name, delta, nullable, len(members) + 1, comment=comment))
        return tuple(members)

    def _name(self) -> str:
        if self._peek("quoted"):
            return self._next("quoted").replace("``", "`")
        return self._word()

    def _word(self) -> str:
        return self._next("word")

    def _peek(self, kind: str) -> bool:
        return not self.is_at_end and self._tokens[self._place][0] == kind

    def _peek_upper(self) -> str:
        return self._tokens[self._place][1].upper() if self._peek("word") else ""

    def _next(self, kind: str) -> str:
        if not self._peek(kind):
            raise ValueError(f"{self._source!r} is no type")
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _take(self, mark: str) -> bool:
        found = self._peek("mark") and self._tokens[self._place][1] == mark
        self._place += found
        return found

    def _mark(self, mark: str) -> None:
        if not self._take(mark):
            raise ValueError(f"{self._source!r} is no type")
