"""Records to rows: a descriptor as the client sent it, and what its records say.

The message class is built with two changes that leave the wire format alone: text must be UTF-8,
and the table's NOT NULL columns are required. So protobuf's parser, in C, does all the checks. A
batch is parsed at once: `repeated bytes records = 1` and `repeated Row rows = 1` are the same
bytes.
"""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FeatureSet, FieldDescriptorProto
from google.protobuf.message import DecodeError

from collector.emulator.types import Column

_PACKAGE: Final = "emulated"
_ROWS: Final = "EmulatedRows"


class RowReader:
    """Reads the records of one descriptor for one table."""

    def __init__(self, descriptor: DescriptorProto, not_null: Iterable[str] = ()) -> None:
        """Raise ValueError if the descriptor does not stand by itself."""
        pool = _pool(descriptor, frozenset(not_null))
        rows = pool.FindMessageTypeByName(f"{_PACKAGE}.{_ROWS}")
        row: Any = rows.fields_by_name["rows"].message_type
        self.descriptor: Descriptor = row
        self._row = message_factory.GetMessageClass(self.descriptor)
        self._rows: Any = message_factory.GetMessageClass(rows)
        self._readers = {one.name: _reader(one) for one in self.descriptor.fields}

    def one(self, record: bytes) -> Sequence[Any]:
        """The row of a record; raises ValueError if it is not valid."""
        try:
            row = self._row.FromString(record)
        except DecodeError as error:
            raise ValueError("record can't be decoded") from error
        if not row.IsInitialized():
            raise ValueError(_missing(row))
        return [row]

    def many(self, batch: bytes) -> Sequence[Any]:
        """The rows of a batch; raises ValueError if one of them is not valid."""
        try:
            rows = self._rows.FromString(batch)
        except DecodeError as error:
            raise ValueError("record can't be decoded") from error
        if not rows.IsInitialized():
            raise ValueError(_missing(rows))
        return list(rows.rows)

    def arrow(self, rows: Sequence[Any], columns: Sequence[Column]) -> pa.RecordBatch:
        """The rows as they lie in the lake; raises ArrowInvalid if a value is out of range."""
        arrays = []
        for column in columns:
            read = self._readers.get(column.name)
            values = read(rows) if read else [None] * len(rows)
            arrays.append(pa.array(values, column.type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([c.field for c in columns]))

    def json(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """The rows for the log: numbers as protobuf has them, bytes as base64, no NULLs."""
        names = list(self._readers)
        columns = [map(_plain, self._readers[name](rows)) for name in names]
        return [
            {name: value for name, value in zip(names, values, strict=True) if value is not None}
            for values in zip(*columns, strict=True)
        ]

    def holds(self, rows: Sequence[Any], column: str, value: object) -> bool:
        """Whether one of the rows has a value in a column."""
        read = self._readers.get(column)
        return read is not None and value in read(rows)


def narrow(columns: Sequence[Column]) -> bool:
    """Whether a column takes fewer values than the protobuf type that carries it."""
    return any("tinyint" in one.text or "smallint" in one.text for one in columns)


def _missing(message: Any) -> str:
    """Which NOT NULL column a record lacks; protobuf says `rows[3].device`."""
    field = message.FindInitializationErrors()[0]
    name = field.partition("].")[2] if field.startswith("rows[") else field
    return f"record is missing NOT NULL column {name}"


def _reader(field: FieldDescriptor) -> Callable[[Sequence[Any]], list[Any]]:
    """A function that reads one column of rows; NULL is None."""
    name = field.name
    convert = _converter(field)
    if field.is_repeated:
        return lambda rows: [convert(getattr(row, name)) for row in rows]
    if convert is _same and field.is_required:
        return lambda rows: [getattr(row, name) for row in rows]
    if convert is _same:
        return lambda rows: [getattr(row, name) if row.HasField(name) else None for row in rows]
    return lambda rows: [
        convert(getattr(row, name)) if row.HasField(name) else None for row in rows
    ]


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    """From a value as protobuf has it to one that Arrow takes."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        # A map's value may be a message: indexing makes it, so it is read before it is converted.
        inner = _converter(message.fields_by_name["value"])
        return lambda value: [(key, inner(value[key])) for key in value]
    if message is None:
        return list if field.is_repeated else _same
    readers = [(one.name, _reader(one)) for one in message.fields]

    def struct(value: Any) -> dict[str, Any]:
        return {name: read([value])[0] for name, read in readers}

    return (lambda values: [struct(one) for one in values]) if field.is_repeated else struct


def _same(value: Any) -> Any:
    return value


def _plain(value: Any) -> Any:
    """A value that JSON can write; a map becomes a list of pairs."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _pool(descriptor: DescriptorProto, not_null: frozenset[str]) -> descriptor_pool.DescriptorPool:
    """A pool with the row's message and a message of many rows."""
    file = descriptor_pb2.FileDescriptorProto(name="emulated.proto", package=_PACKAGE)
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
    row = file.message_type.add()
    row.CopyFrom(descriptor)
    names = dict(_nested(row, row.name))
    if not row.name or row.name == _ROWS or not row.field:
        raise ValueError("descriptor has no name or no fields")
    _rewrite(row, names, not_null)
    rows = file.message_type.add(name=_ROWS)
    rows.field.add(
        name="rows",
        number=1,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        label=FieldDescriptorProto.LABEL_REPEATED,
        type_name=f".{_PACKAGE}.{row.name}",
    )
    pool = descriptor_pool.DescriptorPool()
    try:
        pool.AddSerializedFile(file.SerializeToString())
        pool.FindFileByName(file.name)
    except (TypeError, KeyError) as error:
        raise ValueError(f"descriptor can't be built: {error}") from error
    return pool


def _nested(message: DescriptorProto, path: str) -> Iterable[tuple[str, DescriptorProto]]:
    """The messages nested in one, by their path."""
    for one in message.nested_type:
        inner = f"{path}.{one.name}"
        yield inner, one
        yield from _nested(one, inner)


def _rewrite(
    message: DescriptorProto, names: Mapping[str, DescriptorProto], not_null: frozenset[str]
) -> None:
    """Write a message and those nested in it anew, for the same wire format."""
    message.ClearField("oneof_decl")
    is_map = message.options.map_entry
    message.ClearField("options")
    if is_map:
        message.options.map_entry = True
    for field in message.field:
        required = field.label == FieldDescriptorProto.LABEL_REQUIRED or field.name in not_null
        for name in ("options", "json_name", "proto3_optional", "oneof_index", "default_value"):
            field.ClearField(name)
        if required and field.label != FieldDescriptorProto.LABEL_REPEATED:
            field.label = FieldDescriptorProto.LABEL_OPTIONAL
            field.options.features.field_presence = FeatureSet.LEGACY_REQUIRED
        if field.type_name:
            field.type_name = _resolve(field, names)
    for one in message.nested_type:
        _rewrite(one, names, frozenset())


def _resolve(field: FieldDescriptorProto, names: Mapping[str, DescriptorProto]) -> str:
    """A nested message's name in our package; the client's package is not sent."""
    for name in names:
        if field.type_name.endswith(f".{name}"):
            return f".{_PACKAGE}.{name}"
    raise ValueError(
        f"Proto not self-contained: {field.type_name} of column {field.name} is not nested "
        "in the message. Error Code 4033"
    )
