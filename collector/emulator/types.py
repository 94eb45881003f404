"""The types of columns: as SQL text, as they lie in the lake, and as Spark's JSON has them.

A type is built from its parts, so that the three never disagree. VARIANT and VARCHAR lie as STRING.
Shares nothing with what the collector knows of types: a mistake there must show here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any, Final

import pyarrow as pa

SCALARS: Final = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "timestamp_ntz": pa.timestamp("us"),
}
_SPARK_NAMES: Final = {"tinyint": "byte", "smallint": "short", "int": "integer", "bigint": "long"}
_SQL_NAMES: Final = {spark: sql for sql, spark in _SPARK_NAMES.items()}
_DECIMAL: Final = re.compile(r"decimal\(([0-9]{1,2}),([0-9]{1,2})\)")
_VARCHAR: Final = re.compile(r"varchar\([0-9]+\)")


@dataclass(frozen=True, slots=True)
class SqlType:
    """A type in its three forms; `arrow` and `json` say which members may be NULL."""

    text: str
    arrow: pa.DataType
    json: Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a member of a struct."""

    name: str
    sql: SqlType
    nullable: bool
    comment: str = ""

    @property
    def type(self) -> pa.DataType:
        """How it lies in the lake."""
        return self.sql.arrow

    @property
    def text(self) -> str:
        """The type as SQL writes it."""
        return self.sql.text

    @property
    def field(self) -> pa.Field:
        """The column in an Arrow schema."""
        return pa.field(self.name, self.type, nullable=self.nullable)

    @property
    def json(self) -> dict[str, Any]:
        """The column in Spark's schema."""
        metadata = {"comment": self.comment} if self.comment else {}
        return {
            "name": self.name,
            "type": self.sql.json,
            "nullable": self.nullable,
            "metadata": metadata,
        }


def plain(name: str) -> SqlType:
    """A type without parts; raises ValueError when no table has such a type."""
    name = _SQL_NAMES.get(name.lower(), name.lower()).replace(" ", "")
    if match := _DECIMAL.fullmatch(name):
        return SqlType(name, pa.decimal128(int(match[1]), int(match[2])), name)
    if name == "variant":
        return SqlType(name, pa.string(), name)
    if _VARCHAR.fullmatch(name):
        return SqlType(name, pa.string(), "string")
    if name not in SCALARS:
        raise ValueError(f"{name} is no type that a table here can have")
    return SqlType(name, SCALARS[name], _SPARK_NAMES.get(name, name))


def array(element: SqlType) -> SqlType:
    """An array."""
    json = {"type": "array", "elementType": element.json, "containsNull": True}
    return SqlType(f"array<{element.text}>", pa.list_(element.arrow), json)


def map_(key: SqlType, value: SqlType) -> SqlType:
    """A map."""
    json = {
        "type": "map",
        "keyType": key.json,
        "valueType": value.json,
        "valueContainsNull": True,
    }
    return SqlType(f"map<{key.text},{value.text}>", pa.map_(key.arrow, value.arrow), json)


def struct(members: Sequence[Column]) -> SqlType:
    """A struct."""
    return SqlType(
        f"struct<{','.join(f'{one.name}:{one.text}' for one in members)}>",
        pa.struct([one.field for one in members]),
        {"type": "struct", "fields": [one.json for one in members]},
    )


def from_json(stated: Any) -> SqlType:
    """A type from Spark's JSON; plain types may have their SQL names. Raises ValueError."""
    if isinstance(stated, str):
        return plain(stated)
    try:
        kind = stated["type"]
        if kind == "array":
            return array(from_json(stated["elementType"]))
        if kind == "map":
            return map_(from_json(stated["keyType"]), from_json(stated["valueType"]))
        if kind == "struct":
            return struct([column_from_json(one) for one in stated["fields"]])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{stated!r} is no type: {error}") from error
    raise ValueError(f"{kind!r} is no type")


def column_from_json(stated: Mapping[str, Any]) -> Column:
    """A column from Spark's JSON; raises ValueError."""
    try:
        metadata = stated.get("metadata", {})
        return Column(
            str(stated["name"]),
            from_json(stated["type"]),
            bool(stated.get("nullable", True)),
            str(metadata.get("comment", "")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{stated!r} is no column: {error}") from error


def from_arrow(type_: pa.DataType) -> SqlType:
    """The type of what lies in the lake."""
    if pa.types.is_list(type_):
        return array(from_arrow(type_.value_type))
    if pa.types.is_map(type_):
        return map_(from_arrow(type_.key_type), from_arrow(type_.item_type))
    if pa.types.is_struct(type_):
        return struct([Column(one.name, from_arrow(one.type), one.nullable) for one in type_])
    if pa.types.is_decimal(type_):
        return plain(f"decimal({type_.precision},{type_.scale})")
    name = next((name for name, known in SCALARS.items() if known == type_), str(type_))
    return SqlType(name, type_, _SPARK_NAMES.get(name, name))


def described(column: Column, position: int) -> dict[str, Any]:
    """A column as Unity Catalog describes it."""
    stated = column.json
    if "varchar(" in column.text:
        # Spark knows no varchar: it keeps the type's text beside it.
        stated["metadata"]["__CHAR_VARCHAR_TYPE_STRING"] = column.text
    head = column.text.partition("<")[0].partition("(")[0]
    names = {"varchar": "STRING", **{sql: _SPARK_NAMES[sql].upper() for sql in _SPARK_NAMES}}
    answer = {
        "name": column.name,
        "type_text": column.text,
        "type_name": {**names, "int": "INT"}.get(head, head.upper()),
        "type_json": dumps(stated, separators=(",", ":")),
        "nullable": column.nullable,
        "position": position,
    }
    return {**answer, "comment": column.comment} if column.comment else answer
