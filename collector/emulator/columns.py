"""The columns of a table, and whether a descriptor fits them.

Columns come from one of four places: a descriptor alone, the schema of a Delta table that lies in
the lake, a schema.proto with its Delta types, or the JSON of `PUT /tables/NAME`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from collector.emulator import types
from collector.emulator.types import Column, SqlType

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


def from_descriptor(descriptor: Descriptor) -> tuple[Column, ...]:
    """The columns of a table made from a descriptor; raises ValueError for what no table has."""
    return tuple(
        Column(field.name, _type_of(field), not field.is_required) for field in descriptor.fields
    )


def from_arrow(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of a Delta table that lies in the lake."""
    return tuple(Column(one.name, types.from_arrow(one.type), one.nullable) for one in schema)


def from_folder(folder: Path) -> tuple[Column, ...]:
    """The columns of a folder with a schema.proto and its Delta types in comments."""
    from collector.tables import load_schema  # noqa: PLC0415 - Only --tables needs it.

    return tuple(_stated(one) for one in load_schema(folder).columns)


def from_body(body: object) -> tuple[tuple[Column, ...], dict[str, Any]]:
    """The columns that a request states, and what fills them in rows that lie there.

    Raises ValueError for what is no table.
    """
    stated = body.get("columns") if isinstance(body, dict) else None
    if not isinstance(stated, list) or not stated:
        raise ValueError('write {"columns": [{"name": …, "type": …}, …]}')
    columns = tuple(map(types.column_from_json, stated))
    if len({one.name.lower() for one in columns}) < len(columns):
        raise ValueError("two columns have the same name")
    return columns, {one["name"]: one["fill"] for one in stated if "fill" in one}


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


def _type_of(field: FieldDescriptor) -> SqlType:
    """The type of a field in a table made from its descriptor."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        key, value = (message.fields_by_name[name] for name in ("key", "value"))
        return types.map_(_type_of(key), _type_of(value))
    if message is not None:
        type_ = types.struct(from_descriptor(message))
    elif field.type in _FIELDS:
        type_ = types.plain(_FIELDS[field.type][0])
    else:
        raise ValueError(f"column {field.name}: type {_type_name(field)} is not supported")
    return types.array(type_) if field.is_repeated else type_


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
    return any(types.SCALARS[name] == type_ for name in _FIELDS.get(field.type, ()))


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
    return Column(column.name, _from_delta(column.delta), column.nullable, column.comment)


def _from_delta(delta: Any) -> SqlType:
    """The type that a Delta type of schema.proto names."""
    if delta.name == "ARRAY":
        return types.array(_from_delta(delta.element))
    if delta.name == "MAP":
        return types.map_(_from_delta(delta.key), _from_delta(delta.element))
    if delta.name == "STRUCT":
        return types.struct([_stated(one) for one in delta.fields])
    return types.plain(str(delta))
