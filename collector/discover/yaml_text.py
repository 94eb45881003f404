r"""Values as YAML that the configuration reads back: short forms, quotes where they are needed.

>>> flow({"from": "/a", "null_if": [-999, "n/a"], "map": {"ON": True}})
'{from: /a, null_if: [-999, n/a], map: {ON: true}}'
>>> text("21.5"), text("a: b"), text("${x}"), text("tab\there"), text("$device")
('"21.5"', '"a: b"', '${x}', '"tab\\there"', '$device')
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

# What begins otherwise, or holds more, could be something else to YAML.
_PLAIN: Final = re.compile(r"[A-Za-z$/_.][A-Za-z0-9_./$%*-]*( [A-Za-z0-9_./$%*-]+)*")
_RESERVED: Final = re.compile(
    r"[-+]?\.?(inf|nan)|true|false|null|~|[-+.]?[0-9].*|\.", re.IGNORECASE
)
_NAMED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text(value: str) -> str:
    """A text as a scalar, within brackets too."""
    is_plain = (
        _PLAIN.fullmatch(value) or re.fullmatch(r"\$\{[A-Za-z_:./0-9-]+\}", value)
    ) and not _RESERVED.fullmatch(value)
    return value if is_plain else quoted(value)


def quoted(value: str) -> str:
    """A text in quotes, with escapes for what can't be seen."""
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if character.isprintable() and character != "\ufeff":
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\U{number:08x}"


def literal(value: str) -> str:
    """A text for the configuration, where `${` would begin a variable."""
    return text(value) if "${" not in value else quoted(value.replace("${", "$${"))


def flow(value: Any, word: Any = literal) -> str:
    """Any value on one line; `word` writes a text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{word(str(k))}: {flow(v, word)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one, word) for one in value) + "]"
    if isinstance(value, str):
        return str(word(value))
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


def one_line(words: str, longest: int) -> str:
    """Words on one line, cut, without what a terminal or a compiler would mind."""
    shown = "".join(one if one.isprintable() else " " for one in words)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def comment(words: str, longest: int) -> str:
    """Words as a comment."""
    return "# " + one_line(words, longest)
