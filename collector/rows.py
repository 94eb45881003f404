"""A record as its row: what stands in the columns of the table, as JSON can say it.

TIMESTAMP and DATE are ISO 8601, BINARY is base64, and a column without a value is null.
"""

import base64
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.message import Message

from collector.tables import Column, DeltaType, Schema

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def row_of(schema: Schema, record: bytes) -> dict[str, Any]:
    """Decode a record by its schema; raises ValueError when it is none of that schema."""
    try:
        message = schema.message.FromString(record)
    except Exception as error:
        raise ValueError(f"not a record of this schema: {error}") from error
    return _row(message, schema.columns)


def _row(message: Message, columns: Sequence[Column]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns:
        repeated = column.delta.name in ("ARRAY", "MAP")
        is_set = repeated or message.HasField(column.name)
        row[column.name] = _value(getattr(message, column.name), column.delta) if is_set else None
    return row


def _value(value: Any, delta: DeltaType) -> Any:
    if delta.name == "STRUCT":
        return _row(value, delta.fields)
    if delta.name == "ARRAY" and delta.element is not None:
        element = delta.element
        return [_value(one, element) for one in value]
    if delta.name == "MAP" and delta.element is not None:
        element = delta.element
        return {str(key): _value(one, element) for key, one in value.items()}
    return _scalar(value, delta.name)


def _scalar(value: Any, name: str) -> Any:
    if name == "BINARY":
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        if name == "TIMESTAMP":
            return (_EPOCH + timedelta(microseconds=value)).isoformat()
        if name == "TIMESTAMP_NTZ":
            return (_EPOCH + timedelta(microseconds=value)).replace(tzinfo=None).isoformat()
        if name == "DATE":
            return (_EPOCH + timedelta(days=value)).date().isoformat()
    except OverflowError:
        return value  # A year that Python's calendar does not reach.
    return value


class Rows:
    """Decodes records by the schemas of a spool file, each compiled once."""

    def __init__(self, stored_schema: Callable[[bytes], bytes]) -> None:
        self._stored_schema = stored_schema
        self._schemas: dict[bytes, Schema] = {}

    def schema(self, fingerprint: bytes) -> Schema:
        """Return a schema; raises ValueError when what is stored of it can't be read."""
        known = self._schemas.get(fingerprint)
        if known is None:
            known = Schema.from_stored(self._stored_schema(fingerprint))
            self._schemas[fingerprint] = known
        return known

    def row(self, fingerprint: bytes, record: bytes) -> dict[str, Any]:
        """Decode a record; raises ValueError when it is none of its schema."""
        return row_of(self.schema(fingerprint), record)
