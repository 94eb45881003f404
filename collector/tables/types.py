"""Delta types and columns, and which protobuf field may carry which; see the table in the docs.

Knows the types of the service's mapping table and nothing of descriptors as a whole: those are
read in `columns.py`.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field


@dataclass(frozen=True, slots=True)
class DeltaType:
    """A type of a Delta table; `str` gives it as SQL writes it.

    `element` is that of an ARRAY or the value of a MAP, `key` that of a MAP, `fields` those of a
    STRUCT, and `length` that of a VARCHAR.
    """

    name: str
    element: "DeltaType | None" = None
    key: "DeltaType | None" = None
    fields: tuple["Column", ...] = ()
    length: int | None = None

    def __str__(self) -> str:
        if self.name == "ARRAY":
            return f"ARRAY<{self.element}>"
        if self.name == "MAP":
            return f"MAP<{self.key}, {self.element}>"
        if self.name == "STRUCT":
            return f"STRUCT<{', '.join(map(_member, self.fields))}>"
        return f"{self.name}({self.length})" if self.length is not None else self.name


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or a member of a STRUCT; `line` is 0 when there is no file.

    An ARRAY or MAP is always nullable here: protobuf can't require one.
    """

    name: str
    delta: DeltaType
    nullable: bool
    number: int
    line: int = field(default=0, compare=False)
    comment: str = field(default="", compare=False)


# Every scalar that the service takes, with the Delta types it may hold; the first is the default.
SCALARS: Final[dict[int, tuple[str, ...]]] = {
    Field.TYPE_INT32: ("INT", "SMALLINT", "TINYINT", "DATE"),
    Field.TYPE_INT64: ("BIGINT", "TIMESTAMP", "TIMESTAMP_NTZ"),
    Field.TYPE_FLOAT: ("FLOAT",),
    Field.TYPE_DOUBLE: ("DOUBLE",),
    Field.TYPE_STRING: ("STRING", "VARCHAR", "VARIANT"),
    Field.TYPE_BOOL: ("BOOLEAN",),
    Field.TYPE_BYTES: ("BINARY",),
}
KEYS: Final = frozenset({"INT", "SMALLINT", "TINYINT", "BIGINT", "STRING", "VARCHAR", "BOOLEAN"})
SYNONYMS: Final = {
    "INTEGER": "INT",
    "SHORT": "SMALLINT",
    "BYTE": "TINYINT",
    "LONG": "BIGINT",
}
_SIMPLE: Final = re.compile(r"([A-Z_]+)(?:\s*\(\s*([0-9]{1,9})\s*\))?", re.ASCII)
_ARRAY: Final = re.compile(r"ARRAY\s*<(.*)>")
_MAP: Final = re.compile(r"MAP\s*<([^,<>]*),(.*)>")


def parse_delta(text: str) -> DeltaType:
    """The type that a comment names: `TIMESTAMP`, `VARCHAR(20)`, `ARRAY<DATE>`, `MAP<STRING, INT>`.

    Raises ValueError for what the service has no mapping for.
    """
    words = text.strip().upper()
    if match := _ARRAY.fullmatch(words):
        return DeltaType("ARRAY", element=parse_delta(match[1]))
    if match := _MAP.fullmatch(words):
        return DeltaType("MAP", key=parse_delta(match[1]), element=parse_delta(match[2]))
    match = _SIMPLE.fullmatch(words)
    name = SYNONYMS.get(match[1], match[1]) if match else ""
    if match is None or not any(name in names for names in SCALARS.values()):
        raise ValueError(f"{text.strip()} is no type that Zerobus takes")
    if (name == "VARCHAR") != (match[2] is not None):
        example = "VARCHAR(20)" if name == "VARCHAR" else name
        raise ValueError(f"{text.strip()} is not complete: write it like {example}")
    return DeltaType(name, length=int(match[2]) if match[2] else None)


def _member(column: Column) -> str:
    return f"{column.name}: {column.delta}{'' if column.nullable else ' NOT NULL'}"
