"""Messages of a .proto file, compiled, as plain dicts.

Enums are taken for whole numbers: a protobuf library drops the numbers of a closed enum that it
does not know, and we are to lose nothing. Their names are kept beside.
"""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError as NotWellFormed
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from collector.formats.shared.plain import text_key
from collector.model import DecodeError

_Convert = Callable[[Any], Any]
_Names = dict[int, str]


def names_of(file: FileDescriptorProto) -> list[str]:
    """The full names of the messages in a file, those inside of others behind them."""
    return [name.removeprefix(".") for name, message in _messages(file) if not _is_entry(message)]


def reader_of(file: FileDescriptorProto, name: str) -> Callable[[bytes], dict[str, Any]]:
    """The function that reads the bytes of a message; it raises DecodeError."""
    opened = FileDescriptorProto()
    opened.CopyFrom(file)
    opened.ClearField("source_code_info")
    enums = _open_enums(opened)
    # A pool of its own: two tables may call their messages the same.
    pool = DescriptorPool()
    pool.Add(opened)
    descriptor = pool.FindMessageTypeByName(name)
    new = GetMessageClass(descriptor)
    read = _Reading(enums).reader(descriptor)

    def decode(payload: bytes) -> dict[str, Any]:
        message = new()
        try:
            # It does not ask for required fields, as FromString does.
            message.MergeFromString(payload)
        except NotWellFormed as error:
            raise DecodeError(f"the payload is no protobuf message {name}") from error
        return read(message)

    return decode


class _Reading:
    """Builds the readers of messages, one for each type, whatever contains what."""

    def __init__(self, enums: dict[str, _Names]) -> None:
        self._enums = enums
        self._readers: dict[str, Callable[[Message], dict[str, Any]]] = {}

    def reader(self, descriptor: Descriptor) -> Callable[[Message], dict[str, Any]]:
        fields: dict[FieldDescriptor, tuple[str, _Convert | None]] = {}
        defaults: dict[str, Any] = {}

        def read(message: Message) -> dict[str, Any]:
            row = defaults.copy()
            for field, value in message.ListFields():
                found = fields.get(field)
                if found is not None:
                    name, convert = found
                    row[name] = value if convert is None else convert(value)
            return row

        # A message may contain itself: its reader is known before its fields are.
        self._readers[descriptor.full_name] = read
        for field in descriptor.fields:
            convert = self._convert(field)
            fields[field] = (field.name, convert)
            if not field.is_repeated and not field.has_presence:
                zero = field.default_value
                defaults[field.name] = zero if convert is None else convert(zero)
        return read

    def _convert(self, field: FieldDescriptor) -> _Convert | None:
        """What makes a plain value of a field's; None when it is one."""
        one = self._convert_one(field)
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            value = self._convert_one(entry.fields_by_name["value"]) or _same
            return lambda pairs: {text_key(key): value(pairs[key]) for key in pairs}
        if field.is_repeated:
            return list if one is None else lambda values: [one(value) for value in values]
        return one

    def _convert_one(self, field: FieldDescriptor) -> _Convert | None:
        inner = field.message_type
        if inner is not None:
            return self._readers.get(inner.full_name) or self.reader(inner)
        if field.type == FieldDescriptor.TYPE_STRING:
            return _text
        names = self._enums.get(field.full_name)
        return None if names is None else lambda number: names.get(number, number)


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    # The library gives the bytes of a proto2 field that are no text.
    if type(value) is not str:
        raise DecodeError("a text of the message is not UTF-8")
    return value


def _open_enums(file: FileDescriptorProto) -> dict[str, _Names]:
    """Make the enum fields of a file whole numbers; returns the names by field."""
    messages = list(_messages(file))
    scopes = [(f".{file.package}" if file.package else "", file.enum_type)]
    scopes += [(name, message.enum_type) for name, message in messages]
    numbers: dict[str, _Names] = {}
    for scope, enums in scopes:
        for enum in enums:
            # Of several names for a number the first counts.
            numbers[f"{scope}.{enum.name}"] = {one.number: one.name for one in reversed(enum.value)}
    fields: dict[str, _Names] = {}
    for name, message in messages:
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_ENUM:
                fields[f"{name}.{field.name}".removeprefix(".")] = numbers[field.type_name]
                field.type = FieldDescriptorProto.TYPE_INT32
                field.ClearField("type_name")
                field.ClearField("default_value")
    return fields


def _messages(file: FileDescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
    scope = f".{file.package}" if file.package else ""
    pending = [(f"{scope}.{message.name}", message) for message in file.message_type]
    while pending:
        name, message = pending.pop(0)
        yield name, message
        pending += [(f"{name}.{inner.name}", inner) for inner in message.nested_type]


def _is_entry(message: DescriptorProto) -> bool:
    return message.options.map_entry
