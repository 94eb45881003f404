"""How Sparkplug B 3.0 stands on the wire: topics, and the protobuf message of a payload.

Only what we read is described; the rest of a payload counts as unknown fields. The numbers are
those of the specification.
"""

from typing import Final, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from collector.model import DecodeError

NAMESPACE: Final = "spBv1.0"
STATE: Final = "STATE"

# The value of a metric is one of these fields.
INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING, BYTES, DATASET, TEMPLATE, EXTENSION = range(10, 20)
NAME, ALIAS, TIMESTAMP, DATATYPE, HISTORICAL, TRANSIENT, NULL = range(1, 8)

TYPES: Final = dict(
    enumerate(
        (
            *("Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
            *("Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet"),
            *("Bytes", "File", "Template", "PropertySet", "PropertySetList"),
            *("Int8Array", "Int16Array", "Int32Array", "Int64Array"),
            *("UInt8Array", "UInt16Array", "UInt32Array", "UInt64Array"),
            *("FloatArray", "DoubleArray", "BooleanArray", "StringArray", "DateTimeArray"),
        )
    )
)

_OF_NODE: Final = frozenset({"NBIRTH", "NDATA", "NDEATH", "NCMD"})
_OF_DEVICE: Final = frozenset({"DBIRTH", "DDATA", "DDEATH", "DCMD"})

# The fields of each message: their types and numbers; an asterisk says repeated.
_MESSAGES: Final = {
    "Payload": "uint64 timestamp 1, Metric* metrics 2, uint64 seq 3, string uuid 4",
    "Metric": (
        "string name 1, uint64 alias 2, uint64 timestamp 3, uint32 datatype 4, "
        "bool is_historical 5, bool is_transient 6, bool is_null 7"
    ),
    "DataSet": "string* columns 2, uint32* types 3, Row* rows 4",
    "Row": "Cell* elements 1",
    "Cell": "",
}
# What is a metric's value, and a cell's; what we don't read is bytes, to be seen and refused.
_VALUES: Final = {
    "Metric": (
        "uint32 int_value 10, uint64 long_value 11, float float_value 12, double double_value 13, "
        "bool boolean_value 14, string string_value 15, bytes bytes_value 16, "
        "DataSet dataset_value 17, bytes template_value 18, bytes extension_value 19"
    ),
    "Cell": (
        "uint32 int_value 1, uint64 long_value 2, float float_value 3, double double_value 4, "
        "bool boolean_value 5, string string_value 6, bytes extension_value 7"
    ),
}


class Topic(NamedTuple):
    """What a topic says; `host` is that of a STATE message, which has no group and no node."""

    group: str | None
    node: str | None
    device: str | None
    type: str
    host: str | None = None


def topic_of(text: str) -> Topic:
    """Read a topic; raises DecodeError when it is none of Sparkplug B."""
    levels = text.split("/")
    if levels[:-1] in ([STATE], [NAMESPACE, STATE]) and levels[-1]:
        return Topic(None, None, None, STATE, levels[-1])
    if levels[0] == NAMESPACE and all(levels):
        if len(levels) == 4 and levels[2] in _OF_NODE:
            return Topic(levels[1], levels[3], None, levels[2])
        if len(levels) == 5 and levels[2] in _OF_DEVICE:
            return Topic(levels[1], levels[3], levels[4], levels[2])
    raise DecodeError(f"{text!r} is no topic of Sparkplug B: {NAMESPACE}/GROUP/TYPE/NODE[/DEVICE]")


def payload_class() -> type[Message]:
    """The message class of a payload."""
    file = FileDescriptorProto(name="sparkplug.proto", package="sparkplug")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        values = _VALUES.get(name)
        for described in filter(None, fields.split(", ")):
            message.field.append(_field(described))
        if values is not None:
            message.oneof_decl.add(name="value")
            for described in values.split(", "):
                message.field.append(_field(described, oneof_index=0))
    # A pool of its own: a table's message may have the same name.
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


def rebirth_command(payload: type[Message], time_ms: int) -> bytes:
    """The payload of the NCMD that asks a node to send its births again."""
    metric = {
        "name": "Node Control/Rebirth",
        "timestamp": time_ms,
        "datatype": 11,
        "boolean_value": True,
    }
    return payload(timestamp=time_ms, metrics=[metric]).SerializeToString()


def _field(described: str, oneof_index: int | None = None) -> FieldDescriptorProto:
    kind, name, number = described.split()
    field = FieldDescriptorProto(name=name, number=int(number))
    is_repeated = kind.endswith("*")
    field.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
    kind = kind.removesuffix("*")
    if kind in _MESSAGES:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".sparkplug.{kind}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    if oneof_index is not None:
        field.oneof_index = oneof_index
    return field
