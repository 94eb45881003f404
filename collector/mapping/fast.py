"""The fast way for JSON: one call of pydantic's core from bytes to the values of a record.

It never says what is wrong. Either it gives exactly what `coerce.py` gives for the decoded payload,
or it gives nothing and the record takes the slow way. Each field's first choice is a strict type of
the core itself, so that a well-formed record runs no Python; the second choice is the function from
`coerce.py`, so that text with a number in it does not cost the slow way either.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import SchemaValidator, ValidationError, core_schema

from collector.formats.json import is_too_deep
from collector.mapping.coerce import REAL, WHOLE, coercion
from collector.mapping.sources import is_index
from collector.tables import Column, DeltaType

Refused: Final = ValidationError

Values = tuple[dict[str, Any], dict[str, Any] | None, set[str]]
"""The values by column (None where there is none), the keys without a column, and noise."""

_EXACT: Final = 2.0**53
# A number with a point or an exponent that may have more digits than a float keeps.
_LONG: Final = re.compile(rb"(?<![0-9.])(?=[0-9.]{16})[0-9]*+[.eE]")
# A cheap look that is enough for most payloads: whether so many digits stand together at all.
_DIGITS: Final = bytes.maketrans(b"123456789.", b"0" * 10)
_RUN: Final = b"0" * 16
_CHOICES_MAX: Final = 8
OBJECT: Final = ord("{")
_BLANKS: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Field:
    """A column, where it stands in the record, and whether the fast way insists on a value.

    `convert` are the steps on the value, if there are any; `default` stands for NULL.
    """

    column: Column
    path: tuple[str, ...]
    required: bool
    convert: Callable[[Any], Any] | None = None
    default: Any = None


class FastJson:
    """Reads a payload whose records are objects; built once per station.

    `one` gives the values of a single object or raises `Refused`, without the checks of `read`: for
    a payload of at most `SHORT_MAX` bytes which, if it has unknown keys, is not `is_doubtful`. It
    is None where that would not do.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        record = core_schema.model_fields_schema(
            {field.column.name: _field(field) for field in fields}, extra_behavior="allow"
        )
        self._one = SchemaValidator(record).validate_json
        self._many = SchemaValidator(core_schema.list_schema(record)).validate_json
        # Where parts of the payload are passed over, only a look at the bytes finds a NaN in them.
        self._passes = any(len(field.path) > 1 or _passes(field.column.delta) for field in fields)
        # Where digits beyond those of a float count, only a look at the bytes finds them.
        self._keeps = any(_keeps(field.column.delta) or field.convert for field in fields)
        self._refuse = SchemaValidator(core_schema.none_schema()).validate_json
        one = self._one_exactly if self._keeps else self._one
        self.one: Callable[[bytes], Values] | None = None if self._passes else one

    def _one_exactly(self, payload: bytes) -> Values:
        refused_or_read = self._refuse if _may_lose_digits(payload) else self._one
        values: Values = refused_or_read(payload)
        return values

    def read(self, payload: bytes) -> Sequence[Values] | None:
        """The values of each record, or None when it takes a closer look."""
        if is_too_deep(payload) or (self._keeps and _may_lose_digits(payload)):
            return None
        records: Sequence[Values]
        try:
            # Most payloads begin with their bracket.
            if payload[0] == OBJECT or not payload.lstrip(_BLANKS).startswith(b"["):
                record = self._one(payload)
                records, passed = (record,), bool(record[1])
            else:
                records = self._many(payload)
                passed = any(unknown for _, unknown, _ in records)
        except ValidationError:
            return None
        if (passed or self._passes) and is_doubtful(payload):
            return None
        return records


def is_doubtful(payload: bytes) -> bool:
    """Whether the payload may hold numbers that the core reads and JSON does not know."""
    return b"NaN" in payload or b"Infinity" in payload


def _may_lose_digits(payload: bytes) -> bool:
    return _RUN in payload.translate(_DIGITS) and _LONG.search(payload) is not None


def can_read(paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether the core can follow these paths."""
    return all(path and len(_aliases(path)) <= _CHOICES_MAX for path in paths)


def _field(field: Field) -> core_schema.ModelField:
    schema = _nested(field.column.delta) if field.convert is None else _stepped(field)
    if not field.required:
        schema = core_schema.with_default_schema(
            core_schema.nullable_schema(schema) if field.default is None else schema,
            default=field.default,
        )
    return core_schema.model_field(schema, validation_alias=_aliases(field.path))


def _stepped(field: Field) -> core_schema.CoreSchema:
    """A column with steps: its own function, as the slow way has it.

    A float beyond 2^53 the core has rounded; the slow way still has its digits.
    """
    convert, required, default = field.convert, field.required, field.default
    assert convert is not None  # noqa: S101 - asked for where it is called.

    def look(value: Any) -> Any:
        if value is None:
            result = None
        elif type(value) is float and not -_EXACT < value < _EXACT:
            raise ValueError
        else:
            result = convert(value)
        if result is None:
            result = default
        if result is None and required:
            raise ValueError
        return result

    return core_schema.no_info_plain_validator_function(look)


def _aliases(path: tuple[str, ...]) -> list[list[str | int]]:
    """The path as the core follows it: a number may be a key or the place in a list."""
    ways: list[list[str | int]] = [[]]
    for part in path:
        steps: list[str | int] = [part, int(part)] if ways[0] and is_index(part) else [part]
        ways = [[*way, step] for way in ways for step in steps][: 2 * _CHOICES_MAX]
    return ways


def _nested(delta: DeltaType) -> core_schema.CoreSchema:
    name = delta.name
    if name == "STRUCT":
        return core_schema.typed_dict_schema({one.name: _member(one) for one in delta.fields})
    if name == "ARRAY" and delta.element is not None:
        return core_schema.list_schema(_nested(delta.element), strict=True)
    if name == "MAP" and delta.key is not None and delta.element is not None:
        schema = core_schema.dict_schema(_nested(delta.key), _nested(delta.element), strict=True)
        if delta.key.name in ("STRING", "VARCHAR"):
            return schema
        return core_schema.no_info_wrap_validator_function(_distinct, schema)
    second = core_schema.no_info_plain_validator_function(_second(delta))
    strict = _strict(delta)
    return core_schema.union_schema([strict, second], mode="left_to_right") if strict else second


def _distinct(value: Any, read: Callable[[Any], Any]) -> Any:
    """A MAP, unless two of its keys are the same number, as "1" and "01" are."""
    found = read(value)
    if len(found) != len(value):
        raise ValueError
    return found


def _member(column: Column) -> core_schema.TypedDictField:
    schema = _nested(column.delta)
    if column.nullable:
        schema = core_schema.nullable_schema(schema)
    return core_schema.typed_dict_field(schema, required=not column.nullable)


def _strict(delta: DeltaType) -> core_schema.CoreSchema | None:
    """The strict type of the core that needs no second look, if there is one."""
    name = delta.name
    if name in WHOLE:
        low, high = WHOLE[name]
        return core_schema.int_schema(strict=True, ge=low, le=high)
    if name in REAL:
        limit = REAL[name]
        return core_schema.float_schema(strict=True, allow_inf_nan=False, ge=-limit, le=limit)
    if name in ("STRING", "VARCHAR"):
        return core_schema.str_schema(strict=True, max_length=delta.length)
    return core_schema.bool_schema(strict=True) if name == "BOOLEAN" else None


def _second(delta: DeltaType) -> Callable[[Any], Any]:
    coerce = coercion(delta)
    keeps = _keeps(delta)

    def look(value: Any) -> Any:
        if value is None or (type(value) is float and not keeps):
            # The core may have rounded it; the slow way still has the digits.
            raise ValueError
        return coerce(value)

    return look


def _passes(delta: DeltaType | None) -> bool:
    """Whether a type ignores a part of its value."""
    return delta is not None and (delta.name == "STRUCT" or _passes(delta.element))


def _keeps(delta: DeltaType | None) -> bool:
    """Whether a type keeps numbers of any kind as they are."""
    if delta is None:
        return False
    inner = (delta.key, delta.element, *(one.delta for one in delta.fields))
    return delta.name == "VARIANT" or any(map(_keeps, inner))
