"""The text of a `schema.proto` for columns: what `load_schema` reads back as the same columns."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from collector.tables.naming import message_name
from collector.tables.types import SCALARS, Column, DeltaType

_WIDTH: Final = 96
_RESERVED_FROM: Final = 19_000
# The protobuf type of each plain Delta type, and whether it is what the type means by itself.
_PLAIN: Final = {
    name: (kind, place == 0)
    for kind, names in (
        (word, SCALARS[number])
        for word, number in (
            ("double", 1),
            ("float", 2),
            ("int64", 3),
            ("int32", 5),
            ("bool", 8),
            ("string", 9),
            ("bytes", 12),
        )
    )
    for place, name in enumerate(names)
}


def proto_text(name: str, columns: Sequence[Column], comment: str = "", heading: str = "") -> str:
    """The file of a table; `heading` stands above it, `comment` is the table's own."""
    lines = [*_commented(heading, ""), 'syntax = "proto2";', ""]
    message = message_name(name)
    lines += [*_commented(comment, ""), f"message {message} {{", *_body(columns, "  "), "}", ""]
    return "\n".join(lines)


def field_line(column: Column, number: int) -> str:
    """The line of a column, without its comment; a STRUCT is given with its message.

    >>> field_line(Column("day", DeltaType("DATE"), True, 3), 3)
    'optional int32 day = 3; // delta: DATE'
    """
    kept = Column(column.name, column.delta, column.nullable, number)
    return " ".join(line.strip() for line in _body([kept], "", [number]))


def _body(
    columns: Sequence[Column], indent: str, numbers: Sequence[int] | None = None
) -> Iterator[str]:
    numbers = numbers or [_number(place) for place in range(len(columns))]
    messages = _message_names(columns)
    for column, number in zip(columns, numbers, strict=True):
        yield from _commented(column.comment, indent)
        yield indent + _field(column, number, messages.get(column.name, ""))
    for column in columns:
        if column.name in messages:
            struct = column.delta if column.delta.name == "STRUCT" else column.delta.element
            yield f"{indent}message {messages[column.name]} {{"
            yield from _body(struct.fields if struct else (), indent + "  ")
            yield f"{indent}}}"


def _number(place: int) -> int:
    """Protobuf keeps 19000 to 19999 for itself."""
    number = place + 1
    return number if number < _RESERVED_FROM else number + 1_000


def _field(column: Column, number: int, message: str) -> str:
    delta, comment = column.delta, ""
    label = "optional" if column.nullable else "required"
    if delta.name == "MAP" and delta.key is not None and delta.element is not None:
        (key, one), (value, other) = _PLAIN[delta.key.name], _PLAIN[delta.element.name]
        kind, label, plain = f"map<{key}, {value}>", "", one and other
    elif delta.name == "ARRAY" and delta.element is not None:
        kind, plain = _kind(delta.element, message)
        label = "repeated"
    else:
        kind, plain = _kind(delta, message)
    comment = "" if plain else f" // delta: {delta}"
    return f"{label} {kind} {column.name} = {number};{comment}".lstrip()


def _kind(delta: DeltaType, message: str) -> tuple[str, bool]:
    return (message, True) if delta.name == "STRUCT" else _PLAIN[delta.name]


def _message_names(columns: Sequence[Column]) -> dict[str, str]:
    """What the messages of the STRUCTs are called: nothing else in their scope has such a name."""
    taken = {column.name for column in columns}
    # The compiler makes a message of each map.
    taken |= {_entry_name(one.name) for one in columns if one.delta.name == "MAP"}
    names: dict[str, str] = {}
    for column in columns:
        element = column.delta.element if column.delta.name == "ARRAY" else column.delta
        if element is not None and element.name == "STRUCT":
            name = message_name(column.name)
            while name in taken:
                name += "Struct"
            taken.add(name)
            names[column.name] = name
    return names


def _entry_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry"


def _commented(text: str, indent: str) -> Iterator[str]:
    """A text as comment lines; one that reads like a Delta type is not to be taken for one."""
    width = _WIDTH - len(indent) - 3
    for line in re.findall(rf"\S.{{0,{width}}}(?=\s|$)|\S+", text):
        shielded = re.sub(r"^delta\s*:", "delta -", line, flags=re.IGNORECASE)
        yield f"{indent}// {shielded.rstrip()}"
