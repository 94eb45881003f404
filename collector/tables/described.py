"""A table as Unity Catalog describes it: from its answer to columns.

The types are read from `type_json`, Spark's own form, which is exact; else from `type_text`, which
may leave out what is NOT NULL within a STRUCT. Types that Zerobus can't take are read all the same:
they have to be told about.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from collector.tables.type_text import parse_type
from collector.tables.types import Column, DeltaType

_JSON_NAMES: Final = {
    "integer": "INT",
    "long": "BIGINT",
    "short": "SMALLINT",
    "byte": "TINYINT",
}
_VARCHAR: Final = "__CHAR_VARCHAR_TYPE_STRING"
"""Where Spark keeps a VARCHAR: to its type it is a string."""


@dataclass(frozen=True, slots=True)
class Described:
    """A table as it is in the workspace; `unfit` says why Zerobus can't write to such a one."""

    name: str
    columns: tuple[Column, ...]
    comment: str = ""
    unfit: str = ""


def described(answer: Mapping[str, Any]) -> Described:
    """Read an answer of the catalog; raises ValueError when it describes no table."""
    parts = [answer.get(key) for key in ("catalog_name", "schema_name", "name")]
    try:
        columns = sorted(answer["columns"], key=lambda one: int(one.get("position", 0)))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("the answer describes no table") from error
    read = tuple(_column(one, number) for number, one in enumerate(columns, 1))
    name = ".".join(map(str, parts))
    return Described(name, read, _text(answer.get("comment")), _unfit(answer))


def _unfit(answer: Mapping[str, Any]) -> str:
    kind = _text(answer.get("table_type")) or "MANAGED"
    form = _text(answer.get("data_source_format")) or "DELTA"
    if kind == "MANAGED" and form == "DELTA":
        return ""
    return f"is {kind} and {form}: Zerobus writes to managed Delta tables only"


def _column(one: Mapping[str, Any], number: int) -> Column:
    name = one.get("name")
    if not isinstance(name, str):
        raise ValueError("the answer has a column without a name")  # noqa: TRY004 - A bad answer.
    try:
        delta = _type(one)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(f"column {name}: its type can't be read: {error}") from error
    nullable = bool(one.get("nullable", True)) or delta.name in {"ARRAY", "MAP"}
    return Column(name, delta, nullable, number, comment=_text(one.get("comment")))


def _type(one: Mapping[str, Any]) -> DeltaType:
    text = str(one.get("type_text") or one.get("type_name") or "")
    try:
        stated = json.loads(one.get("type_json") or "null")
    except ValueError:
        stated = None
    if isinstance(stated, str):
        stated = {"type": stated}
    if not isinstance(stated, Mapping) or "type" not in stated:
        return parse_type(text)
    # A whole column, or its type alone: the catalogs differ.
    is_column = "name" in stated or not isinstance(stated["type"], str) or "metadata" in stated
    is_type = not is_column and stated["type"] in {"array", "map", "struct"}
    read = _from_json(stated if is_type else stated["type"])
    text = str((stated.get("metadata") or {}).get(_VARCHAR, text))
    return _with_lengths(read, parse_type(text)) if "varchar" in text.lower() else read


def _with_lengths(exact: DeltaType, text: DeltaType) -> DeltaType:
    """The type as Spark has it, with the VARCHARs of its text: to Spark they are strings."""
    if exact.name == "STRING" and text.name == "VARCHAR":
        return text
    return replace(
        exact,
        element=_with_length(exact.element, text.element),
        key=_with_length(exact.key, text.key),
        fields=tuple(
            replace(one, delta=_with_lengths(one.delta, other.delta))
            for one, other in zip(exact.fields, text.fields, strict=True)
        ),
    )


def _with_length(exact: DeltaType | None, text: DeltaType | None) -> DeltaType | None:
    return exact if exact is None or text is None else _with_lengths(exact, text)


def _from_json(stated: Any) -> DeltaType:
    if isinstance(stated, str):
        return parse_type(_JSON_NAMES.get(stated, stated))
    kind = stated["type"]
    if kind == "array":
        return DeltaType("ARRAY", element=_from_json(stated["elementType"]))
    if kind == "map":
        key, value = (_from_json(stated[name]) for name in ("keyType", "valueType"))
        return DeltaType("MAP", key=key, element=value)
    if kind == "struct":
        return DeltaType("STRUCT", fields=tuple(_members(stated["fields"])))
    return DeltaType(str(kind).upper())


def _members(fields: Sequence[Mapping[str, Any]]) -> Iterator[Column]:
    for number, one in enumerate(fields, 1):
        delta = _from_json(one["type"])
        nullable = bool(one.get("nullable", True)) or delta.name in {"ARRAY", "MAP"}
        comment = _text((one.get("metadata") or {}).get("comment"))
        yield Column(str(one["name"]), delta, nullable, number, comment=comment)


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
