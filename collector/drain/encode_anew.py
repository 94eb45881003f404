"""Batches of an older schema, encoded for the table as it is configured now (decision 4)."""

import logging
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from collector.model import Batch
from collector.spool import Spool
from collector.tables import Schema

_log = logging.getLogger(__name__)


def encode_table_anew(spool: Spool, table: str, schema: Schema) -> tuple[bool, str]:
    """Encode the batches of other schemas anew.

    Returns whether at least one was, and why others could not be.

    A batch with a value that the new schema has no place for, or without one that it requires,
    is left as it is: it stays held, and only an operator may bury it.
    """
    changed, position, stuck = 0, 0, ""
    while batches := spool.read(table, position):
        for batch in batches:
            position = batch.id
            if batch.fingerprint == schema.fingerprint:
                continue
            old = Schema.from_stored(spool.reader.schema(batch.fingerprint))
            try:
                records = _encode(batch, old, schema)
            except (ValueError, TypeError, DecodeError) as error:
                stuck = str(error)
                continue
            spool.encode_anew(batch, schema.fingerprint, records)
            changed += 1
    if changed:
        _log.info("%s: %d batches are encoded anew for the changed schema", table, changed)
    if stuck:
        _log.error("%s: some batches do not fit the changed schema: %s", table, stuck)
    return changed > 0, stuck


def _encode(batch: Batch, old: Schema, new: Schema) -> list[bytes]:
    names = {column.name for column in new.columns}
    gone = [column.name for column in old.columns if column.name not in names]
    return [_record(record, old, new, gone) for record in batch.records]


def _record(record: bytes, old: Schema, new: Schema, gone: Sequence[str]) -> bytes:
    message: Any = old.message.FromString(record)
    values = _values(message)
    for name in gone:
        if name in values:
            raise ValueError(f"column {name} is gone from the schema, and records have values")
    fresh: Any = new.message(**values)
    missing = fresh.FindInitializationErrors()
    if missing:
        raise ValueError(f"column {missing[0]} is NOT NULL, and records have no value for it")
    encoded: bytes = fresh.SerializeToString()
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
