"""The word for a value that does not fit, and how values are shown to an operator."""

import json
from decimal import Decimal
from typing import Final

SHOWN_MAX: Final = 80
"""A reason quotes no more characters of a value than this."""


class MisfitError(ValueError):
    """A value does not fit its column; `kind` is that of the dead letter.

    `path` leads to the value, beginning with the column; it grows on the way out.
    """

    def __init__(self, kind: str, text: str, value: object = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.value = value
        self.column = ""
        self.path = ""

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.path}: {text}" if self.path else text

    def of(self, column: str) -> "MisfitError":
        """The same misfit, as that of a column."""
        self.column = column
        return self.inside(column)

    def inside(self, step: str) -> "MisfitError":
        """The same misfit, seen from one level further out."""
        self.path = f"{step}{self.path}"
        return self


def bad(value: object, wanted: str) -> MisfitError:
    """A value that can't become what the column wants."""
    return MisfitError("bad_value", f"{shown(value)} is not {wanted}", value)


def too_large(value: object, type_name: str) -> MisfitError:
    """A number that the column can't hold."""
    return MisfitError("out_of_range", f"{shown(value)} is out of the range of {type_name}", value)


def shown(value: object) -> str:
    """A value on one short line: cut, without control characters, never costly."""
    if isinstance(value, str):
        return f'"{escaped(value)}"'
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, int | float | Decimal):
        return str(value)[:SHOWN_MAX]
    return f"a {type(value).__name__}"


def escaped(text: str) -> str:
    """The beginning of a text, with what can't be seen written as an escape."""
    cut = "…" if len(text) > SHOWN_MAX else ""
    return "".join(map(_visible, text[:SHOWN_MAX])) + cut


def _visible(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()
