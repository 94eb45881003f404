"""What a filter calls the levels of a topic, and which topics it means beyond MQTT's own rules.

`{name}` is a level or a part of one, `{name=a|b}` only these words, `{name*}` one or more levels. A
part of a level ends where the text behind it first occurs, so that a filter is read in one way
only and in time that grows with the topic alone.
"""

import re
from dataclasses import dataclass
from typing import Final

PARTS_MAX: Final = 8
"""Captures in one level."""

_CAPTURE: Final = re.compile(r"\{([a-z_][a-z0-9_]*)(\*|=[^{}]*)?\}")
_WRITE: Final = (
    "write {device}, {device*} for several levels, or {device=a|b} for some words only, in lower"
    " case letters, digits and underscores"
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """How topics are read: `wire` are the levels to subscribe, `names` those that are captured."""

    wire: tuple[str, ...]
    names: tuple[str, ...]
    expression: re.Pattern[str]

    def read(self, topic: str) -> dict[str, str] | None:
        """The captured levels of a topic; None when the filter does not mean it."""
        match = self.expression.fullmatch(topic)
        return None if match is None else match.groupdict()


def parse_pattern(text: str, topic: str) -> Pattern:
    """Read the levels of a filter; `text` is the whole of it, to be named in a ValueError."""
    return _Parser(text, topic.split("/")).parse()


class _Parser:
    """Goes through the levels once."""

    def __init__(self, text: str, levels: list[str]) -> None:
        self._text = text
        self._levels = levels
        self._names: list[str] = []
        self._is_open = False

    def parse(self) -> Pattern:
        wire: list[str] = []
        expression = ""
        for index, level in enumerate(self._levels):
            slash = "/" if index else ""
            if level == "#":
                expression += self._rest(index, slash)
                wire += [] if self._is_open else ["#"]
            elif level.startswith("{") and level.endswith("*}"):
                expression += slash + self._several(level)
                wire += [] if self._is_open else ["#"]
                self._is_open = True
            else:
                own, part = self._level(level)
                expression += slash + part
                wire += [] if self._is_open else [own]
        return Pattern(tuple(wire), tuple(self._names), re.compile(expression, re.DOTALL))

    def _rest(self, index: int, slash: str) -> str:
        if index + 1 < len(self._levels):
            raise ValueError(f"{self._text!r}: # must be the last level")
        if self._is_open:
            raise ValueError(f"{self._text!r}: {{name*}} and # can't stand in one filter")
        return f"(?:{slash}.*)?"

    def _several(self, level: str) -> str:
        if self._is_open:
            raise ValueError(f"{self._text!r}: {{name*}} may stand in a filter only once")
        return f"(?P<{self._name(level[1:-2], level)}>.+)"

    def _level(self, level: str) -> tuple[str, str]:
        """One level as it is subscribed, and the expression that reads it."""
        if level == "+":
            return "+", "[^/]*"
        if "+" in level or "#" in level:
            raise ValueError(
                f"{self._text!r}: + and # must be whole levels, not a part of {level!r}"
            )
        if "{" not in level and "}" not in level:
            return level, re.escape(level)
        pieces = _CAPTURE.split(level)
        texts, captures = pieces[::3], list(zip(pieces[1::3], pieces[2::3], strict=True))
        if any(set(text) & set("{}") for text in texts) or not captures:
            raise ValueError(f"{self._text!r}: {level!r} is no capture: {_WRITE}")
        if len(captures) > PARTS_MAX:
            raise ValueError(f"{self._text!r}: over {PARTS_MAX} captures in one level")
        if any(not text for text in texts[1:-1]):
            raise ValueError(
                f"{self._text!r}: there must be text between the captures of {level!r}"
            )
        expression = re.escape(texts[0])
        for (name, more), behind in zip(captures, texts[1:], strict=True):
            expression += self._part(level, name, more, behind)
        return "+", expression

    def _part(self, level: str, name: str, more: str | None, behind: str) -> str:
        self._name(name, level)
        if more == "*":
            raise ValueError(f"{self._text!r}: {{{name}*}} must be a whole level")
        if more is None:
            # A level of its own may be empty, as MQTT has it; a part of one may not.
            inner = "[^/]*" if level == f"{{{name}}}" else "[^/]+?" if behind else "[^/]+"
        else:
            words = more[1:].split("|")
            if not all(words) or set(more) & set("/+#"):
                raise ValueError(
                    f"{self._text!r}: {{{name}{more}}} needs words of one level: {{{name}=a|b}}"
                )
            # The longest first: a word may begin like another.
            inner = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        return f"(?>(?P<{name}>{inner}){re.escape(behind)})"

    def _name(self, name: str, level: str) -> str:
        if not _CAPTURE.fullmatch(f"{{{name}}}"):
            raise ValueError(f"{self._text!r}: {level!r} is no capture: {_WRITE}")
        if name in self._names:
            raise ValueError(f"{self._text!r} captures {{{name}}} twice")
        self._names.append(name)
        return name
