"""A record of an older schema of a table, encoded for the one that it has now."""

from typing import Any

from google.protobuf.message import DecodeError

from collector.tables.schema import Schema


def encode_anew(record: bytes, old: Schema, new: Schema) -> bytes:
    """Return the record in the new schema; a column that is new is NULL.

    Raises:
        ValueError: a value has no column any more, or another type, or a column needs a value.
    """
    try:
        values = _values(old.message.FromString(record))
        names = {column.name for column in new.columns}
        for column in old.columns:
            if column.name in values and column.name not in names:
                raise ValueError(
                    f"column {column.name} is gone from the schema, and records have values"
                )
        fresh: Any = new.message(**values)
        if missing := fresh.FindInitializationErrors():
            raise ValueError(f"column {missing[0]} is NOT NULL, and records have no value for it")
        encoded: bytes = fresh.SerializeToString()
    except (TypeError, DecodeError) as error:
        raise ValueError(str(error)) from error
    return encoded


def _values(message: Any) -> dict[str, Any]:
    """Return what is set, by name, so that a message of another class can be built of it."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: Any, value: Any) -> Any:
    nested = field.message_type
    if nested is None:
        return value
    if nested.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_values(element) for element in value]
    return _values(value)
