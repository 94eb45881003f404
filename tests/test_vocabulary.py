"""The words of a mapping beyond the examples of docs/mapping.md.

Exact numbers, times, windows, what is known of a message, and all that is said at start.
"""

import doctest
import json
import math
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.corpus import ENTRIES, payload_of, station_texts
from support.station import compiled, offer, write_stations

from collector.config import load, patterns
from collector.errors import ConfigError
from collector.mapping import moments, names, properties
from collector.mapping.properties import user_properties
from collector.model import KINDS
from collector.plan import plan

NOW = 1_741_000_000_000_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return (tmp_path_factory.mktemp(f"s{number}") for number in count())


def one(folder, columns, words, payload, topic="a/1", **message):
    """The one row, or the kinds of the faults, that a station makes of a payload."""
    station = compiled(folder, ("s", columns, "topic: a/#\n" + words))
    raw = payload if isinstance(payload, str | bytes) else json.dumps(payload)
    rows, faults = offer(station, topic, raw, **message).get("s", ([], []))
    if faults:
        return [fault.kind for fault in faults]
    return rows[0] if len(rows) == 1 else rows


# -- numbers ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    words = """topic: a/#
columns:
  d: {from: /v, scale: 1/3.6, offset: -160/9}
  i: {from: /v, scale: 100, lenient: true}
"""
    return compiled(tmp_path_factory.mktemp("scaled"), ("s", "d DOUBLE, i BIGINT", words))


@settings(max_examples=300)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?(e-?[0-9]{1,2})?", fullmatch=True))
def test_scaling_is_exact_and_rounded_once_whatever_the_way(scaled, number):
    for payload in (f'{{"v": {number}}}', f'{{"v": "{number}"}}', f'[{{"v": {number}}}]'):
        rows, faults = offer(scaled, "a/1", payload)["s"]
        value = Fraction(Decimal(number))
        wanted = value * Fraction(10, 36) - Fraction(160, 9)
        assert not faults
        assert rows[0]["d"] == float(wanted)
        is_whole = (value * 100).denominator == 1 and abs(value * 100) < 2**63
        assert rows[0]["i"] == (int(value * 100) if is_whole else None)


@given(st.binary(min_size=10, max_size=24), st.integers(0, 12), st.data())
def test_a_number_is_unpacked_as_struct_does(folders, raw, at, data):
    word, form, delta = data.draw(
        st.sampled_from(
            [
                ("i16be", ">h", "INT"), ("u16le", "<H", "INT"), ("i32be", ">i", "INT"),
                ("u32le", "<I", "BIGINT"), ("i64be", ">q", "BIGINT"), ("u8", "B", "INT"),
                ("i8", "b", "INT"), ("f32be", ">f", "DOUBLE"), ("f64le", "<d", "DOUBLE"),
            ]
        )
    )  # fmt: skip
    words = f"columns: {{v: {{from: /v, bytes: hex, unpack: {word}@{at}}}}}"
    row = one(next(folders), f"v {delta}", words, {"v": raw.hex()})
    if at + struct.calcsize(form) > len(raw):
        assert row == {"v": None}
        return
    (wanted,) = struct.unpack_from(form, raw, at)
    if isinstance(wanted, float) and not math.isfinite(wanted):
        assert row[0] in ("bad_value", "out_of_range")
    else:
        assert row == {"v": wanted}


def test_swapped_words_and_bits(tmp_path):
    words = "columns: {w: {from: /r, bytes: u16be, unpack: u64sw@0}}"
    row = one(tmp_path / "a", "w BIGINT", words, {"r": [4, 3, 2, 1]})
    assert row == {"w": 0x0001000200030004}
    words = "columns: {w: {from: /r, bytes: hex, unpack: u24be@1.4-11}}"
    assert one(tmp_path / "b", "w INT", words, {"r": "ff123456"}) == {"w": 0x45}


# -- times -----------------------------------------------------------------------------------------


def at(us):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()


@pytest.fixture(scope="module")
def epochs(tmp_path_factory):
    words = "topic: a/#\ncolumns:\n" + "".join(
        f"  {unit}: {{from: /v, time: {unit}, lenient: true}}\n" for unit in ("s", "ms", "us", "ns")
    )
    columns = "s TIMESTAMP, ms TIMESTAMP, us TIMESTAMP, ns TIMESTAMP"
    return compiled(tmp_path_factory.mktemp("epochs"), ("s", columns, words))


@settings(max_examples=300)
@given(st.from_regex(r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,12})?", fullmatch=True))
def test_an_epoch_counts_as_an_exact_decimal_and_finer_digits_are_cut_off(epochs, number):
    for payload in (f'{{"v": {number}}}', f'{{"v": "{number}"}}'):
        rows, _ = offer(epochs, "a/1", payload)["s"]
        for unit, factor in (("s", 10**6), ("ms", 10**3), ("us", 1), ("ns", Fraction(1, 1000))):
            assert rows[0][unit] == at(math.floor(Fraction(number) * factor))


def test_what_a_float_would_round_up_is_cut_off(epochs):
    rows, _ = offer(epochs, "a/1", '{"v": 1741000000.999999999}')["s"]
    assert rows[0]["s"] == "2025-03-03T11:06:40.999999+00:00"


ZONED = [
    # A time with an offset, and one on the wall in summer and in winter.
    ("2025-07-14T16:20:05Z", "2025-07-14T16:20:05+00:00", "2025-07-14T18:20:05", "2025-07-14"),
    ("2025-07-14T16:20:05", "2025-07-14T14:20:05+00:00", "2025-07-14T16:20:05", "2025-07-14"),
    ("2025-12-03T00:30:00", "2025-12-02T23:30:00+00:00", "2025-12-03T00:30:00", "2025-12-03"),
    ("2025-12-02T23:30:00Z", "2025-12-02T23:30:00+00:00", "2025-12-03T00:30:00", "2025-12-03"),
    # Twice there, and not at all: fold 0.
    ("2025-10-26T02:30:00", "2025-10-26T00:30:00+00:00", "2025-10-26T02:30:00", "2025-10-26"),
    ("2025-03-30T02:30:00", "2025-03-30T01:30:00+00:00", "2025-03-30T02:30:00", "2025-03-30"),
]


@pytest.mark.parametrize(("text", "ts", "wall", "day"), ZONED)
def test_a_zone_says_what_the_wall_shows(tmp_path, text, ts, wall, day):
    columns = "ts TIMESTAMP, wall TIMESTAMP_NTZ, day DATE, said STRING, number BIGINT"
    words = "zone: Europe/Berlin\ncolumns:\n" + "".join(
        f"  {name}: {{from: /t, time: iso}}\n" for name in ("ts", "wall", "day", "said", "number")
    )
    row = one(tmp_path, columns, words, {"t": text})
    moment = datetime.fromisoformat(ts)
    assert row == {
        "ts": ts,
        "wall": wall,
        "day": day,
        "said": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "number": int(moment.timestamp()) * 1_000_000,
    }


def test_a_zone_is_for_wall_times_of_columns_without_a_time_too(tmp_path):
    words = "zone: America/New_York\ncolumns: {ts: /t}"
    row = one(tmp_path, "ts TIMESTAMP", words, {"t": "2025-07-14 16:20"})
    assert row == {"ts": "2025-07-14T20:20:00+00:00"}


def test_a_wall_time_without_a_zone_is_no_point_in_time(tmp_path):
    words = "columns: {ts: {from: /t, time: iso}}"
    assert one(tmp_path, "ts TIMESTAMP", words, {"t": "2025-07-14T16:20:05"}) == ["bad_value"]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001
def test_a_pattern_and_its_zone_give_what_python_gives(folders, moment):
    moment = moment.replace(microsecond=0)
    words = 'columns: {ts: {from: /t, time: "%d.%m.%Y %H:%M:%S", zone: Australia/Lord_Howe}}'
    row = one(next(folders), "ts TIMESTAMP", words, {"t": moment.strftime("%d.%m.%Y %H:%M:%S")})
    zoned = moment.replace(tzinfo=ZoneInfo("Australia/Lord_Howe"))
    assert row == {"ts": zoned.astimezone(UTC).isoformat()}


@pytest.mark.parametrize(
    ("time", "outcome"),
    [
        (NOW - 86_400_000_000 + 2, "kept"),
        (NOW - 86_400_000_000 - 2, "out"),
        (NOW + 3_600_000_000, "kept"),
        (NOW + 3_600_000_001, "out"),
        (0, "out"),
        (None, "kept"),
    ],
)
@pytest.mark.parametrize("outside", ["dead_letter", "null"])
@pytest.mark.parametrize("shape", ["fast", "slow"])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_time_outside_of_the_window_is_a_dead_letter_or_null(
    tmp_path, time, outcome, outside, shape, trusted
):
    words = f"time_window: {{past: 1d, future: 1h, outside: {outside}}}\n"
    words += "columns: {ts: /t, n: /n}\n" if shape == "fast" else "columns: {ts: [/t], n: [/n]}\n"
    words += "" if shape == "fast" else "when: {/n: 1}\n"
    station = compiled(tmp_path, ("s", "ts TIMESTAMP, n INT", "topic: a/#\n" + words))
    mapping = station.mappings[0]
    # Whatever this box's clock is.
    mapping._plan.window.is_trusted = lambda: trusted
    rows, faults = offer(station, "a/1", json.dumps({"t": time, "n": 1}), NOW)["s"]
    if outcome == "kept" or not trusted:
        assert rows == [{"ts": None if time is None else at(time), "n": 1}]
        assert mapping.outside_window == 0
    elif outside == "null":
        assert rows == [{"ts": None, "n": 1}]
        assert mapping.outside_window == 1
    else:
        assert [fault.kind for fault in faults] == ["out_of_range"]
        assert "time_window" in faults[0].reason
        assert mapping.outside_window == 1


# -- what is known of a message --------------------------------------------------------------------


def test_properties_flags_and_the_topic_are_sources(tmp_path):
    words = """columns:
  site: $property.site
  number: {from: $property.number, scale: 0.1}
  kind: $content_type
  qos: $qos
  retained: $retained
  dup: $dup
  topic: $topic
  box: $gateway
  clock: $clock_ok
"""
    columns = (
        "site STRING, number DOUBLE, kind STRING, qos INT, retained BOOLEAN, dup BOOLEAN,"
        " topic STRING, box STRING, clock BOOLEAN"
    )
    properties = b"\x01\x01" + user_properties({"number": "215", "site": "north"})
    properties += b"\x03\x00\x04text"
    row = one(tmp_path, columns, words, {}, retain=True, dup=True, properties=properties)
    assert row.pop("clock") in (True, False)
    assert row == {
        "site": "north", "number": 21.5, "kind": "text", "qos": 1, "retained": True, "dup": True,
        "topic": "a/1", "box": "gw-1",
    }  # fmt: skip


@given(st.binary(max_size=60))
def test_no_block_of_properties_breaks_a_mapping(folders_station, block):
    rows, faults = offer(folders_station, "a/1", "{}", properties=block)["s"]
    assert len(rows) == 1
    assert not faults


@pytest.fixture(scope="module")
def folders_station(tmp_path_factory):
    words = "topic: a/#\ncolumns: {site: $property.site, kind: $content_type}"
    return compiled(tmp_path_factory.mktemp("block"), ("s", "site STRING, kind STRING", words))


def test_the_time_of_arrival_stands_in_for_one_that_is_missing(tmp_path):
    words = "columns: {ts: {from: [/t, $received], time: ms}}"
    station = compiled(tmp_path, ("s", "ts TIMESTAMP", "topic: a/#\n" + words))
    assert offer(station, "a/1", '{"t": 1000}', NOW)["s"][0] == [{"ts": at(1_000_000)}]
    assert offer(station, "a/1", "{}", NOW)["s"][0] == [{"ts": at(NOW)}]


# -- words where they meet -------------------------------------------------------------------------

EDGES = [
    # null in a condition.
    ("n INT", "when: {/x: null}\ncolumns: {n: /n}", {"n": 1, "x": None}, {"n": 1}),
    ("n INT", "when: {/x: null}\ncolumns: {n: /n}", {"n": 1, "x": 5}, []),
    ("n INT", "when: {/x: null}\ncolumns: {n: /n}", {"n": 1}, []),
    ("n INT", "when: {/x: {not: null}}\ncolumns: {n: /n}", {"n": 1, "x": None}, []),
    ("n INT", "when: {/x: {not: null}}\ncolumns: {n: /n}", {"n": 1, "x": 2}, {"n": 1}),
    ("n INT", "when: {/x: true}\ncolumns: {n: /n}", {"n": 1, "x": "true"}, {"n": 1}),
    ("n INT", 'decimal: ","\nwhen: {/x: {min: 1}}\ncolumns: {n: /n}', {"n": 1, "x": "1,5"},
     {"n": 1}),
    # Several sources with steps of their own.
    ("a DOUBLE", 'decimal: ","\ncolumns: {a: [{from: /a, null_if: ["-"]}, /b]}', {"a": "21,5"},
     {"a": 21.5}),
    ("a DOUBLE", 'decimal: ","\ncolumns: {a: [{from: /a, scale: 2}, /b]}', {"a": "21,5"},
     {"a": 43.0}),
    ("a DOUBLE", 'decimal: ","\ncolumns: {a: /a}', {"a": "1.234"}, ["bad_value"]),
    ("a DOUBLE", 'decimal: ","\nnull_if: [-999.9]\ncolumns: {a: /a}', {"a": "-999,90"},
     {"a": None}),
    ("a VARIANT", 'columns: {a: [{from: /a, map: {x: yes, "*": 5}}, /b]}', {"a": "y"}, {"a": "5"}),
    ("a TIMESTAMP", "columns: {a: {from: [{from: /s, time: s}, /ms], time: ms}}", {"s": 2},
     {"a": "1970-01-01T00:00:02+00:00"}),
    ("a TIMESTAMP", "columns: {a: {from: [{from: /s, time: s}, /ms], time: ms}}", {"ms": 3000},
     {"a": "1970-01-01T00:00:03+00:00"}),
    # The time of arrival, which is 2025-03-03T11:06:40Z here.
    ("a STRING", "columns: {a: [/t, $received]}", {}, {"a": "2025-03-03T11:06:40.000000Z"}),
    ("a BIGINT", "columns: {a: [/t, $received]}", {}, {"a": NOW}),
    ("a TIMESTAMP_NTZ", "columns: {a: [/t, $received]}", {}, {"a": "2025-03-03T11:06:40"}),
    ("a TIMESTAMP_NTZ", "zone: Pacific/Auckland\ncolumns: {a: [/t, $received]}", {},
     {"a": "2025-03-04T00:06:40"}),
    ("a TIMESTAMP_NTZ", "zone: Pacific/Auckland\ncolumns: {a: $received}", {},
     {"a": "2025-03-04T00:06:40"}),
    ("a DATE", "columns: {a: {from: $received, zone: Pacific/Auckland}}", {}, {"a": "2025-03-04"}),
    ("a TIMESTAMP_NTZ", "columns: {a: {from: /t, time: s}}", {"t": 60},
     {"a": "1970-01-01T00:01:00"}),
    # Maps and lists.
    ("m MAP<STRING, DOUBLE>", "null_if: [-999]\ncolumns: {m: /m}", {"m": {"a": -999}},
     ["bad_value"]),
    ("m MAP<STRING, DOUBLE>", 'decimal: ","\ncolumns: {m: /m}', {"m": {"a": "1,5"}},
     {"m": {"a": 1.5}}),
    ("m MAP<INT, STRING>", "columns: {m: /m}", {"m": {"1": "a", "01": "b"}}, ["bad_value"]),
    ("l ARRAY<DOUBLE>", "columns: {l: /l/*/t}", {"l": [{"t": 1}, {}]}, ["bad_value"]),
    ("l ARRAY<DOUBLE>", "columns: {l: {from: /l/*/t, lenient: true}}",
     {"l": [{"t": 1}, {}, {"t": "x"}]}, {"l": [1.0]}),
    ("l ARRAY<DOUBLE>", "columns: {l: /}", [1.5, 2], {"l": [1.5, 2.0]}),
    ("l ARRAY<DOUBLE>", "columns: {l: /*/t}", [{"t": 1}, {"t": 2}], {"l": [1.0, 2.0]}),
    ("f FLOAT", "columns: {f: /f}", '{"f": 3.4028235e38}', {"f": 3.4028234663852886e38}),
    ("f FLOAT", "columns: {f: /f}", '{"f": 3.4028236e38}', ["out_of_range"]),
    # each.
    ("n INT", "each: /l/*/m/*\ncolumns: {n: .}", {"l": [{"m": [1]}, {"m": 5}]}, ["bad_value"]),
    ("n INT", "each: /l/*\ncolumns: {n: n}", {"l": ["s"]}, ["bad_value"]),
    ("n INT, k STRING", "each: /l/*\ncolumns: {n: /n, k: $key}", {"l": {"s": 5}, "n": 1},
     {"n": 1, "k": "s"}),
    ("y INT, n INT, k STRING", "each: /x/*/y\ncolumns: {y: ., n: ../n, k: $key}",
     {"x": {"a": {"y": 1, "n": 2}}}, {"y": 1, "n": 2, "k": "a"}),
    ("o STRING, i INT, v INT", "each: /x/*/*\ncolumns: {o: ../$key, i: $index, v: .}",
     {"x": {"a": [7]}}, {"o": "a", "i": 0, "v": 7}),
    ("n INT, r VARIANT NOT NULL", "each: /l/*\ncolumns: {n: .}\nrest: r", {"l": [1]},
     ["missing_required"]),
    # Times.
    ("t TIMESTAMP", 'columns: {t: {from: /t, time: "%Y-%m-%d %H:%M:%S.%f", zone: "+00:00"}}',
     {"t": "2025-03-03 10:00:00.123456789"}, {"t": "2025-03-03T10:00:00.123456+00:00"}),
    ("t TIMESTAMP", ('columns: {t: {from: /t, time: "%Y-%m-%d %H:%M %Z", zone: {EST: "-05:00",'
     ' CEST: "+02:00"}}}'), {"t": "2025-07-03 12:00 CEST"}, {"t": "2025-07-03T10:00:00+00:00"}),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "words", "payload", "outcome"), EDGES, ids=range(len(EDGES)))
def test_words_mean_one_thing_where_they_meet(tmp_path, columns, words, payload, outcome):
    assert one(tmp_path, columns, words, payload) == outcome


def test_raw_bytes_are_a_format_of_their_own(tmp_path):
    words = "format: bytes\ncolumns: {t: {from: ., unpack: i16be@2, scale: 0.1}, raw: .}"
    row = one(tmp_path, "t DOUBLE, raw BINARY", words, bytes.fromhex("016700e1"))
    assert row == {"t": 22.5, "raw": "AWcA4Q=="}


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "UTC"])
def test_a_window_knows_what_a_wall_shows_in_its_zone(tmp_path, zone):
    words = f"zone: {zone}\ntime_window: {{past: 1h, future: 1h}}\ncolumns: {{t: /t, d: /d}}"
    station = compiled(tmp_path, ("s", "t TIMESTAMP_NTZ, d DATE", "topic: a/#\n" + words))
    station.mappings[0]._plan.window.is_trusted = lambda: True
    wall = datetime.fromtimestamp(NOW / 1e6, ZoneInfo(zone)).replace(tzinfo=None)
    today = {"t": wall.isoformat(), "d": wall.date().isoformat()}
    assert offer(station, "a/1", json.dumps(today), NOW)["s"] == ([today], [])
    late = {"t": (wall - timedelta(hours=2)).isoformat()}
    rows, faults = offer(station, "a/1", json.dumps(late), NOW)["s"]
    assert (rows, [fault.kind for fault in faults]) == ([], ["out_of_range"])


@pytest.mark.parametrize("module", [patterns, properties, moments, names])
def test_the_examples_in_the_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_a_pattern_can_not_take_for_ever(tmp_path):
    words = "columns: {s: {from: /s, match: 'a*b'}}"
    payload = {"s": "a" * 20_000}
    assert one(tmp_path, "s STRING", words, payload) == ["bad_value"]


# -- both ways agree, and nothing is raised --------------------------------------------------------

STEPPED = """topic: a/#
null_if: [-999, "---"]
columns:
  a: {from: /a, scale: 0.1}
  b: {from: /b, map: {"on": true, "off": false, 1: true}}
  c: {from: /c, match: "([0-9]+)"}
  d: {from: /d, time: s}
  e: {from: /e, default: 7}
  f: {from: /f/x, lenient: true}
  g: {value: here}
  h: {from: /h, decimal: ","}
"""
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.integers(-1000, 1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["on", "off", "1,5", "---", "-999", "12 kWh", "1741000000.25", "", "x"])
    | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)  # fmt: skip
RECORD = st.fixed_dictionaries(
    {}, optional=dict.fromkeys("abcdeh", LEAVES) | {"f": st.just({}) | LEAVES}
) | st.fixed_dictionaries({"f": st.fixed_dictionaries({"x": LEAVES})})


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    columns = (
        "a DOUBLE, b BOOLEAN, c INT, d TIMESTAMP, e INT NOT NULL, f DOUBLE, g STRING, h DOUBLE"
    )
    fast = compiled(tmp_path_factory.mktemp("fast"), ("s", columns, STEPPED))
    slow = compiled(tmp_path_factory.mktemp("slow"), ("s", columns, STEPPED))
    assert fast.mappings[0]._fast
    slow.mappings[0]._fast = None
    return fast, slow


@settings(max_examples=500)
@given(RECORD | st.lists(RECORD, max_size=3))
def test_columns_with_steps_are_the_same_by_both_ways(both, payload):
    fast, slow = both
    raw = json.dumps(payload)
    assert offer(fast, "a/1", raw) == offer(slow, "a/1", raw)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    texts = station_texts()
    tables = {name: what for entry in ENTRIES.values() for name, what in entry["tables"].items()}
    return compiled(
        tmp_path_factory.mktemp("corpus"),
        *((name, what["columns"], texts[name]) for name, what in tables.items()),
    )


SAMPLES = [
    (sample["topic"], payload_of(sample))
    for entry in ENTRIES.values()
    for sample in entry["samples"]
]
SCRAPS = [b"", b"\x00", b"\xff", b"null", b"[]", b"{}", b'"', b"1e999", b"-0", b"NaN", b"\\ud800"]


@settings(max_examples=800)
@given(
    st.sampled_from(SAMPLES), st.sampled_from(SAMPLES), st.sampled_from(SCRAPS),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_a_damaged_or_strange_payload_is_a_row_or_a_dead_letter_on_every_station(
    corpus, one, other, scrap, start, length
):
    topic, payload = one[0], other[1]
    begin = int(start * len(payload))
    end = begin + int(length * 8)
    for raw in (payload, payload[:begin] + scrap + payload[end:], payload[:begin]):
        for rows, faults in offer(corpus, topic, raw).values():
            assert all(fault.kind in KINDS - {"internal"} for fault in faults)
            assert all(isinstance(row, dict) for row in rows)


# -- what is said at start -------------------------------------------------------------------------

COLUMNS = "d DOUBLE, i INT, s STRING, b BOOLEAN, ts TIMESTAMP, v VARIANT, r STRING NOT NULL, l ARRAY<INT>, o STRUCT<x INT NOT NULL>"  # noqa: E501 - as SQL has it.
MISTAKES = [
    ("  d: {from: /x, scale: 1/0}", "columns.d.scale", "a number or a fraction"),
    ("  d: {from: /x, scale: fast}", "columns.d.scale", "a number or a fraction"),
    ("  d: {from: /x, skale: 2}", "columns.d.skale", "unknown key (did you mean scale?)"),
    ("  d: {scale: 2}", "columns.d", "needs one of from, join and value"),
    ("  d: {from: /x, value: 2}", "columns.d", "it has from and value"),
    ("  d: {from: []}", "columns.d.from", "must be a source"),
    ("  d: /x//y", "columns.d", "has an empty part"),
    ("  d: ../x", "columns.d", "the station has no `each`"),
    ("  d: /x/../y", "columns.d", ".. can stand at the beginning only"),
    ("  d: $key", "columns.d", "the station has no `each`"),
    ("  d: $nobody", "columns.d", "$nobody is not captured by every topic filter"),
    ("  d: [/x, $sqe]", "columns.d", "did you mean $seq?"),
    ("  d: [/x, $seq]", "columns.d", "$seq can only be a column of its own"),
    ("  d: /x/*", "columns.d", "* gives a list, and that can't become DOUBLE"),
    ("  d: {from: /x, match: '('}", "columns.d.match", "is no regular expression"),
    ("  d: {from: /x, match: '(a+)+'}", "columns.d.match", "repeats what repeats itself"),
    ("  d: {from: /x, match: '(a|aa)+b'}", "columns.d.match", "repeats what repeats itself"),
    ("  d: {value: warm}", "columns.d", 'value: "warm" is not a number'),
    ("  d: /x/$received", "columns.d", "$received can't stand in a path"),
    ("  d: {join: []}", "columns.d.join", "must be a list of sources"),
    ("  ts: {from: /x, time: '%H:%M:%S'}", "columns.ts.time", "does not say which day it is"),
    ("  ts: {from: /x, time: '%Y %Q'}", "columns.ts.time", "is no pattern"),
    ("  ts: {from: /x, time: '%Y-%m-%d %Z'}", "columns.ts", "%Z needs a zone of letters"),
    ("  ts: {from: /x, time: iso, zone: {S: '+02:00'}}", "columns.ts", "letters stand for %Z"),
    ("  ts: {from: /x, time: iso, zone: CEST}", "columns.ts.zone", "write a region"),
    ("  ts: {from: /x, map: {a: soon}}", "columns.ts", "map: a:"),
    ("when: {/x: {min: null}}", "when./x", "min is empty"),
    ("format: influx\ncolumns: {r: temp}", "columns.r", "no such key"),
    ("format: text\ncolumns: {r: /t}", "columns.r", "a payload of this format has no keys"),
    ("csv: {seperator: ;}\nformat: csv", "csv.seperator", "did you mean separator?"),
    ("time_window: 30d", "time_window", "must be a mapping"),
    ("each: /l/*\ncolumns: {r: ../../x}", "columns.r", "leads out of the message"),
    ("  d: {from: /x, bytes: base32}", "columns.d.bytes", "'base64', 'hex' or 'u16be'"),
    ("  d: {from: /x, unpack: i12be@0}", "columns.d.unpack", "such as i16be@8"),
    ("  d: {from: /x, unpack: i16@0}", "columns.d.unpack", "needs a byte order"),
    ("  d: {from: /x, unpack: u8@0.9}", "columns.d.unpack", "from 0 to 7"),
    ("  d: {from: /x, unpack: i16be@0.1}", "columns.d.unpack", "unsigned"),
    ("  d: {from: /x, unpack: u16sw@0}", "columns.d.unpack", "32 and 64 bits only"),
    ("  d: {from: /x, null_if: {a: 1}}", "columns.d.null_if", "a value or a list of values"),
    ("  d: {from: /x, map: {open: wide}}", "columns.d", 'map: open: "wide" is not a number'),
    ("  d: {from: /x, map: {}}", "columns.d.map", "words and their values"),
    ("  d: {from: /x, time: s}", "columns.d", "a time can't become DOUBLE"),
    ("  d: {from: /x, lenient: maybe}", "columns.d.lenient", "must be a valid boolean"),
    ("  d: {from: /x, default: none}", "columns.d", 'default: "none" is not a number'),
    ("  d: {from: /x, decimal: ;}", "columns.d.decimal", "',' or '.'"),
    ("  d: {from: /x, fields: {y: y}}", "columns.d", "DOUBLE has no members"),
    ("  b: {from: /x, scale: 2}", "columns.b", "a number can't become BOOLEAN"),
    ("  b: {from: /x, map: {x: ON}}", "columns.b", 'map: x: "ON" is not true, false'),
    ("  ts: {from: /x, time: days}", "columns.ts.time", "iso or a pattern"),
    ("  ts: {from: /x, time: '%Z %Y'}", "columns.ts.time", "%Z must stand at the end"),
    ("  ts: {from: /x, time: s, scale: 2}", "columns.ts", "a time is not scaled"),
    ("  ts: {from: /x, time: iso, zone: Europe/Berlni}", "columns.ts.zone",
     "did you mean Europe/Berlin?"),
    ("  ts: {from: $received, time: iso}", "columns.ts", "time has no effect"),
    ("  l: {from: /x, map: {a: b}}", "columns.l", 'map: a: "b" is not a whole number'),
    ("  o: {from: /x, fields: {y: y}}", "columns.o", "y is no member of"),
    ("  o: {from: /x, fields: {}}", "columns.o", "nothing feeds x, which is NOT NULL"),
    ("  o: {from: /x, fields: {x: /y}}", "columns.o", "a path inside the object"),
    ("  q: /x", "columns.q", "the table has no such column"),
    ("each: list/*", "each", "a path from the top of the message"),
    ("each: /list", "each", "it needs a *"),
    ("when: {/x/*: 1}", "when./x/*", "a condition looks at one value"),
    ("when: {/x: {mni: 1}}", "when./x.mni", "did you mean min?"),
    ("when: {/x: {min: a}}", "when./x.min", "a number or a fraction"),
    ("when: {/x: {}}", "when./x", "says nothing"),
    ("when: {$nobody: 1}", "when.$nobody", "is not captured"),
    ("rest: d", "rest", "d is no VARIANT column"),
    ("rest: v2", "rest", "v2 is no VARIANT column"),
    ("zone: Mars/Phobos", "zone", "no zone that this box knows"),
    ("zone: {S: 2}", "zone", "an offset is written like"),
    ("decimal: x", "decimal", "',' or '.'"),
    ("time_window: {}", "time_window", "needs past, future or both"),
    ("time_window: {past: 5}", "time_window.past", "has no unit"),
    ("time_window: {past: 1d, outside: drop}", "time_window.outside", "dead_letter"),
    ("retained: no", "retained", "'keep' or 'drop'"),
    ("except: a/{x", "except", "is no capture"),
    ("format: xml", "format", "there is no format 'xml'"),
    ("csv: {separator: ;}", "csv", "has no effect, because the format is json"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "key", "text"), MISTAKES, ids=lambda one: str(one)[:40])
def test_a_mistake_is_said_at_start_with_its_file_line_and_key(tmp_path, words, key, text):
    inner = words if words.startswith("  ") else ""
    outer = "" if inner else words
    columns = "" if "columns:" in outer else f"columns:\n{inner}\n  r: /r\n"
    station = f"topic: a/#\n{outer}\n{columns}"
    file = write_stations(tmp_path, [("s", COLUMNS, station)])
    with pytest.raises(ConfigError) as error:
        plan(load(file, {}))
    first = next(one for one in error.value.problems if one.key == f"stations.s.{key}")
    assert (first.file, text in f"{first.text} ({first.hint})") == (file, True), first
    assert file.read_text().splitlines()[first.line - 1].strip() in words


def test_a_not_null_column_that_nothing_feeds_is_said_at_start(tmp_path):
    file = write_stations(tmp_path, [("s", COLUMNS, "topic: a/#\ncolumns: {d: /d}")])
    with pytest.raises(ConfigError, match="nothing feeds r, which is STRING NOT NULL"):
        plan(load(file, {}))
