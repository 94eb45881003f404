"""From payloads to records and faults: the rules of the mapping, one table of cases per rule.

Every case goes the whole way, bytes to protobuf and back. The fast way and the slow way are held
against each other: whatever the payload, they must agree.
"""

import base64
import itertools
import json
import math
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from google.protobuf.message import Message as Record
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config import Station
from collector.config.vocabulary import Words
from collector.errors import ConfigError
from collector.mapping import FAULTS_MAX, compile_mapping
from collector.model import KINDS, Fault, Message
from collector.tables import load_schema

TYPES = """
  optional int32 i = 1;
  optional int64 big = 2;
  optional int32 small = 3;  // delta: SMALLINT
  optional int32 tiny = 4;  // delta: TINYINT
  optional double d = 5;
  optional float f = 6;
  optional string s = 7;
  optional bool b = 8;
  optional bytes raw = 9;
  optional string any = 10;  // delta: VARIANT
  optional int64 ts = 11;  // delta: TIMESTAMP
  optional int64 wall = 12;  // delta: TIMESTAMP_NTZ
  optional int32 day = 13;  // delta: DATE
  message Inner {
    required int32 a = 1;
    optional string t = 2;
  }
  optional Inner st = 14;
  repeated Inner many = 15;
  repeated double list = 16;
  map<string, int64> by_name = 17;
  map<int32, bool> by_number = 18;
  optional string short = 19;  // delta: VARCHAR(5)
  repeated string notes = 20;  // delta: ARRAY<VARIANT>
"""
SENSOR = """
  required string device = 1;
  optional int32 temp = 2;
  optional int64 humidity = 3;
"""
MAX = {
    name: 2 ** (bits - 1) - 1 for name, bits in (("i", 32), ("big", 64), ("small", 16), ("tiny", 8))
}


def schema_of(body: str):
    with tempfile.TemporaryDirectory() as folder:
        text = 'syntax = "proto2";\nmessage T {\n' + body + "}\n"
        (Path(folder) / "schema.proto").write_text(text)
        return load_schema(Path(folder))


def station(columns=None, format_="json") -> Station:
    return Station.model_construct(
        name="hall",
        topics=("a/+",),
        table="c.s.t",
        schema_dir=Path("tables/hall"),
        format=format_,
        columns=None
        if columns is None
        else {name: Words.model_validate(words) for name, words in columns.items()},
        line=7,
    )


def mapping_of(body, columns=None, captures=()):
    return compile_mapping(station(columns), schema_of(body), captures, "gw-1")


def encode(mapping, payload, captures=None, topic="a/b", received_us=1_741_000_000_000_000, **more):
    """Rows and faults of one message."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    records: list[bytes] = []
    numbers = itertools.count(more.pop("first_seq", 1))
    message = Message(topic.encode(), raw, **more)
    faults = mapping.encode(
        message, captures or {}, topic, received_us, lambda: next(numbers), records
    )
    return [plain(mapping.schema.message.FromString(record)) for record in records], list(faults)


def plain(record: Record) -> dict:
    """A record as the values that were set, nested ones as dicts and lists."""
    row = {}
    for field, value in record.ListFields():
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            row[field.name] = dict(value)
        elif field.is_repeated:
            row[field.name] = [plain(one) if entry else one for one in value]
        else:
            row[field.name] = plain(value) if entry else value
    return row


ALL = mapping_of(TYPES)
SLOW = mapping_of(TYPES)
SLOW._fast = None
assert ALL._fast is not None


def value_or_kind(column: str, text: str):
    """What a JSON text becomes in a column, by both ways."""
    payload = b'{"%s":%s}' % (column.encode(), text.encode())
    result = encode(ALL, payload)
    assert result == encode(SLOW, payload)
    rows, faults = result
    if faults:
        assert not rows
        assert len(faults) == 1
        assert faults[0].field == (column if faults[0].kind != "undecodable" else "")
        return faults[0].kind
    return rows[0].get(column)


BAD, RANGE, LACKS = "bad_value", "out_of_range", "missing_required"

NUMBERS = [
    # Whole numbers, and what is one exactly.
    *[(name, "5", 5) for name in ("i", "big", "small", "tiny")],
    *[(name, "5.0", 5) for name in ("i", "big", "small", "tiny")],
    *[(name, "-0.0", 0) for name in ("i", "big")],
    ("i", "1e3", 1000),
    ("i", "5.5", BAD),
    ("i", "5e-1", BAD),
    ("i", "true", BAD),
    ("i", "false", BAD),
    ("i", "[]", BAD),
    ("i", "[5]", BAD),
    ("i", "{}", BAD),
    # The ends of each range.
    *[(name, str(top), top) for name, top in MAX.items()],
    *[(name, str(-top - 1), -top - 1) for name, top in MAX.items()],
    *[(name, str(top + 1), RANGE) for name, top in MAX.items()],
    *[(name, str(-top - 2), RANGE) for name, top in MAX.items()],
    *[(name, f'"{top}"', top) for name, top in MAX.items()],
    *[(name, f'"{top + 1}"', RANGE) for name, top in MAX.items()],
    ("i", "1e400", RANGE),
    ("i", "1e99999999999999999999999", RANGE),
    # Not even for a moment are these made into integers of a billion digits.
    ("i", '"1e999999999"', RANGE),
    ("s", "1e999999999", BAD),
    ("i", "1e999999999", RANGE),
    ("i", "9" * 4000, RANGE),
    ("i", '"1e99999999999999999999999"', RANGE),
    ("i", '"' + "9" * 5000 + '"', RANGE),
    # Exact up to 64 bits, however they are written.
    ("big", "9007199254740993", 9007199254740993),
    ("big", "9007199254740993.0", 9007199254740993),
    ("big", "9.007199254740993e15", 9007199254740993),
    ("big", "9223372036854775807.0", 2**63 - 1),
    ("big", "9223372036854775808.0", RANGE),
    ("big", '"9007199254740993.000"', 9007199254740993),
    ("big", "9007199254740993.5", BAD),
    ("big", "1e18", 10**18),
    # Text that is wholly a number.
    ("i", '"5"', 5),
    ("i", '" +005 "', 5),
    ("i", '"-5\\r\\n"', -5),
    ("i", '"5.0"', 5),
    ("i", '"5."', 5),
    ("i", '"1e3"', 1000),
    ("i", '"0e999999999"', 0),
    ("i", '"' + "0" * 5000 + '7"', 7),
    ("i", '"5.5"', BAD),
    ("i", '".5"', BAD),
    ("i", '"1_000"', BAD),
    ("i", '"1,000"', BAD),
    ("i", '"0x10"', BAD),
    ("i", '"5 kWh"', BAD),
    ("i", '"5 5"', BAD),
    ("i", '""', BAD),
    ("i", '" "', BAD),
    ("i", '"."', BAD),
    ("i", '"e5"', BAD),
    ("i", '"--5"', BAD),
    ("i", '"true"', BAD),
    ("i", '"nan"', BAD),
    ("i", '"\\u0665"', BAD),
    ("i", '"\\u00a05"', BAD),
    # Real numbers.
    ("d", "5", 5.0),
    ("d", "-1.5e-3", -0.0015),
    ("d", "0.1", 0.1),
    ("d", '" 21.5 "', 21.5),
    ("d", '".5"', 0.5),
    ("d", '"1e3"', 1000.0),
    ("d", "9007199254740993.0", 9007199254740992.0),
    ("d", "12345678901234567890123", 1.2345678901234568e22),
    ("d", "1.7976931348623157e308", 1.7976931348623157e308),
    ("d", "1e400", RANGE),
    ("d", "-1e400", RANGE),
    ("d", "9" * 400, RANGE),
    ("d", '"1e400"', RANGE),
    ("d", '"nan"', BAD),
    ("d", '"inf"', BAD),
    ("d", '"1_0"', BAD),
    ("d", '"0x1p3"', BAD),
    ("d", '"21,5"', BAD),
    ("d", "true", BAD),
    ("d", "[1]", BAD),
    ("f", "1.5", 1.5),
    ("f", "3.4028234663852886e38", 3.4028234663852886e38),
    ("f", "3.5e38", RANGE),
    ("f", "-1e39", RANGE),
    ("f", '"1e39"', RANGE),
    ("f", "1" + "0" * 39, RANGE),
]
OTHERS = [
    # Text, and numbers as they print.
    ("s", '"warm"', "warm"),
    ("s", '""', ""),
    ("s", '" a "', " a "),
    ("s", '"\\u0000\\ud83d\\ude00"', "\0\U0001f600"),
    ("s", "5", "5"),
    ("s", "123456789012345678901234567890", "123456789012345678901234567890"),
    ("s", "21.5", "21.5"),
    ("s", "5.0", "5.0"),
    ("s", "9007199254740993.0", "9007199254740993.0"),
    ("s", "1e400", BAD),
    ("s", "true", BAD),
    ("s", "[]", BAD),
    ("s", "{}", BAD),
    ("short", '"12345"', "12345"),
    ("short", '"äöüßé"', "äöüßé"),
    ("short", '"123456"', BAD),
    ("short", "123456", BAD),
    # 0, 1, true, false and the words.
    *[("b", text, True) for text in ("true", "1", "1.0", '"true"', '"True"', '"1"', '" true "')],
    *[("b", text, False) for text in ("false", "0", "-0.0", '"false"', '"FALSE"', '"0"')],
    *[("b", text, BAD) for text in ("2", "-1", "0.5", '"yes"', '"on"', '""', '"t"', "[]", "{}")],
    *[("b", text, BAD) for text in ("1e400", "10000000000000000000000", '"1.0"')],
    # Bytes as base64 text.
    ("raw", '"C+gCGgRK/w=="', base64.b64decode("C+gCGgRK/w==")),
    ("raw", '"C-gCGgRK_w"', base64.b64decode("C+gCGgRK/w==")),
    ("raw", '""', b""),
    *[
        ("raw", text, BAD)
        for text in ('"%%%"', '"A"', '"A==="', '"AA=A"', '"A A="', '"ä"', "5", "[]")
    ],
    # Times.
    ("ts", '"2025-03-03T11:06:40.123456789+00:00"', 1741000000123456),
    ("ts", '"2025-03-03T11:06:40.999999999Z"', 1741000000999999),
    ("ts", '"2025-03-03t12:06:40,5+01:00"', 1741000000500000),
    ("ts", '"2025-03-03 11:06Z"', 1740999960000000),
    ("ts", '"2025-03-03T05:36:40-0530"', 1741000000000000),
    ("ts", '"2025-03-03T13:06:40 +02"', 1741000000000000),
    ("ts", '"1969-12-31T23:59:59.9999999Z"', -1),
    ("ts", '"0001-01-01T00:00:00+14:00"', -62135596800000000 - 14 * 3600 * 10**6),
    ("ts", '"9999-12-31T23:59:59.999999-12:00"', 253402300799999999 + 12 * 3600 * 10**6),
    ("ts", "1741000000475377", 1741000000475377),
    ("ts", "1741000000475377.0", 1741000000475377),
    ("ts", str(2**63), RANGE),
    ("ts", "0.5", BAD),
    *[
        ("ts", f'"{text}"', BAD)
        for text in (
            "2025-03-03T11:06:40",
            "2025-03-03",
            "2025-02-29T00:00:00Z",
            "2025-03-03T24:00:00Z",
            "2025-03-03T11:06:60Z",
            "2025-03-03T11:06.5Z",
            "2025-03-03T11:06:40.Z",
            "2025-03-03T11Z",
            "2025-W10-1T11:06:40Z",
            "20250303T110640Z",
            "0000-01-01T00:00:00Z",
            "2025-03-03T11:06:40+24:00",
            "2025-03-03T11:06:40Z+01:00",
            "1741000000475377",
            "today",
            "",
        )
    ],
    ("ts", "true", BAD),
    ("wall", '"2025-03-03T11:06:40.1234567"', 1741000000123456),
    ("wall", '"2025-03-03 11:06"', 1740999960000000),
    ("wall", '"2025-03-03T11:06:40Z"', BAD),
    ("wall", '"2025-03-03T11:06:40+00:00"', BAD),
    ("wall", "1741000000475377", 1741000000475377),
    ("day", '"2025-03-03"', 20150),
    ("day", '"1970-01-01"', 0),
    ("day", '"0001-01-01"', -719162),
    ("day", '"9999-12-31"', 2932896),
    ("day", '"2024-02-29"', 19782),
    ("day", '"2025-02-29"', BAD),
    ("day", '"2025-3-3"', BAD),
    ("day", '"2025-03-03T00:00:00Z"', BAD),
    ("day", "20150", 20150),
    ("day", "2932897", RANGE),
    ("day", "-719163", RANGE),
    # Any value as JSON text.
    *[
        ("any", text, text)
        for text in (
            '{"a":[1,2.5,null,true],"ü":"x"}',
            "[]",
            '"text"',
            "5",
            "21.5",
            "false",
            "123456789012345678901234567890",
        )
    ],
    ("any", ' { "a" : 1 } ', '{"a":1}'),
    ("any", "1e400", BAD),
    ("any", '{"a":[1e400]}', BAD),
    ("any", "1741000000.999999999", "1741000000.999999999"),
    ("any", '{"a":[0.30000000000000004,1.5,1e30]}', '{"a":[0.30000000000000004,1.5,1e+30]}'),
    ("any", '"1741000000.999999999"', '"1741000000.999999999"'),
    ("notes", "[1741000000.999999999]", ["1741000000.999999999"]),
    ("i", "5.0000000000000000", 5),
    ("i", "5.0000000000000001", BAD),
    ("s", "1741000000.999999999", "1741000000.999999999"),
    ("b", "1.00000000000000000", True),
    ("b", "1.00000000000000001", BAD),
    ("d", "0.30000000000000004", 0.30000000000000004),
    ("any", "NaN", "undecodable"),
    ("any", '{"a":NaN}', "undecodable"),
    # Objects and lists.
    ("st", '{"a":1,"t":"x","more":2}', {"a": 1, "t": "x"}),
    ("st", '{"a":"1","t":null}', {"a": 1}),
    ("st", '{"a":1,"t":5}', {"a": 1, "t": "5"}),
    ("st", '{"t":"x"}', LACKS),
    ("st", '{"a":null}', LACKS),
    ("st", '{"a":1.5}', BAD),
    ("st", '{"a":1,"more":NaN}', "undecodable"),
    ("st", '{"a":2147483648}', RANGE),
    ("st", "[]", BAD),
    ("st", '"x"', BAD),
    ("many", '[{"a":1},{"a":2.0,"t":"y"}]', [{"a": 1}, {"a": 2, "t": "y"}]),
    ("many", "[]", None),
    ("many", '[{"a":1},{}]', LACKS),
    ("many", '[{"a":1},null]', BAD),
    ("many", '{"a":1}', BAD),
    ("list", '[1,2.5,"3e1"]', [1.0, 2.5, 30.0]),
    ("list", "[1,null]", BAD),
    ("list", "[[1]]", BAD),
    ("list", "[1e400]", RANGE),
    ("list", "1", BAD),
    ("by_name", '{"x":1,"y":"2"}', {"x": 1, "y": 2}),
    ("by_name", '{"x":null}', BAD),
    ("by_name", '{"x":1e30}', RANGE),
    ("by_name", "[]", BAD),
    ("by_number", '{"1":true,"-2":0}', {1: True, -2: False}),
    ("by_number", '{"x":true}', BAD),
    ("by_number", '{"2147483648":true}', RANGE),
    ("notes", '[{"a":1},[],"x",5]', ['{"a":1}', "[]", '"x"', "5"]),
    ("notes", "[null]", BAD),
]


@pytest.mark.parametrize(("column", "text", "expected"), NUMBERS, ids=lambda value: str(value)[:40])
def test_a_number_column_takes_numbers_exactly_or_refuses(column, text, expected):
    assert value_or_kind(column, text) == expected


@pytest.mark.parametrize(("column", "text", "expected"), OTHERS, ids=lambda value: str(value)[:40])
def test_a_column_takes_what_fits_its_type_and_refuses_the_rest(column, text, expected):
    result = value_or_kind(column, text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("column", [one.name for one in ALL.schema.columns])
def test_null_and_a_missing_key_are_no_value(column):
    assert value_or_kind(column, "null") is None
    assert encode(ALL, {}) == ([{}], [])


@pytest.mark.parametrize("payload", [b"{}", b'{"device":null}', b'{"temp":1}', b"[{}]"])
def test_no_value_in_a_not_null_column_is_a_dead_letter(payload):
    rows, (fault,) = encode(mapping_of(SENSOR), payload)
    assert not rows
    assert (fault.kind, fault.field) == ("missing_required", "device")
    assert fault.reason == "device: there is no value, and it must not be NULL"


def test_an_empty_payload_gives_nothing():
    assert encode(mapping_of(SENSOR), b"") == ([], [])
    assert encode(mapping_of(SENSOR), b"[]") == ([], [])


@pytest.mark.parametrize("payload", [b"5", b"null", b'"x"', b"true", b"nope", b" ", b"\xff", b"[1"])
def test_what_is_no_object_is_undecodable(payload):
    rows, (fault,) = encode(mapping_of(SENSOR), payload)
    assert not rows
    assert (fault.kind, fault.field, fault.position) == ("undecodable", "", None)


def test_of_equal_keys_the_last_counts_by_both_ways():
    assert encode(ALL, b'{"i":1,"i":2}') == encode(SLOW, b'{"i":1,"i":2}') == ([{"i": 2}], [])
    assert encode(ALL, b'{"i":1,"i":"x"}') == encode(SLOW, b'{"i":1,"i":"x"}')
    assert encode(ALL, b'{"i":"x","i":1}')[0] == [{"i": 1}]


def test_a_list_gives_a_row_each_and_a_bad_record_costs_only_itself():
    payload = [{"device": "a", "temp": 1}, {"device": "b", "temp": "warm"}, 5, {"device": "c"}, {}]
    rows, faults = encode(mapping_of(SENSOR), payload)
    assert rows == [{"device": "a", "temp": 1}, {"device": "c"}]
    assert [(one.kind, one.field, one.position) for one in faults] == [
        ("bad_value", "temp", 1),
        ("undecodable", "", 2),
        ("missing_required", "device", 4),
    ]


def test_a_long_list_is_limited_by_nothing_but_its_size():
    rows, faults = encode(mapping_of(SENSOR), [{"device": "d", "temp": n} for n in range(20_000)])
    assert [row.get("temp") for row in rows] == list(range(20_000))
    assert not faults


def test_a_list_of_bad_records_gives_a_bounded_number_of_dead_letters():
    payload = [{"device": "a"}, *[{}] * 500, {"device": "b"}]
    rows, faults = encode(mapping_of(SENSOR), payload)
    assert [row["device"] for row in rows] == ["a", "b"]
    assert len(faults) == FAULTS_MAX
    assert "400 more records" in faults[-1].reason


def test_of_two_faults_in_a_record_the_first_column_is_named():
    _, (fault,) = encode(mapping_of(SENSOR), {"humidity": "y", "temp": "x", "device": "d"})
    assert fault == Fault("bad_value", 'temp: "x" is not a whole number', "temp")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("warm", 'i: "warm" is not a whole number'),
        (5.5, "i: 5.5 is not a whole number"),
        (True, "i: true is not a whole number"),
        ([1, 2], "i: a list of 2 is not a whole number"),
        ({"a": 1}, "i: an object of 1 keys is not a whole number"),
        (2**31, "i: 2147483648 is out of the range of INT"),
        (10**300, "i: a whole number of 997 bits is out of the range of INT"),
        ('a\nb\x1b[31m"\u202e', 'i: "a\\nb\\x1b[31m\\"\\u202e" is not a whole number'),
        ("x" * 500, f'i: "{"x" * 80}…" is not a whole number'),
    ],
)
def test_a_reason_is_one_short_sentence_without_control_characters(value, reason):
    _, (fault,) = encode(ALL, {"i": value})
    assert fault.reason == reason


def test_a_reason_leads_into_nested_values():
    _, (fault,) = encode(ALL, {"many": [{"a": 1}, {"a": "x"}]})
    assert (fault.field, fault.reason) == ("many", 'many[1].a: "x" is not a whole number')
    _, (fault,) = encode(ALL, {"by_name": {"k": "x"}})
    assert fault.reason == 'by_name["k"]: "x" is not a whole number'
    _, (fault,) = encode(ALL, {"st": {"t": "x"}})
    assert fault.reason == "st.a: there is no value, and it must not be NULL"


@pytest.mark.parametrize("mapping", [ALL, SLOW])
def test_keys_without_a_column_are_ignored_and_counted(mapping):
    mapping.unknown_keys = 0
    assert encode(mapping, {"i": 1, "x": 2, "y": {"z": [3]}}) == ([{"i": 1}], [])
    assert mapping.unknown_keys == 2
    encode(mapping, [{"i": 1, "x": 2}, {"x": 2}, {"i": 3}])
    assert mapping.unknown_keys == 4
    encode(mapping, b" " * 300 + b'{"x":1}')
    assert mapping.unknown_keys == 5


def test_a_payload_is_undecodable_even_where_only_an_ignored_key_is_wrong():
    for payload in (b'{"i":1,"x":NaN}', b'{"i":1,"x":[[-Infinity]]}', b'[{"i":1},{"x":NaN}]'):
        rows, (fault,) = encode(ALL, payload)
        assert (rows, fault.kind) == ([], "undecodable")
    deep = b'{"i":1,"x":' + b"[" * 120 + b"]" * 120 + b"}"
    rows, (fault,) = encode(ALL, deep)
    assert (rows, fault.kind) == ([], "undecodable")
    assert encode(ALL, b'{"i":1,"x":"NaN"}') == ([{"i": 1}], [])
    assert encode(ALL, b'{"i":1,"x":1e400}') == ([{"i": 1}], [])


def test_a_capture_gives_a_column_of_its_name_where_the_payload_has_no_value():
    mapping = mapping_of(SENSOR, captures=["device", "temp", "other"])
    captures = {"device": "d1", "temp": "21", "other": "x"}
    assert encode(mapping, {"humidity": 5}, captures)[0] == [
        {"device": "d1", "temp": 21, "humidity": 5}
    ]
    assert encode(mapping, {"device": "mine", "temp": None}, captures)[0] == [
        {"device": "mine", "temp": 21}
    ]
    assert encode(mapping, [{}, {"temp": 7}], captures)[0] == [
        {"device": "d1", "temp": 21},
        {"device": "d1", "temp": 7},
    ]


def test_a_capture_that_does_not_fit_counts_only_where_the_payload_has_no_value():
    mapping = mapping_of(SENSOR, captures=["device", "temp"])
    captures = {"device": "d1", "temp": "attic"}
    assert encode(mapping, {"temp": 3}, captures)[0] == [{"device": "d1", "temp": 3}]
    rows, (fault,) = encode(mapping, {"humidity": 3}, captures)
    assert not rows
    assert fault == Fault("bad_value", 'temp: "attic" is not a whole number', "temp")


def test_captures_belong_to_their_topic_and_change_with_it():
    mapping = mapping_of(SENSOR, captures=["device"])
    for name in ("a", "b", "a"):
        rows, _ = encode(mapping, {}, {"device": name}, topic=f"t/{name}")
        assert rows == [{"device": name}]
    assert encode(mapping, {}, {"device": "z"}, topic="t/a")[0] == [{"device": "z"}]


def test_a_filter_without_the_capture_leaves_its_column_without_a_value():
    mapping = mapping_of(SENSOR, captures=["device"])
    rows, (fault,) = encode(mapping, {"temp": 1}, {})
    assert not rows
    assert (fault.kind, fault.field) == ("missing_required", "device")
    assert encode(mapping, {"device": "d"}, {})[0] == [{"device": "d"}]


WIDE = """
  required string device = 1;
  optional double deep = 2;
  optional int32 first = 3;
  optional string slash = 4;
  required int64 received = 5;  // delta: TIMESTAMP
  optional int64 number = 6;
  optional string where = 7;
  optional string box = 8;
  optional int32 qos = 9;
  optional bool kept = 10;
  optional bool again = 11;
  optional int32 day = 12;  // delta: DATE
  optional string when = 13;
  optional string all = 14;  // delta: VARIANT
"""
SOURCES = {
    "device": "$dev",
    "deep": "/a/b/0",
    "first": "list/1/x",
    "slash": "a~1b/c~0d",
    "received": "$received",
    "number": "$seq",
    "where": "$topic",
    "box": "$gateway",
    "qos": "$qos",
    "kept": "$retained",
    "again": "$dup",
    "day": "$received",
    "when": "$received",
}


def test_columns_take_paths_captures_and_what_is_known_of_the_message():
    mapping = mapping_of(WIDE, SOURCES, ["dev"])
    assert mapping.wants_seq
    payload = {"a": {"b": [1.5]}, "list": [{}, {"x": "7"}], "a/b": {"c~d": "s"}, "more": 1}
    rows, faults = encode(
        mapping, payload, {"dev": "d1"}, qos=1, retain=True, first_seq=2**61, topic="p/d1"
    )
    assert not faults
    assert rows == [
        {
            "device": "d1",
            "deep": 1.5,
            "first": 7,
            "slash": "s",
            "received": 1_741_000_000_000_000,
            "number": 2**61,
            "where": "p/d1",
            "box": "gw-1",
            "qos": 1,
            "kept": True,
            "again": False,
            "day": 20150,
            "when": "2025-03-03T11:06:40.000000Z",
        }
    ]
    assert mapping.unknown_keys == 1


def test_each_record_takes_the_next_number_in_order_and_a_bad_one_takes_none():
    mapping = mapping_of(WIDE, SOURCES, ["dev"])
    payload = [{"a": {"b": [1]}}, {"a": {"b": ["x"]}}, {"a": {"b": [3]}}]
    rows, faults = encode(mapping, payload, {"dev": "d"}, first_seq=10)
    assert [(row["number"], row["deep"]) for row in rows] == [(10, 1.0), (11, 3.0)]
    assert [fault.position for fault in faults] == [1]
    assert not mapping_of(SENSOR).wants_seq


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ({"a": {"b": [2]}}, 2.0),
        ({"a": {"b": {"0": 2}}}, 2.0),
        ({"a": {"b": []}}, None),
        ({"a": {"b": "text"}}, None),
        ({"a": {"b": None}}, None),
        ({"a": [1]}, None),
        ({"a": 5}, None),
        ({"a": {"b": [None]}}, None),
        ({}, None),
    ],
)
def test_a_path_that_leads_nowhere_is_no_value_by_both_ways(payload, value):
    for slow in (False, True):
        mapping = mapping_of("optional double x = 1;\n", {"x": "/a/b/0"})
        assert mapping._fast is not None
        mapping._fast = None if slow else mapping._fast
        rows, faults = encode(mapping, payload)
        assert not faults
        assert rows[0].get("x") == value


def test_a_bare_list_can_be_read_by_position():
    mapping = mapping_of(SENSOR, {"device": "/0", "temp": "/2", "humidity": "/9"})
    assert encode(mapping, ["d1", "x", 21]) == ([{"device": "d1", "temp": 21}], [])
    assert encode(mapping, {"0": "d2"})[0] == [{"device": "d2"}]


def test_a_dot_is_the_whole_record():
    mapping = mapping_of("optional string all = 1;  // delta: VARIANT\n", {"all": "."})
    assert encode(mapping, {"a": [1]})[0] == [{"all": '{"a":[1]}'}]
    assert mapping.unknown_keys == 0


def problems_of(body, columns=None, captures=(), format_="json"):
    with pytest.raises(ConfigError) as error:
        compile_mapping(
            station(columns, format_),
            schema_of(body),
            captures,
            "gateway",
            file=Path("/etc/c/stations.yaml"),
        )
    return error.value.problems


@pytest.mark.parametrize(
    ("columns", "key", "words"),
    [
        ({"temp": "/t"}, "columns", "nothing feeds device, which is STRING NOT NULL"),
        ({"device": "$devise"}, "columns.device", "did you mean $device?"),
        ({"device": "$x"}, "columns.device", "$x is not captured by every topic filter"),
        ({"device": "d", "tmep": "/t"}, "columns.tmep", "did you mean temp?"),
        ({"device": "d", "zzz": "/t"}, "columns.zzz", "there are device, temp, humidity"),
        ({"device": "a//b"}, "columns.device", "empty part"),
        ({"device": "../a"}, "columns.device", "leads out of an element"),
        ({"device": "/a/*/b"}, "columns.device", "gives a list"),
        ({"device": "$"}, "columns.device", "a name is missing"),
        ({"device": "$seq"}, "columns.device", "$seq can't become STRING"),
        ({"device": "d", "temp": "$seq"}, "columns.temp", "$seq can't become INT"),
        ({"device": "d", "temp": "$received"}, "columns.temp", "it fits TIMESTAMP"),
        ({"device": "d", "temp": "$retained"}, "columns.temp", "can't become INT"),
        ({"device": "$topic"}, "columns.device", "has a meaning of its own"),
    ],
)
def test_what_can_be_said_at_start_is_said_with_file_line_and_key(columns, key, words):
    captures = ["device", "topic"]
    (problem,) = problems_of(SENSOR, columns, captures)
    assert (problem.file, problem.line) == (Path("/etc/c/stations.yaml"), 7)
    assert problem.key == f"stations.hall.{key}"
    assert words in str(problem)


def test_all_problems_of_a_station_are_told_at_once():
    columns = {"temp": "a//b", "x": "y"}
    assert len(problems_of(SENSOR, columns, format_="yaml")) == 4


def test_a_capture_can_not_become_an_object():
    (problem,) = problems_of(TYPES, {"st": "$x"}, ["x"])
    assert "is text and can't become STRUCT" in problem.text


def test_an_unknown_format_is_told_with_those_there_are():
    (problem,) = problems_of(SENSOR, format_="yaml")
    assert problem.key == "stations.hall.format"
    assert "known are bytes, cbor, csv, influx, json, " in problem.text


# Both ways agree, and nothing is ever raised.

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMERALS = st.from_regex(
    r"[ ]?[+-]?[0-9]{1,20}(\.[0-9]{0,16})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**66), 2**66)
    | st.integers(-130, 130)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-10, 10).map(float)
    | TEXTS
    | NUMERALS
    | st.datetimes().map(lambda at: at.isoformat() + "Z")
    | st.dates().map(lambda day: day.isoformat())
    | st.binary(max_size=6).map(lambda raw: base64.b64encode(raw).decode())
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("atx1"), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = st.sampled_from([*[one.name for one in ALL.schema.columns], "unknown"])
RECORDS = st.dictionaries(NAMES, JSON, max_size=5)


@settings(max_examples=600)
@given(RECORDS | st.lists(RECORDS | JSON, max_size=4), st.booleans())
def test_the_fast_way_gives_what_the_slow_way_gives(payload, padded):
    raw = json.dumps(payload).encode() + b" " * 300 * padded
    ALL.unknown_keys = SLOW.unknown_keys = 0
    assert encode(ALL, raw) == encode(SLOW, raw)
    assert ALL.unknown_keys == SLOW.unknown_keys


@settings(max_examples=300)
@given(
    st.lists(NUMERALS, min_size=1, max_size=3),
    st.sampled_from(["i", "big", "d", "f", "s", "ts", "b", "any"]),
)
def test_numbers_as_they_are_written_come_out_the_same_by_both_ways(numerals, column):
    for numeral in numerals:
        raw = '{"%s":%s}' % (column, numeral)  # noqa: UP031 - braces.
        assert encode(ALL, raw.encode()) == encode(SLOW, raw.encode())


@settings(max_examples=300)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_random_bytes_give_records_or_faults_and_raise_nothing(payload):
    for mapping in (ALL, SLOW):
        _, faults = encode(mapping, payload)
        assert all(fault.kind in KINDS for fault in faults)
    assert encode(ALL, payload) == encode(SLOW, payload)


@given(
    JSON, st.sampled_from([b"", b"\xff", b'"', b"\\", b"}", b"NaN", b"\\ud800"]), st.integers(0, 60)
)
def test_a_damaged_payload_raises_nothing(value, scrap, place):
    raw = json.dumps({"any": value, "s": "text", "i": 5}).encode()
    payload = raw[:place] + scrap + raw[place:]
    assert encode(ALL, payload) == encode(SLOW, payload)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "i": st.integers(-(2**31), 2**31 - 1),
            "big": st.integers(-(2**63), 2**63 - 1),
            "d": st.floats(allow_nan=False, allow_infinity=False),
            "s": TEXTS,
            "b": st.booleans(),
            "ts": st.datetimes().map(lambda at: at.replace(tzinfo=UTC)),
            "day": st.dates(),
            "list": st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
            "st": st.fixed_dictionaries({"a": st.integers(0, 9), "t": TEXTS}),
            "by_name": st.dictionaries(TEXTS, st.integers(-9, 9), min_size=1),
        },
    )
)
def test_a_row_that_fits_comes_back_as_it_was(row):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    raw = json.dumps(row, default=lambda at: at.isoformat()).encode()
    rows, faults = encode(ALL, raw)
    assert not faults
    expected = dict(row)
    if "ts" in row:
        since = row["ts"] - epoch
        expected["ts"] = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
    if "day" in row:
        expected["day"] = (row["day"] - date(1970, 1, 1)).days
    assert rows == [expected]
    assert all(
        math.copysign(1, one) == math.copysign(1, rows[0]["d"]) for one in [row.get("d")] if one
    )


HOSTILE = [
    b"[" * 100_000,
    b'{"i":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"any":' + b"[" * 99 + b"]" * 99 + b"}",
    b'{"any":' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"i":' + b"9" * 10_000 + b"}",
    b'{"i":"' + b"9" * 100_000 + b'"}',
    b'{"d":"' + b"1" * 100_000 + b"." + b"1" * 100_000 + b'"}',
    b'{"i":"' + b" " * 100_000 + b'5"}',
    b'{"i":"1e' + b"9" * 1_000 + b'"}',
    b'{"s":"\\ud800"}',
    b'{"s":"\\udc00\\ud800"}',
    b'{"\\ud800":1}',
    b'{"s":"\x00"}',
    b'{"s":"' + b'\\"' * 50_000,
    b'"' * 100_001,
    b'{"":1}',
    b'{"i":1,"i":"x","i":2}',
    b"\xef\xbb\xbf{}",
    b"\x00",
    b"{}\x00",
    b"NaN",
    b"-",
    b'{"ts":"2025-03-03T11:06:40.' + b"9" * 100_000 + b'Z"}',
    b'{"raw":"' + b"A" * 99_999 + b'"}',
    b"[" + b"{}," * 20_000 + b"{}]",
    b"[" + b"1," * 20_000 + b"1]",
    b"[[{}]]",
    b'{"many":[' + b"{}," * 5_000 + b"{}]}",
]


@pytest.mark.parametrize("payload", HOSTILE, ids=lambda payload: repr(payload[:24]))
def test_a_hostile_payload_gives_records_or_faults_and_raises_nothing(payload):
    result = encode(ALL, payload)
    assert result == encode(SLOW, payload)
    assert all(len(fault.reason) < 400 and "\n" not in fault.reason for fault in result[1])
