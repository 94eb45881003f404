"""Sparkplug B: values by type, names by alias, births over restarts and redeliveries, states."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import formats
from collector.formats import Bad
from collector.formats.shared.sparkplug_births import ENTRY_BYTES_MAX
from collector.formats.shared.sparkplug_wire import TYPES, payload_class
from collector.formats.sparkplug import REBIRTH_EVERY_US
from collector.model import Arrival, DecodeError

Payload = payload_class()
NUMBERS = {name: number for number, name in TYPES.items()}


def decoder_of(**options):
    return formats.compile("sparkplug", formats.options_of("sparkplug")(**options), None)


def message(time=1_000, metrics=(), seq=1):
    """A payload; a metric is its fields, with the name of its type."""
    described = [
        {key: NUMBERS[value] if key == "datatype" else value for key, value in metric.items()}
        for metric in metrics
    ]
    given_time = {} if time is None else {"timestamp": time}
    return Payload(seq=seq, metrics=described, **given_time).SerializeToString()


def read(decoder, type_, payload, *, place="edge", now=0, dup=False):
    topic = f"spBv1.0/Plant/{type_}/{place}"
    return decoder.decode(payload, Arrival(topic, now, dup))


def value_of(metric, type_="NBIRTH"):
    """The one record of a message with one metric."""
    (record,) = read(decoder_of(), type_, message(metrics=[metric]))
    return record


def shown(records):
    """Name and value of each record, or the kind of a bad one."""
    return [one.kind if isinstance(one, Bad) else (one["metric"], one["value"]) for one in records]


# --- values


@pytest.mark.parametrize(
    ("datatype", "fields", "kind", "value"),
    [
        ("Int8", {"int_value": 2**32 - 25}, "number", -25),
        ("Int8", {"int_value": 231}, "number", -25),
        ("Int8", {"int_value": 127}, "number", 127),
        ("Int16", {"int_value": 2**16 - 1}, "number", -1),
        ("Int32", {"int_value": 2**31}, "number", -(2**31)),
        ("Int32", {"long_value": 2**64 - 5}, "number", -5),
        ("Int32", {"long_value": 2**32 - 5}, "number", -5),
        ("Int64", {"long_value": 2**64 - 9_000_000_000}, "number", -9_000_000_000),
        ("Int64", {"int_value": 5}, "number", 5),
        ("UInt8", {"int_value": 255}, "number", 255),
        ("UInt32", {"long_value": 2**32 - 1}, "number", 2**32 - 1),
        ("UInt64", {"long_value": 2**64 - 1}, "number", 2**64 - 1),
        ("DateTime", {"long_value": 1_741_000_000_000}, "number", 1_741_000_000_000),
        ("Float", {"float_value": 21.5}, "number", 21.5),
        ("Double", {"double_value": 0.1}, "number", 0.1),
        ("Boolean", {"boolean_value": False}, "boolean", False),
        ("String", {"string_value": "42"}, "text", "42"),
        ("Text", {"string_value": ""}, "text", ""),
        ("UUID", {"string_value": "u"}, "text", "u"),
        ("Bytes", {"bytes_value": b"\x00\xff"}, "bytes", b"\x00\xff"),
        ("File", {"bytes_value": b""}, "bytes", b""),
        ("Int8Array", {"bytes_value": b"\x01\xff"}, "array", [1, -1]),
        ("Int16Array", {"bytes_value": struct.pack("<2h", 1, -2)}, "array", [1, -2]),
        ("Int32Array", {"bytes_value": struct.pack("<2i", 1, -2)}, "array", [1, -2]),
        ("Int64Array", {"bytes_value": struct.pack("<2q", 1, -2)}, "array", [1, -2]),
        ("UInt8Array", {"bytes_value": b"\x01\xff"}, "array", [1, 255]),
        ("UInt16Array", {"bytes_value": struct.pack("<H", 65_535)}, "array", [65_535]),
        ("UInt32Array", {"bytes_value": struct.pack("<I", 2**32 - 1)}, "array", [2**32 - 1]),
        ("UInt64Array", {"bytes_value": struct.pack("<Q", 2**64 - 1)}, "array", [2**64 - 1]),
        ("FloatArray", {"bytes_value": struct.pack("<2f", 1.5, -2)}, "array", [1.5, -2.0]),
        ("DoubleArray", {"bytes_value": struct.pack("<d", 0.1)}, "array", [0.1]),
        ("DateTimeArray", {"bytes_value": struct.pack("<Q", 5)}, "array", [5]),
        ("BooleanArray", {"bytes_value": b"\x0c\0\0\0\x34\xd0"}, "array",
         [bool(int(bit)) for bit in "001101001101"]),
        ("StringArray", {"bytes_value": b"a\0\0\xc3\xa9\0"}, "array", ["a", "", "é"]),
        ("StringArray", {"bytes_value": b""}, "array", []),
    ],
)  # fmt: skip
def test_a_value_is_what_its_type_makes_of_it(datatype, fields, kind, value):
    record = value_of({"name": "m", "datatype": datatype, **fields})
    kinds = ("number", "boolean", "text", "bytes", "dataset", "array")
    assert {key: record[key] for key in kinds if record[key] is not None} == {kind: value}
    assert record["value"] == value
    assert type(record["value"]) is type(value)
    assert record["datatype"] == datatype


@pytest.mark.parametrize(
    "metric",
    [
        {"datatype": "Int8", "int_value": 300},
        {"datatype": "Int16", "long_value": 2**63},
        {"datatype": "UInt8", "int_value": 256},
        {"datatype": "UInt32", "long_value": 2**32},
        {"datatype": "Int32", "double_value": 1.5},
        {"datatype": "Double", "int_value": 1},
        {"datatype": "Boolean", "int_value": 1},
        {"datatype": "String", "bytes_value": b"x"},
        {"datatype": "Template", "template_value": b""},
        {"datatype": "Template"},
        {"datatype": "Unknown", "template_value": b""},
        {"datatype": "Unknown", "extension_value": b""},
        {"datatype": "PropertySet", "int_value": 1},
        {"datatype": "Int16Array", "bytes_value": b"\x01"},
        {"datatype": "BooleanArray", "bytes_value": b"\x01\0\0"},
        {"datatype": "BooleanArray", "bytes_value": b"\xff\xff\xff\xff\x00"},
        {"datatype": "StringArray", "bytes_value": b"a"},
        {"datatype": "StringArray", "bytes_value": b"\xff\0"},
    ],
)
def test_a_value_that_does_not_fit_its_type_costs_only_its_metric(metric):
    payload = message(metrics=[{"name": "m", **metric}, {"name": "n", "float_value": 1.5}])
    assert shown(read(decoder_of(), "NBIRTH", payload)) == ["undecodable", ("n", 1.5)]


def test_texts_that_are_not_utf_8_cost_only_their_metric():
    name = b"\x12\x08\x0a\x01\xff\x65\0\0\0\0"
    text = b"\x12\x06\x0a\x01a\x7a\x01\xff"
    good = b"\x12\x05\x0a\x01b\x70\x01"
    found = read(decoder_of(), "NDATA", b"\x08\x05" + name + text + good)
    assert shown(found) == ["undecodable"] * 2 + [("b", True)]


def test_a_metric_without_a_value_is_null():
    record = value_of({"name": "m", "datatype": "Float", "is_null": True})
    assert (record["value"], record["is_null"], record["datatype"]) == (None, True, "Float")
    record = value_of({"name": "m", "datatype": "Float", "float_value": 1.5, "is_null": True})
    assert (record["value"], record["number"]) == (None, None)
    assert value_of({"name": "m", "datatype": "Float"})["value"] is None


def test_a_record_says_where_it_comes_from_and_when():
    metrics = [{"name": "a", "float_value": 1.5, "is_historical": True, "timestamp": 7}]
    metrics += [{"name": "b", "alias": 0, "is_transient": True}]
    first, second = read(decoder_of(), "DDATA", message(5, metrics, 9), place="edge/pump")
    shared = {"group": "Plant", "node": "edge", "device": "pump", "type": "DDATA", "seq": 9}
    assert first == shared | {
        "metric": "a",
        "alias": None,
        "datatype": None,
        "time": 7,
        "value": 1.5,
        "number": 1.5,
        **dict.fromkeys(("boolean", "text", "bytes", "dataset", "array")),
        "is_null": False,
        "historical": True,
        "transient": False,
    }
    assert (second["alias"], second["time"], second["transient"]) == (0, 5, True)
    assert second["historical"] is False


def dataset(columns, types, rows):
    return {
        "name": "m",
        "datatype": "DataSet",
        "dataset_value": {
            "columns": columns,
            "types": [NUMBERS[one] for one in types],
            "rows": [{"elements": cells} for cells in rows],
        },
    }


def test_a_dataset_is_the_list_of_its_rows():
    cells = [{"int_value": 2**32 - 1}, {"string_value": "x"}]
    metric = dataset(["a", "b"], ["Int32", "String"], [cells, [{}, {}]])
    rows = [{"a": -1, "b": "x"}, {"a": None, "b": None}]
    assert value_of(metric)["dataset"] == rows
    assert value_of(dataset([], [], []))["value"] == []


@pytest.mark.parametrize(
    "metric",
    [
        dataset(["a"], [], []),
        dataset(["a", "a"], ["Float", "Float"], []),
        dataset(["a"], ["Float"], [[]]),
        dataset(["a"], ["Float"], [[{"string_value": "x"}]]),
        dataset(["a"], ["Int8"], [[{"int_value": 300}]]),
        dataset(["a"], ["Float"], [[{"extension_value": b""}]]),
        dataset(["a"], ["DataSet"], [[{"int_value": 1}]]),
    ],
)
def test_a_dataset_that_does_not_fit_itself_costs_its_metric(metric):
    assert value_of(metric).kind == "undecodable"


# --- aliases

SPEED = {"name": "Speed", "alias": 10, "datatype": "Double", "double_value": 1.5}
OFFSET = {"name": "Offset", "alias": 11, "datatype": "Int32", "int_value": 5}
BY_10 = {"alias": 10, "double_value": 2.5}
BY_11 = {"alias": 11, "int_value": 2**32 - 1}


def test_names_and_types_of_aliases_come_from_the_birth():
    decoder = decoder_of()
    read(decoder, "NBIRTH", message(1, [SPEED, OFFSET]))
    assert shown(read(decoder, "NDATA", message(2, [BY_11, BY_10]))) == [
        ("Offset", -1),
        ("Speed", 2.5),
    ]
    named = {"name": "Offset", "int_value": 2**32 - 2}
    assert shown(read(decoder, "NDATA", message(3, [named]))) == [("Offset", -2)]


def test_a_type_that_the_message_gives_itself_counts():
    decoder = decoder_of()
    read(decoder, "NBIRTH", message(1, [OFFSET]))
    metric = {**BY_11, "datatype": "UInt32"}
    assert shown(read(decoder, "NDATA", message(2, [metric]))) == [("Offset", 2**32 - 1)]


def test_an_alias_that_nobody_declared_costs_only_its_metric():
    decoder = decoder_of()
    assert shown(read(decoder, "NDATA", message(1, [BY_10]))) == ["unknown_alias"]
    read(decoder, "NBIRTH", message(2, [SPEED]))
    assert shown(read(decoder, "NDATA", message(3, [BY_10, BY_11, {"float_value": 1.0}]))) == [
        ("Speed", 2.5),
        "unknown_alias",
        "undecodable",
    ]
    assert shown(read(decoder, "NDATA", message(3, [BY_10]), place="other")) == ["unknown_alias"]


def test_a_whole_number_whose_type_nobody_said_has_no_known_sign():
    decoder = decoder_of()
    metrics = [{"name": "a", "int_value": 5}, {"name": "b", "float_value": 1.5}]
    assert shown(read(decoder, "NDATA", message(1, metrics))) == ["unknown_alias", ("b", 1.5)]


def test_an_alias_that_a_birth_gives_twice_says_nothing_but_the_names_do():
    decoder = decoder_of()
    metrics = [{"name": name, "alias": 0, "datatype": "Int8", "int_value": 1} for name in "ab"]
    assert shown(read(decoder, "NBIRTH", message(1, metrics))) == [("a", 1), ("b", 1)]
    assert shown(read(decoder, "NDATA", message(2, metrics[1:]))) == [("b", 1)]
    assert shown(read(decoder, "NDATA", message(2, [{"alias": 0, "int_value": 1}]))) == [
        "unknown_alias"
    ]


def test_a_new_birth_gives_aliases_another_meaning():
    decoder = decoder_of()
    read(decoder, "NBIRTH", message(1, [SPEED, OFFSET]))
    read(decoder, "NBIRTH", message(2, [{"name": "Mode", "alias": 10, "datatype": "String"}]))
    mode = {"alias": 10, "string_value": "42"}
    assert shown(read(decoder, "NDATA", message(3, [mode, BY_11]))) == [
        ("Mode", "42"),
        "unknown_alias",
    ]


def test_the_birth_of_a_node_ends_what_its_devices_declared_until_they_do_again():
    decoder = decoder_of()
    pump = {"place": "edge/pump"}
    read(decoder, "NBIRTH", message(1, [OFFSET]))
    assert shown(read(decoder, "DDATA", message(2, [BY_10]), **pump)) == ["unknown_alias"]
    read(decoder, "DBIRTH", message(2, [SPEED]), **pump)
    assert shown(read(decoder, "DDATA", message(3, [BY_10]), **pump)) == [("Speed", 2.5)]
    assert shown(read(decoder, "DDATA", message(3, [BY_11]), **pump)) == ["unknown_alias"]
    read(decoder, "NBIRTH", message(4, [OFFSET]))
    assert shown(read(decoder, "DDATA", message(5, [BY_10]), **pump)) == ["unknown_alias"]
    read(decoder, "DBIRTH", message(6, [SPEED]), **pump)
    assert shown(read(decoder, "DDATA", message(7, [BY_10]), **pump)) == [("Speed", 2.5)]


def test_a_device_whose_node_was_born_before_we_listened_is_read_by_its_own_birth():
    decoder = decoder_of()
    read(decoder, "DBIRTH", message(2, [SPEED]), place="edge/pump")
    found = read(decoder, "DDATA", message(3, [BY_10]), place="edge/pump")
    assert shown(found) == [("Speed", 2.5)]


# --- the memory


def test_births_outlive_a_restart():
    first = decoder_of()
    read(first, "NBIRTH", message(1, [SPEED]))
    read(first, "DBIRTH", message(1, [OFFSET]), place="edge/pump")
    kept = dict(first.memory.fresh)
    assert set(kept) == {"Plant/edge", "Plant/edge/pump"}
    second = decoder_of()
    second.memory.restore(kept)
    assert shown(read(second, "NDATA", message(2, [BY_10]))) == [("Speed", 2.5)]
    assert shown(read(second, "DDATA", message(2, [BY_11]), place="edge/pump")) == [("Offset", -1)]


def test_a_commit_that_fails_takes_the_birth_back():
    decoder = decoder_of()
    read(decoder, "NBIRTH", message(1, [SPEED]))
    decoder.memory.stored()
    read(decoder, "NBIRTH", message(2, [{**SPEED, "name": "Pace"}]))
    assert shown(read(decoder, "NDATA", message(3, [BY_10]))) == [("Pace", 2.5)]
    decoder.memory.give_back()
    assert shown(read(decoder, "NDATA", message(1, [BY_10]))) == [("Speed", 2.5)]


def test_the_same_birth_again_is_nothing_to_store():
    decoder = decoder_of()
    read(decoder, "NBIRTH", message(1, [SPEED]))
    decoder.memory.stored()
    read(decoder, "NBIRTH", message(1, [SPEED]), dup=True)
    assert decoder.memory.fresh == {}


def test_what_is_sent_again_is_read_by_the_birth_of_its_time():
    decoder = decoder_of()
    old, new = message(10, [SPEED]), message(20, [{**SPEED, "name": "Pace"}])
    read(decoder, "NBIRTH", old)
    read(decoder, "NBIRTH", new)
    assert shown(read(decoder, "NDATA", message(15, [BY_10]), dup=True)) == [("Speed", 2.5)]
    assert shown(read(decoder, "NDATA", message(25, [BY_10]), dup=True)) == [("Pace", 2.5)]
    assert shown(read(decoder, "NDATA", message(20, [BY_10]), dup=True)) == [("Pace", 2.5)]
    assert shown(read(decoder, "NDATA", message(5, [BY_10]), dup=True)) == ["unknown_alias"]
    assert shown(read(decoder, "NDATA", message(None, [BY_10]), dup=True)) == [("Pace", 2.5)]
    # A clock that was set back is no redelivery.
    assert shown(read(decoder, "NDATA", message(15, [BY_10]))) == [("Pace", 2.5)]
    # The old birth itself comes again as well, and does not take the place of the last.
    assert shown(read(decoder, "NBIRTH", old, dup=True)) == [("Speed", 1.5)]
    assert shown(read(decoder, "NDATA", message(25, [BY_10]))) == [("Pace", 2.5)]


def test_what_a_device_sends_again_is_read_by_the_births_of_its_time():
    decoder = decoder_of()
    pump = {"place": "edge/pump"}
    read(decoder, "NBIRTH", message(10, [OFFSET]))
    read(decoder, "DBIRTH", message(11, [SPEED]), **pump)
    read(decoder, "NBIRTH", message(20, [OFFSET]))
    late = message(15, [BY_10])
    assert shown(read(decoder, "DDATA", late, dup=True, **pump)) == [("Speed", 2.5)]
    assert shown(read(decoder, "DDATA", late, **pump)) == ["unknown_alias"]
    read(decoder, "DBIRTH", message(21, [{**SPEED, "name": "Pace"}]), **pump)
    assert shown(read(decoder, "DDATA", late, dup=True, **pump)) == [("Speed", 2.5)]
    assert shown(read(decoder, "DDATA", message(25, [BY_10]), **pump)) == [("Pace", 2.5)]


def test_a_birth_that_is_very_large_is_kept_alone():
    decoder = decoder_of()
    names = ["x" * 60_000 + str(number) for number in range(40)]
    for time in (1, 2):
        metrics = [{"name": name, "alias": index} for index, name in enumerate(names)]
        read(decoder, "NBIRTH", message(time, metrics))
    assert len(decoder.memory.fresh["Plant/edge"]) < ENTRY_BYTES_MAX
    data = message(3, [{"alias": 39, "float_value": 1.5}])
    assert shown(read(decoder, "NDATA", data)) == [(names[39], 1.5)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["NBIRTH", "DBIRTH", "NDATA", "DDATA", "stored", "give_back"]),
            st.integers(0, 5),
            st.booleans(),
            st.sampled_from("ab"),
        ),
        max_size=12,
    )
)
def test_whatever_the_order_an_alias_has_a_name_that_a_birth_gave_it_or_none(steps):
    decoder = decoder_of()
    for what, time, dup, name in steps:
        if what in ("stored", "give_back"):
            getattr(decoder.memory, what)()
            continue
        metric = {**SPEED, "name": what[0] + name} if what.endswith("BIRTH") else BY_10
        place = "edge/pump" if what[0] == "D" else "edge"
        (record,) = read(decoder, what, message(time, [metric]), place=place, dup=dup)
        if isinstance(record, Bad):
            assert record.kind == "unknown_alias"
            assert what.endswith("DATA")
        else:
            assert record["metric"][0] == what[0]


# --- asking for births


def test_a_node_is_asked_for_its_births_at_most_once_a_minute():
    decoder = decoder_of(rebirth=True)
    unknown = message(1, [BY_10, BY_11])

    def asked(now, place="edge", type_="NDATA", payload=unknown):
        read(decoder, type_, payload, place=place, now=now)
        return [topic for topic, _ in decoder.requests()]

    now = 1_741_000_000_000_000
    command = ["spBv1.0/Plant/NCMD/edge"]
    assert asked(now) == command
    assert asked(now + REBIRTH_EVERY_US - 1) == []
    assert asked(now + 1, "edge/pump", "DDATA") == []
    assert asked(now + 2, "other/pump", "DDATA") == ["spBv1.0/Plant/NCMD/other"]
    assert asked(now + REBIRTH_EVERY_US) == command
    assert asked(now) == command
    assert asked(now + 3 * REBIRTH_EVERY_US, payload=message(1, [{"float_value": 1.0}])) == []


def test_the_command_is_a_rebirth_with_the_time_of_arrival():
    decoder = decoder_of(rebirth=True)
    read(decoder, "NDATA", message(1, [BY_10]), now=1_741_000_000_123_456)
    ((_, payload),) = decoder.requests()
    command = Payload.FromString(payload)
    (metric,) = command.metrics
    assert command.timestamp == metric.timestamp == 1_741_000_000_123
    assert (metric.name, metric.datatype, metric.boolean_value) == (
        "Node Control/Rebirth",
        NUMBERS["Boolean"],
        True,
    )


def test_without_the_option_nobody_is_asked():
    assert decoder_of().requests is None


# --- topics and other messages


@pytest.mark.parametrize("type_", ["NDEATH", "NCMD"])
def test_deaths_and_commands_give_no_metrics(type_):
    assert read(decoder_of(), type_, b"\xff") == []
    assert read(decoder_of(), f"D{type_[1:]}", b"\xff", place="edge/pump") == []


@pytest.mark.parametrize(
    "topic",
    [
        "a/b",
        "spAv1.0/Plant/NDATA/edge",
        "spBv1.0/Plant/NDATA",
        "spBv1.0/Plant/NDATA/edge/pump",
        "spBv1.0/Plant/DDATA/edge",
        "spBv1.0/Plant/DDATA/edge/pump/x",
        "spBv1.0/Plant/data/edge",
        "spBv1.0//NDATA/edge",
        "spBv1.0/Plant/NDATA/",
        "STATE",
        "STATE/",
        "x/STATE/host",
    ],
)
def test_another_topic_is_refused(topic):
    with pytest.raises(DecodeError, match="no topic of Sparkplug"):
        decoder_of().decode(message(), Arrival(topic, 0))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"timestamp":1}',
        b"",
        b"\x08",
        b"\x12\x05a",
        b"\x78\x01",
        Payload(timestamp=1, uuid="SPBV1.0_COMPRESSED").SerializeToString(),
    ],
)
def test_a_payload_that_is_none_of_sparkplug_is_refused(payload):
    with pytest.raises(DecodeError, match="payload"):
        read(decoder_of(), "NDATA", payload)


def state(type_, online, time, bd_seq=None, **more):
    base = {"group": "Plant", "node": "edge", "device": None, "type": type_, "host": None}
    return base | {"online": online, "time": time, "bd_seq": bd_seq} | more


def test_states_are_births_and_deaths_and_the_births_still_count():
    decoder = decoder_of(records="states")
    bd_seq = {"name": "bdSeq", "datatype": "UInt64", "long_value": 3}
    pump = {"place": "edge/pump"}
    assert read(decoder, "NBIRTH", message(1, [bd_seq, SPEED])) == [state("NBIRTH", True, 1, 3)]
    assert read(decoder, "NDEATH", message(None, [bd_seq])) == [state("NDEATH", False, None, 3)]
    assert read(decoder, "DBIRTH", message(1), **pump) == [state("DBIRTH", True, 1, device="pump")]
    assert read(decoder, "DDEATH", message(2), **pump) == [state("DDEATH", False, 2, device="pump")]
    assert read(decoder, "NDATA", b"\xff") == []
    assert "Speed" in decoder.memory.get("Plant/edge").decode()


@pytest.mark.parametrize(
    ("topic", "payload", "online", "time"),
    [
        ("spBv1.0/STATE/scada", b'{"online":true,"timestamp":5}', True, 5),
        ("spBv1.0/STATE/scada", b'{"online":false}', False, None),
        ("STATE/scada", b"ONLINE", True, None),
        ("STATE/scada", b" OFFLINE\n", False, None),
    ],
)
def test_a_host_says_its_state_too(topic, payload, online, time):
    nobody = {"group": None, "node": None, "host": "scada"}
    found = decoder_of(records="states").decode(payload, Arrival(topic, 0))
    assert found == [state("STATE", online, time, **nobody)]
    assert decoder_of().decode(payload, Arrival(topic, 0)) == []


@pytest.mark.parametrize(
    "payload", [b"", b"online", b"{}", b'{"online":1}', b'{"online":true,"timestamp":"x"}']
)
def test_a_state_that_says_nothing_is_refused(payload):
    with pytest.raises(DecodeError):
        decoder_of(records="states").decode(payload, Arrival("STATE/scada", 0))


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="metrics"):
        decoder_of(records="all")
    with pytest.raises(ValueError, match="rebirth"):
        decoder_of(rebirth="perhaps")


# --- replays, and births that do not come again


def declares(name, time):
    metric = {"name": name, "alias": 1, "datatype": "Double", "double_value": 0.0}
    return message(time=time, metrics=[metric])


def named(decoder, time, **arrival):
    """The name by which a message of that time is read, or the kind of its fault."""
    payload = message(time=time, metrics=[{"alias": 1, "double_value": 5.0}])
    (record,) = decoder.decode(payload, Arrival("spBv1.0/Plant/NDATA/edge", 0, **arrival))
    return record.kind if isinstance(record, Bad) else record["metric"]


def test_a_replay_is_read_by_the_birth_of_its_time_and_changes_nothing():
    decoder = decoder_of()
    read(decoder, "NBIRTH", declares("temp", 1_000))
    read(decoder, "NBIRTH", declares("pressure", 2_000))
    assert named(decoder, 1_500, replayed=True) == "temp"
    assert named(decoder, 2_500, replayed=True) == "pressure"
    assert named(decoder, 500, replayed=True) == "unknown_alias"
    old = Arrival("spBv1.0/Plant/NBIRTH/edge", 0, replayed=True)
    (birth,) = decoder.decode(declares("temp", 1_000), old)
    assert birth["metric"] == "temp"
    assert named(decoder, 2_500) == "pressure"


def test_what_came_before_the_first_known_birth_is_read_by_it_when_it_is_replayed():
    decoder = decoder_of()
    assert named(decoder, 500) == "unknown_alias"
    read(decoder, "NBIRTH", declares("temp", 1_000))
    assert named(decoder, 500, replayed=True) == "temp"


@pytest.mark.parametrize(("unprotected", "name"), [(True, "pressure"), (False, "temp")])
def test_a_birth_outlives_a_failed_commit_only_if_it_does_not_come_again(unprotected, name):
    decoder = decoder_of()
    read(decoder, "NBIRTH", declares("temp", 1_000))
    decoder.memory.stored()
    arrival = Arrival("spBv1.0/Plant/NBIRTH/edge", 0, unprotected=unprotected)
    decoder.decode(declares("pressure", 2_000), arrival)
    decoder.memory.give_back()
    assert named(decoder, 3_000) == name
