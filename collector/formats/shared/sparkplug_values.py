"""The value of a Sparkplug metric: from the field it came in to what its type makes of it.

A signed number is the two's complement of its type, in 8 to 64 bits or in all bits of the field:
devices do both, and no value means two things. What does not fit its type raises `ValueError`.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from collector.formats.shared.sparkplug_wire import (
    BOOLEAN,
    BYTES,
    DATASET,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    STRING,
    TYPES,
)

_Read = Callable[[Any], Any]

# The fields of a cell are those of a metric, numbered from 1.
_CELL: Final = INT - 1
_ARRAYS: Final = {
    "Int8Array": "b",
    "Int16Array": "h",
    "Int32Array": "i",
    "Int64Array": "q",
    "UInt8Array": "B",
    "UInt16Array": "H",
    "UInt32Array": "I",
    "UInt64Array": "Q",
    "FloatArray": "f",
    "DoubleArray": "d",
    "DateTimeArray": "Q",
}


def readers() -> dict[int, tuple[str, dict[int, _Read]]]:
    """For each type of which there are values: the kind of them, and how each field is read."""
    kinds: dict[str, tuple[str, dict[int, _Read]]] = {
        "Float": ("number", {FLOAT: _same, DOUBLE: _same}),
        "Double": ("number", {FLOAT: _same, DOUBLE: _same}),
        "Boolean": ("boolean", {BOOLEAN: _same}),
        "DateTime": ("number", {INT: _same, LONG: _same}),
        "DataSet": ("dataset", {}),
        "BooleanArray": ("array", {BYTES: _booleans}),
        "StringArray": ("array", {BYTES: _strings}),
        **dict.fromkeys(("String", "Text", "UUID"), ("text", {STRING: text})),
        **dict.fromkeys(("Bytes", "File"), ("bytes", {BYTES: _same})),
    }
    for bits in (8, 16, 32, 64):
        kinds[f"Int{bits}"] = ("number", {INT: _signed(bits, 32), LONG: _signed(bits, 64)})
        kinds[f"UInt{bits}"] = ("number", {INT: _unsigned(bits), LONG: _unsigned(bits)})
    for name, letter in _ARRAYS.items():
        kinds[name] = ("array", {BYTES: _array(letter)})
    numbers = {name: number for number, name in TYPES.items()}
    found = {numbers[name]: kind for name, kind in kinds.items()}
    found[numbers["DataSet"]][1][DATASET] = lambda dataset: _rows(dataset, found)
    return found


def text(value: Any) -> str:
    """The text; the library gives the bytes where it is none."""
    if type(value) is not str:
        raise ValueError("a text is not UTF-8")
    return value


def _same(value: Any) -> Any:
    return value


def _signed(bits: int, field_bits: int) -> _Read:
    half, all_, field_all = 1 << bits - 1, 1 << bits, 1 << field_bits

    def read(value: int) -> int:
        if value < half:
            return value
        if value < all_:
            return value - all_
        if value >= field_all - half:
            return value - field_all
        raise ValueError(f"{value} is no number of {bits} bits")

    return read


def _unsigned(bits: int) -> _Read:
    def read(value: int) -> int:
        if value >> bits:
            raise ValueError(f"{value} is no number of {bits} bits")
        return value

    return read


def _array(letter: str) -> _Read:
    size = struct.calcsize(f"<{letter}")

    def read(packed: bytes) -> list[Any]:
        count, rest = divmod(len(packed), size)
        if rest:
            raise ValueError(f"{len(packed)} bytes are no array of values of {size} bytes")
        return list(struct.unpack(f"<{count}{letter}", packed))

    return read


def _booleans(packed: bytes) -> list[bool]:
    """The number of values in four bytes, then a bit for each, the highest of a byte first."""
    count = int.from_bytes(packed[:4], "little")
    if len(packed) < 4 or len(packed) - 4 != (count + 7) // 8:
        raise ValueError(f"{len(packed)} bytes are no array of {count} truth values")
    return [bool(packed[4 + index // 8] >> 7 - index % 8 & 1) for index in range(count)]


def _strings(packed: bytes) -> list[str]:
    """Texts that each end with a zero byte."""
    if packed and not packed.endswith(b"\0"):
        raise ValueError("the last text of an array has no end")
    return [one.decode() for one in packed.split(b"\0")[:-1]]


def _rows(dataset: Any, found: dict[int, tuple[str, dict[int, _Read]]]) -> list[dict[str, Any]]:
    """The rows of a dataset as dicts by the names of its columns."""
    names = [text(name) for name in dataset.columns]
    types = list(dataset.types)
    if len(set(names)) < len(names) or len(types) != len(names):
        raise ValueError("the columns of a dataset do not each have one name and one type")
    ways = [found.get(one, ("", {}))[1] for one in types]
    return [_row(row, names, ways) for row in dataset.rows]


def _row(row: Any, names: list[str], ways: list[dict[int, _Read]]) -> dict[str, Any]:
    cells = row.elements
    if len(cells) != len(names):
        raise ValueError(f"a row of a dataset has {len(cells)} cells instead of {len(names)}")
    values: dict[str, Any] = {}
    for name, way, cell in zip(names, ways, cells, strict=True):
        values[name] = None
        for field, value in cell.ListFields():
            read = way.get(field.number + _CELL)
            if read is None:
                raise ValueError(f"a cell of the column {name!r} does not fit its type")
            values[name] = read(value)
    return values


UNTYPED: Final[dict[int, tuple[str, _Read]]] = {
    FLOAT: ("number", _same),
    DOUBLE: ("number", _same),
    BOOLEAN: ("boolean", _same),
    STRING: ("text", text),
    BYTES: ("bytes", _same),
}
"""What a field says without a type; a whole number would need one, because of its sign."""
