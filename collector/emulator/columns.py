"""The columns of a table: their Arrow type in the lake, and how Unity Catalog names their type.

Columns come from one of three places: a descriptor alone, the schema of a Delta table that lies in
the lake, or a schema.proto with its Delta types. Whether a descriptor fits them is said here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor

_SCALARS: Final = {
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
# What each protobuf type may be in a table; the first is what it is in a table made from it.
_FIELDS: Final = {
    FieldDescriptor.TYPE_INT32: ("int", "smallint", "tinyint", "date"),
    FieldDescriptor.TYPE_INT64: ("bigint", "timestamp", "timestamp_ntz"),
    FieldDescriptor.TYPE_FLOAT: ("float",),
    FieldDescriptor.TYPE_DOUBLE: ("double",),
    FieldDescriptor.TYPE_STRING: ("string",),
    FieldDescriptor.TYPE_BOOL: ("boolean",),
    FieldDescriptor.TYPE_BYTES: ("binary",),
}
_CATALOG_NAMES: Final = {"tinyint": "BYTE", "smallint": "SHORT", "bigint": "LONG"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `type` is how it lies in the lake, `text` the SQL text of its Delta type."""

    name: str
    type: pa.DataType
    nullable: bool
    text: str

    @property
    def type_name(self) -> str:
        """The type as Unity Catalog's `type_name` has it."""
        name = self.text.partition("<")[0].partition("(")[0]
        return "STRING" if name == "varchar" else _CATALOG_NAMES.get(name, name.upper())

    @property
    def field(self) -> pa.Field:
        """The column in an Arrow schema."""
        return pa.field(self.name, self.type, nullable=self.nullable)


def from_descriptor(descriptor: Descriptor) -> tuple[Column, ...]:
    """The columns of a table made from a descriptor; raises ValueError for what no table has."""
    return tuple(
        Column(field.name, type_, not field.is_required, text_of(type_))
        for field in descriptor.fields
        for type_ in [_type_of(field)]
    )


def from_arrow(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of a Delta table that lies in the lake."""
    return tuple(Column(one.name, one.type, one.nullable, text_of(one.type)) for one in schema)


def from_folder(folder: Path) -> tuple[Column, ...]:
    """The columns of a folder with a schema.proto and its Delta types in comments."""
    from collector.tables import load_schema  # noqa: PLC0415 - Only --tables needs it.

    return tuple(_stated(one) for one in load_schema(folder).columns)


def misfit(columns: Sequence[Column], descriptor: Descriptor) -> str:
    """Why a descriptor does not fit a table, or nothing."""
    known = {one.name: one for one in columns}
    for field in descriptor.fields:
        column = known.get(field.name)
        if column is None:
            return f"unknown column {field.name}"
        if not _fits(column.type, field):
            kind = _type_name(field)
            return f"column {field.name}: type {kind} is incompatible with {column.text.upper()}"
    missing = [one.name for one in columns if not one.nullable]
    missing = [name for name in missing if name not in descriptor.fields_by_name]
    return f"NOT NULL column {missing[0]} is missing" if missing else ""


def text_of(type_: pa.DataType) -> str:
    """The SQL text of a type, as Unity Catalog's `type_text` has it."""
    if pa.types.is_list(type_):
        return f"array<{text_of(type_.value_type)}>"
    if pa.types.is_map(type_):
        return f"map<{text_of(type_.key_type)},{text_of(type_.item_type)}>"
    if pa.types.is_struct(type_):
        return f"struct<{','.join(f'{one.name}:{text_of(one.type)}' for one in type_)}>"
    return next((name for name, known in _SCALARS.items() if known == type_), str(type_))


def _type_of(field: FieldDescriptor) -> pa.DataType:
    """The Arrow type of a field in a table made from its descriptor."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = (message.fields_by_name[name] for name in ("key", "value"))
        return pa.map_(_type_of(key), _type_of(value))
    if message is not None:
        members = [
            pa.field(one.name, _type_of(one), nullable=not one.is_required)
            for one in message.fields
        ]
        type_: pa.DataType = pa.struct(members)
    elif field.type in _FIELDS:
        type_ = _SCALARS[_FIELDS[field.type][0]]
    else:
        raise ValueError(f"column {field.name}: type {_type_name(field)} is not supported")
    return pa.list_(type_) if field.is_repeated else type_


def _fits(type_: pa.DataType, field: FieldDescriptor) -> bool:
    """Whether a field can carry the values of a column."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        parts = message.fields_by_name
        return bool(
            pa.types.is_map(type_)
            and _fits(type_.key_type, parts["key"])
            and _fits(type_.item_type, parts["value"])
        )
    if field.is_repeated:
        return bool(pa.types.is_list(type_)) and _fits_one(type_.value_type, field)
    return _fits_one(type_, field)


def _fits_one(type_: pa.DataType, field: FieldDescriptor) -> bool:
    """Whether one value of a field can be one of a type."""
    if field.message_type is not None:
        return bool(pa.types.is_struct(type_)) and not misfit(
            from_arrow(pa.schema(list(type_))), field.message_type
        )
    return any(_SCALARS[name] == type_ for name in _FIELDS.get(field.type, ()))


def _type_name(field: FieldDescriptor) -> str:
    """A field's protobuf type in words."""
    name: str = (
        field.message_type.name
        if field.message_type is not None
        else {
            value: key.removeprefix("TYPE_").lower()
            for key, value in vars(FieldDescriptor).items()
            if key.startswith("TYPE_")
        }[field.type]
    )
    return f"repeated {name}" if field.is_repeated else name


def _stated(column: Any) -> Column:
    """A column as schema.proto states it."""
    type_, text = _from_delta(column.delta)
    return Column(column.name, type_, column.nullable, text)


def _from_delta(delta: Any) -> tuple[pa.DataType, str]:
    """The Arrow type and the SQL text of a Delta type; VARIANT and VARCHAR lie as STRING."""
    if delta.name == "ARRAY":
        type_, text = _from_delta(delta.element)
        return pa.list_(type_), f"array<{text}>"
    if delta.name == "MAP":
        (key, key_text), (value, text) = _from_delta(delta.key), _from_delta(delta.element)
        return pa.map_(key, value), f"map<{key_text},{text}>"
    if delta.name == "STRUCT":
        members = [_stated(one) for one in delta.fields]
        text = ",".join(f"{one.name}:{one.text}" for one in members)
        return pa.struct([one.field for one in members]), f"struct<{text}>"
    name = delta.name.lower()
    return _SCALARS["string" if name in {"variant", "varchar"} else name], str(delta).lower()
