r"""Sparkplug B 3.0: metrics by their names, with the names and types of aliases from the births.

The topic says what a message is: spBv1.0/GROUP/TYPE/NODE, and /DEVICE. With `records: metrics`
NBIRTH, NDATA, DBIRTH and DDATA give a record per metric and the other types none: `{"group",
"node", "device", "type", "metric", "alias", "datatype", "time", "value", "number", "boolean",
"text", "bytes", "dataset", "array", "is_null", "historical", "transient", "seq"}`. What is absent
is None, but the three truth values at the end are false. `time` is in milliseconds, the metric's or
else the payload's; `datatype` is the type's name; `value` stands once more under its kind. A
DateTime is a number of milliseconds, a DataSet a list of rows, an array type a list.

Aliases are looked up in the last birth of the same node or device, which outlives a restart; an
NBIRTH ends what the devices of its node had declared, as the specification has it. A message that
the broker sends again and that is older than the last birth is read by the one before. A metric
whose alias, or whose sign, nobody declared is `unknown_alias`: with `rebirth: true` the node is
asked for its births, at most once in `REBIRTH_EVERY_US`.

With `records: states` births, deaths and STATE give one record each: `{"group", "node", "device",
"type", "host", "online", "time", "bd_seq"}`; other messages give none.

Property sets and metadata are passed over. A metric with a template, with a value that does not fit
its type, or with neither name nor alias costs itself. Refused are other topics, payloads that are
no such protobuf message or hold nothing of one, compressed ones, more than 100,000 metrics, and
more than 16 MiB.

>>> decode = compile(Options(), None).decode
>>> payload = b"\x08\x05\x12\x11\x0a\x04temp\x20\x0a\x69" + bytes.fromhex("0000000000803540")
>>> record = decode(payload, Arrival("spBv1.0/Plant/NBIRTH/edge-7", 0))[0]
>>> [record[key] for key in ("node", "metric", "datatype", "time", "number")]
['edge-7', 'temp', 'Double', 5, 21.5]
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

from google.protobuf.message import DecodeError as NotWellFormed

from collector.formats import Bad, Decoder, FormatOptions, Records, Request
from collector.formats import json as json_format
from collector.formats.shared.memory import ENTRIES_MAX, Memory
from collector.formats.shared.plain import check_size
from collector.formats.shared.sparkplug_births import Birth, Births
from collector.formats.shared.sparkplug_values import UNTYPED, readers, text
from collector.formats.shared.sparkplug_wire import (
    ALIAS,
    DATATYPE,
    EXTENSION,
    HISTORICAL,
    INT,
    NAME,
    NAMESPACE,
    NULL,
    STATE,
    TEMPLATE,
    TIMESTAMP,
    TRANSIENT,
    TYPES,
    Topic,
    payload_class,
    rebirth_command,
    topic_of,
)
from collector.formats.shared.text import RECORDS_MAX, too_many
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

REBIRTH_EVERY_US: Final = 60_000_000

_BIRTHS: Final = frozenset({"NBIRTH", "DBIRTH"})
_METRICS: Final = _BIRTHS | {"NDATA", "DDATA"}
_STATES: Final = _BIRTHS | {"NDEATH", "DDEATH", STATE}
_COMPRESSED: Final = "SPBV1.0_COMPRESSED"
_TEMPLATE_TYPE: Final = 19
_KINDS: Final = ("number", "boolean", "text", "bytes", "dataset", "array")
_NODE_KEYS: Final = frozenset({"group", "node", "device", "type", "time"})
_KEYS: Final = _NODE_KEYS | {
    "seq", "metric", "alias", "datatype", "value", "is_null", "historical", "transient", *_KINDS,
}  # fmt: skip
_STATE_KEYS: Final = _NODE_KEYS | {"host", "online", "bd_seq"}

MEDIA_TYPES: Final[tuple[str, ...]] = ()


class Options(FormatOptions):
    """Whether records are metrics or states, and whether nodes are asked for their births."""

    records: Literal["metrics", "states"] = "metrics"
    rebirth: bool = False


def compile(options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder, with a memory of the births."""
    memory: Memory[str] = Memory()
    reading = _Reading(memory, options)
    requests = reading.requests if options.rebirth else None
    return Decoder(reading.decode, memory, requests, _STATE_KEYS if reading.of_states else _KEYS)


class _Reading:
    """Reads the messages of a station in their order."""

    def __init__(self, memory: Memory[str], options: Options) -> None:
        self._births = Births(memory)
        self.of_states = options.records == "states"
        self._rebirth = options.rebirth
        self._payload = payload_class()
        self._readers = readers()
        self._asked: dict[str, int] = {}
        self._requests: list[Request] = []

    def decode(self, payload: bytes, arrival: Arrival) -> Records:
        """Return the records of a message; raises DecodeError."""
        topic = topic_of(arrival.topic)
        if topic.type not in (_STATES if self.of_states else _METRICS):
            return Records()
        check_size(payload)
        if topic.type == STATE:
            return Records([_host_state(topic, payload)])
        message = self._parsed(payload)
        time = message.timestamp if message.HasField("timestamp") else None
        metrics = [_fields(metric) for metric in message.metrics]
        if topic.type in _BIRTHS and not arrival.replayed:
            self._births.note(
                _node(topic), topic.device, time, _declared(metrics),
                dup=arrival.dup, lasting=arrival.unprotected,
            )  # fmt: skip
        if self.of_states:
            return Records([_state(topic, time, metrics)])
        shared = {
            "group": topic.group,
            "node": topic.node,
            "device": topic.device,
            "type": topic.type,
            "seq": message.seq if message.HasField("seq") else None,
        }
        is_older = arrival.dup or arrival.replayed
        birth = self._births.find(_node(topic), topic.device, time, dup=is_older)
        records = Records(self._record(metric, shared, time, birth) for metric in metrics)
        if self._rebirth and any(
            isinstance(one, Bad) and one.kind == "unknown_alias" for one in records
        ):
            self._ask(topic, arrival.received_us)
        return records

    def requests(self) -> list[Request]:
        """The commands to be published since the last call."""
        requests, self._requests = self._requests, []
        return requests

    def _parsed(self, payload: bytes) -> Any:
        message: Any = self._payload()
        try:
            message.MergeFromString(payload)
        except NotWellFormed as error:
            raise DecodeError("the payload is no protobuf message of Sparkplug B") from error
        if not message.ListFields():
            raise DecodeError("the payload holds nothing of a Sparkplug B message")
        if message.uuid == _COMPRESSED:
            raise DecodeError("compressed payloads are not read")
        if len(message.metrics) > RECORDS_MAX:
            raise too_many()
        return message

    def _record(
        self,
        metric: dict[int, Any],
        shared: dict[str, Any],
        time: int | None,
        birth: Birth | None,
    ) -> dict[str, Any] | Bad:
        name, alias, datatype = metric.get(NAME), metric.get(ALIAS), metric.get(DATATYPE)
        if name is None:
            declared = birth.aliases.get(alias) if birth and alias is not None else None
            if declared is None:
                return _undeclared(alias)
            name, type_ = declared
        else:
            type_ = birth.types.get(name) if birth else None
        if datatype is None:
            datatype = type_
        try:
            kind, value = self._value(metric, datatype)
            name = text(name)
        except ValueError as error:
            return Bad("undecodable", f"the metric {name!r} can't be read: {error}")
        if kind is None:
            return Bad(
                "unknown_alias",
                f"the type of the metric {name!r} is not known, and with it its sign: a birth "
                "has to say it; set rebirth: true to ask the node for one",
            )
        record = shared | {
            "metric": name,
            "alias": alias,
            "datatype": TYPES.get(datatype) if datatype else None,
            "time": metric.get(TIMESTAMP, time),
            "value": value,
            **dict.fromkeys(_KINDS),
            "is_null": metric.get(NULL, False),
            "historical": metric.get(HISTORICAL, False),
            "transient": metric.get(TRANSIENT, False),
        }
        if value is not None:
            record[kind] = value
        return record

    def _value(self, metric: dict[int, Any], datatype: int | None) -> tuple[str | None, Any]:
        """The kind of a metric's value, and the value; the kind is None when it can't be known."""
        number = next(reversed(metric), 0)
        if datatype == _TEMPLATE_TYPE or number in (TEMPLATE, EXTENSION):
            raise ValueError("templates and extensions are not read")
        if number < INT or metric.get(NULL):
            return "value", None
        if not datatype:
            kind, read = UNTYPED.get(number, (None, text))
            return (None, None) if kind is None else (kind, read(metric[number]))
        found = self._readers.get(datatype)
        if found is None:
            raise ValueError(f"there are no values of the type {TYPES.get(datatype, datatype)}")
        kind, ways = found
        if number not in ways:
            raise ValueError(f"the value of a {TYPES[datatype]} stands in the field {number}")
        return kind, ways[number](metric[number])

    def _ask(self, topic: Topic, received_us: int) -> None:
        """Ask a node for its births, if it was not asked just before."""
        node = _node(topic)
        last = self._asked.get(node)
        # The clock may have been set back.
        if last is not None and 0 <= received_us - last < REBIRTH_EVERY_US:
            return
        if len(self._asked) >= ENTRIES_MAX:
            self._asked.clear()
        self._asked[node] = received_us
        command = rebirth_command(self._payload, max(0, received_us // 1000))
        self._requests.append((f"{NAMESPACE}/{topic.group}/NCMD/{topic.node}", command))


def _node(topic: Topic) -> str:
    return f"{topic.group}/{topic.node}"


def _fields(metric: Any) -> dict[int, Any]:
    """What is set in a metric, by number and in that order: the value comes last."""
    return {field.number: value for field, value in metric.ListFields()}


def _declared(metrics: list[dict[int, Any]]) -> Iterator[tuple[str, int | None, int | None]]:
    for metric in metrics:
        name = metric.get(NAME)
        if isinstance(name, str):
            yield name, metric.get(ALIAS), metric.get(DATATYPE)


def _undeclared(alias: int | None) -> Bad:
    if alias is None:
        return Bad("undecodable", "a metric has neither a name nor an alias")
    return Bad(
        "unknown_alias",
        f"no birth of the node, or of the device, gives the alias {alias} to one metric: ask the "
        "node for a rebirth, or set rebirth: true",
    )


def _state(topic: Topic, time: int | None, metrics: list[dict[int, Any]]) -> dict[str, Any]:
    numbers = (metric.get(INT, metric.get(INT + 1)) for metric in metrics if _is_bd_seq(metric))
    return _state_record(topic, topic.type in _BIRTHS, time, next(numbers, None))


def _is_bd_seq(metric: dict[int, Any]) -> bool:
    return bool(metric.get(NAME) == "bdSeq")


def _state_record(
    topic: Topic, online: bool, time: int | None, bd_seq: int | None
) -> dict[str, Any]:
    return {
        "group": topic.group,
        "node": topic.node,
        "device": topic.device,
        "type": topic.type,
        "host": topic.host,
        "online": online,
        "time": time,
        "bd_seq": bd_seq,
    }


def _host_state(topic: Topic, payload: bytes) -> dict[str, Any]:
    """What a host says of itself: an object since 3.0, a word before."""
    words = {b"ONLINE": True, b"OFFLINE": False}
    if payload.strip() in words:
        return _state_record(topic, words[payload.strip()], None, None)
    said = json_format.decode(payload)
    online = said.get("online") if isinstance(said, dict) else None
    time = said.get("timestamp") if isinstance(said, dict) else None
    if not isinstance(online, bool) or not isinstance(time, int | None) or isinstance(time, bool):
        raise DecodeError('the state of a host is no {"online": true, "timestamp": 1741000000000}')
    return _state_record(topic, online, time, None)
