"""The guesses of a discovery: whatever was seen must fit what is written for it.

Goal: for random records of plausible devices, and for odd ones, all that was heard gives rows by
what was written, or is named. Method: hypothesis makes messages, `discover` runs in this process,
and every message is mapped anew by the written files.
"""

import doctest
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.station import offer

from collector.config import load
from collector.discover import looks, moments, names, words, writing, yaml_text
from collector.discover.discovery import Aim, discover
from collector.discover.forms import recognise
from collector.discover.heard import Heard
from collector.discover.limits import PER_TOPIC_MAX, TOPICS_MAX
from collector.discover.scalars import guess
from collector.discover.words import pair_of, sentinels
from collector.model import Message
from collector.plan import plan
from collector.samples import Samples

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


@pytest.mark.parametrize("module", [looks, moments, names, words, writing, yaml_text])
def test_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def heard_of(messages):
    heard = Heard()
    for number, (topic, payload) in enumerate(messages):
        raw = payload if isinstance(payload, bytes) else payload.encode()
        heard.take(Message(topic.encode(), raw), NOW_US + number * 1_000_000)
    return heard


def discovered(folder, messages):
    """The report, and the plan of what was written; its samples are as they expect."""
    aim = Aim(folder / "out", "main.iot", ("url: mqtt://localhost",), "1 s")
    report = discover(heard_of(messages), aim)
    if not report.drafts:
        return report, None
    found = plan(load(folder / "out" / "stations.yaml", {}))
    samples = Samples(found)
    samples.run()
    assert samples.problems == []
    return report, plan(load(folder / "out" / "stations.yaml", {}))


def only(folder, messages):
    """The one draft of a discovery, by column: (source and steps, type)."""
    report, found = discovered(folder, messages)
    (draft,) = report.drafts
    columns = {
        one.name: (dict(one.steps), str(one.delta), one.nullable)
        for one in draft.layout.columns
        if one.name not in ("received", "gateway", "seq")
    }
    return draft, columns, found


# --- everything that was heard fits


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["ON", "off", "n/a", "21,5", "21.5 °C", "2026-11-24T12:00:00Z", "-999", ""]),
    st.sampled_from([-999, 85.0, 65535, 1795521600, 1795521600123, 0, 1]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8), inner, max_size=5),
    ),
    max_leaves=12,
)
TOPICS = st.sampled_from(["a/d1/x", "a/d2/x", "a/d1/y", "b", "a/d1/x/deep/er", "b/ü {x}/1"])
SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@SLOW
@given(st.lists(st.tuples(TOPICS, st.dictionaries(st.text(max_size=8), VALUES)), min_size=1))
@example([("b", {"a": 1}), ("b", {"a": "x"}), ("b", {"a": True}), ("b", {"a": [1]})])
@example([("b", {"a": "\x00\x1b[2J\u202e"})])
@example([("b", {"é": 1, "e": 2, "E": 3, "_": 4, "": 5, "1": 6})])
@example([("b", {"a": {"b": {"c": 1}}}), ("b", {"a": 5}), ("b", {"a": {"b": 2}})])
@example([("b", {"1": 2, "2": 3}), ("b", {"77": 2})])
@example([("b", {"a": [1, None]}), ("b", {"a": [{"x": 1}, 2]})])
def test_every_object_that_was_heard_gives_a_row_or_is_named(messages):
    sent = [(topic, json.dumps(value)) for topic, value in messages]
    with TemporaryDirectory() as folder:
        report, found = discovered(Path(folder), sent)
        assert report.unwritten == []
        without = sum(proof.without for proof in report.proofs.values())
        for topic, payload in sent:
            outcomes = offer(found, topic, payload, NOW_US)
            assert outcomes, topic
            for rows, faults in outcomes.values():
                assert rows or without, payload
                assert faults == []


@SLOW
@given(st.lists(st.tuples(TOPICS, st.binary(max_size=40)), min_size=1, max_size=20))
def test_whatever_the_bytes_are_nothing_breaks(messages):
    with TemporaryDirectory() as folder:
        discovered(Path(folder), messages)


@SLOW
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30))
def test_whatever_the_texts_are_nothing_breaks(texts):
    with TemporaryDirectory() as folder:
        discovered(Path(folder), [("a/b", text) for text in texts])


@given(st.lists(SCALARS.filter(lambda value: value is not None), min_size=1, max_size=30))
def test_a_guess_is_made_of_any_values(values):
    guess("value", [(value, NOW_US) for value in values])


@given(st.text(max_size=40))
def test_any_text_is_read_back_from_yaml_as_it_was(text):
    from collector.config.document import read

    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.yaml"
        file.write_text(f"a: {yaml_text.text(text)}\nb: [{yaml_text.text(text)}]\n", "utf-8")
        document = read(file, lambda one: one)
        assert not document.problems
        assert document.values == {"a": text, "b": [text]}


# --- formats


@pytest.mark.parametrize(
    ("payload", "format_", "options"),
    [
        (b'{"a": 1}', "json", {}),
        (b'[{"n": "t", "v": 1}]', "senml", {}),
        (b"temp=1 hum=2", "kv", {}),
        (b"temp: 1; hum: 2", "kv", {"separator": ";", "equals": ":"}),
        (b"m,tag=x value=1 1795521600000000000", "influx", {}),
        (b"a;1,5;2", "csv", {"separator": ";"}),
        (b"t,h\n1,2\n3,4", "csv", {"header": True}),
        (b"1 2 3", "csv", {"separator": " "}),
        (b"21,5", "text", {}),
        (b"open", "text", {}),
        (b"the door is open, 3 times", "text", {}),
        (b"\xa1\x61a\x01", "cbor", {}),
        (b"\x81\xa1a\x01", "msgpack", {}),
        (b"\x08\x96\x01\xff", "", {}),
    ],
)
def test_a_format_is_recognised_by_its_structure(payload, format_, options):
    form = recognise("a", [payload])
    assert form.format == format_
    assert options.items() <= dict(form.options).items()


# --- columns


def test_numbers_words_times_and_sentinels_get_types_and_steps(tmp_path):
    sent = [
        {
            "temp": -127 if n == 7 else 20 + n % 5 / 10,
            "count": n,
            "level": n,
            "text_number": str(n * 1.5),
            "comma": f"{n},5",
            "glued": f"{n}.5 kWh",
            "power": "ON" if n % 2 else "OFF",
            "door": "open" if n % 3 else "closed",
            "mode": "auto",
            "id": f"00{n}",
            "at": (NOW + timedelta(seconds=n)).isoformat(),
            "wall": (NOW + timedelta(hours=1, seconds=n)).strftime("%d.%m.%Y %H:%M:%S"),
            "epoch_ms": int(NOW.timestamp()) * 1000 + n,
            "day": "2026-11-24",
            "gap": "n/a" if n == 3 else str(n),
            "tags": ["a", "b"],
            "sums": [n, 1.5],
            "mixed": n if n % 2 else {"x": 1},
            "some": None if n == 1 else 1.5,
        }
        for n in range(40)
    ]
    _, columns, _ = only(tmp_path, [("a/dev7/x", json.dumps(one)) for one in sent])
    assert columns == {
        "dev" if "dev" in columns else "device": ({}, "STRING", False),
        "temp": ({"null_if": [-127]}, "DOUBLE", True),
        "count": ({}, "BIGINT", False),
        "level": ({}, "DOUBLE", False),
        "text_number": ({}, "DOUBLE", False),
        "comma": ({"decimal": ","}, "DOUBLE", False),
        "glued": ({"match": r"^([+-]?[0-9]+(?:\.[0-9]+)?)\s*kWh$"}, "DOUBLE", False),
        "power": ({"map": {"ON": True, "OFF": False}}, "BOOLEAN", False),
        "door": ({"map": {"open": True, "closed": False}}, "BOOLEAN", False),
        "mode": ({}, "STRING", False),
        "id": ({}, "STRING", False),
        "at": ({}, "TIMESTAMP", False),
        "wall": ({"time": "%d.%m.%Y %H:%M:%S"}, "TIMESTAMP_NTZ", False),
        "epoch_ms": ({"time": "ms"}, "TIMESTAMP", False),
        "day": ({}, "DATE", False),
        "gap": ({"null_if": ["n/a"]}, "BIGINT", True),
        "tags": ({}, "ARRAY<STRING>", True),
        "sums": ({}, "ARRAY<DOUBLE>", True),
        "mixed": ({}, "VARIANT", False),
        "some": ({}, "DOUBLE", True),
    }


def test_a_wall_time_says_how_far_it_was_ahead_of_utc_on_arrival(tmp_path):
    sent = [
        (
            "a",
            json.dumps(
                {"t": (NOW + timedelta(hours=5.5, seconds=n)).strftime("%Y-%m-%d %H:%M:%S")}
            ),
        )
        for n in range(3)
    ]
    draft, columns, _ = only(tmp_path, sent)
    assert columns["t"][1] == "TIMESTAMP_NTZ"
    assert "UTC+05:30 on arrival" in draft.layout.columns[0].evidence


def test_nothing_is_not_null_before_twenty_messages(tmp_path):
    sent = [("a", json.dumps({"x": n, "y": 1 if n else None})) for n in range(19)]
    _, columns, _ = only(tmp_path, sent)
    assert columns["x"][2] is True
    shutil.rmtree(tmp_path / "out")
    _, columns, _ = only(tmp_path, [*sent, ("a", '{"x": 99, "y": 2}')])
    assert (columns["x"][2], columns["y"][2]) == (False, True)


def test_a_list_that_is_the_message_gives_a_row_each_and_another_stays_whole(tmp_path):
    of_list = {
        "id": "n1",
        "readings": [{"ch": 1, "v": 2.5, "u": "C"}, {"ch": 2, "v": 3.5, "u": "C"}],
    }
    draft, columns, found = only(tmp_path, [("a", json.dumps(of_list))])
    assert draft.layout.each == "/readings/*"
    assert {"id", "place", "ch", "v", "u"} == set(columns)
    (rows, _) = offer(found, "a", json.dumps(of_list))["a"]
    assert [(row["id"], row["place"], row["v"]) for row in rows] == [("n1", 0, 2.5), ("n1", 1, 3.5)]
    shutil.rmtree(tmp_path / "out")
    beside = {"a": 1, "b": 2, "c": 3, "d": 4, "heard": [{"gw": "x"}]}
    draft, columns, _ = only(tmp_path, [("a", json.dumps(beside))])
    assert draft.layout.each == ""
    assert columns["heard"][1] == "VARIANT"


def test_an_object_that_is_keyed_by_ids_gives_a_row_for_each(tmp_path):
    sent = {"28-0316a2793bff": {"t": 1.5, "ok": True}, "28-0316a2793b00": {"t": 2.5, "ok": True}}
    draft, columns, found = only(tmp_path, [("hub/t", json.dumps(sent))])
    assert (draft.layout.each, set(columns)) == ("/*", {"key", "t", "ok"})
    (rows, _) = offer(found, "hub/t", json.dumps(sent))["hub_t"]
    assert [row["key"] for row in rows] == list(sent)


def test_each_reaches_a_list_whose_key_has_a_slash(tmp_path):
    sent = {"a/b~": [{"x": 1, "y": 2}]}
    draft, _, found = only(tmp_path, [("t", json.dumps(sent))])
    assert draft.layout.each == "/a~1b~0/*"
    (rows, _) = offer(found, "t", json.dumps(sent))["t"]
    assert (rows[0]["x"], rows[0]["y"]) == (1, 2.0)


def test_names_that_are_the_same_to_delta_are_told_apart(tmp_path):
    keys = ["a b", "a-b", "A_B", "größe", "Grosse", "温度", "%", "select", "received", "seq", "1st"]
    _, columns, _ = only(tmp_path, [("a", json.dumps(dict.fromkeys(keys, 1)))])
    assert len({name.lower() for name in columns}) == len(keys)
    assert all(name.isascii() and name.isidentifier() for name in columns)


def test_a_key_that_no_path_reaches_is_kept_in_the_rest(tmp_path):
    draft, columns, found = only(tmp_path, [("a", '{"x": 1, "": 2, "..": 3, "*": 4}')])
    assert draft.layout.rest == "extra"
    assert set(columns) == {"x", "extra"}
    (rows, _) = offer(found, "a", '{"x": 1, "": 2, "..": 3, "*": 4}')["a"]
    assert json.loads(rows[0]["extra"]) == {"": 2, "..": 3, "*": 4}


def test_a_guess_that_does_not_fit_later_messages_is_weakened_until_it_does(tmp_path):
    sent = [("a", json.dumps({"w": "ON" if n % 2 else "OFF"})) for n in range(30)]
    _, columns, _ = only(tmp_path, [*sent, ("a", '{"w": {"x": 1}}'), ("a", "{}")])
    assert columns["w"][1:] == ("VARIANT", True)


# --- groups


@pytest.mark.parametrize(
    ("topics", "filters"),
    [
        (["site/line1/oven/state", "site/line2/oven/state"], ["site/{line}/oven/state"]),
        (["devices/a81758fffe03/up"], ["devices/{device}/up"]),
        (["house/kitchen/air", "house/attic/air"], ["house/{room}/air"]),
        (["app/71/dev/0a1b2c3d4e/up"], ["app/{app}/dev/{device}/up"]),
        (["x/y"], ["x/y"]),
    ],
)
def test_levels_that_vary_or_are_ids_become_captures(tmp_path, topics, filters):
    report, _ = discovered(tmp_path, [(topic, '{"a": 1, "b": 2}') for topic in topics])
    assert [one.group.filter for one in report.drafts] == filters


def test_each_message_goes_to_one_station_where_filters_overlap(tmp_path):
    sent = [(f"tele/dev{n}/STATE", '{"up": 1, "heap": 2}') for n in range(3)]
    sent += [(f"tele/dev{n}/SENSOR", '{"t": 1.5, "h": 2.5}') for n in range(3)]
    sent += [("tele/dev1/LWT", "Online"), ("tele/dev2/x/y/z", "5"), ("tele/dev2/x", "7")]
    sent += [("tele/dev0/blob", b"\xff\xfe\x00"), ("tele/info", '{"v": 1}')]
    report, found = discovered(tmp_path, sent)
    for topic, payload in sent:
        outcomes = offer(found, topic, payload)
        assert len(outcomes) == (0 if topic.endswith("blob") else 1), (topic, outcomes)
        assert all(rows and not faults for rows, faults in outcomes.values())
    assert [one.topics for one in report.unwritten] == [("tele/dev0/blob",)]


def test_one_value_per_topic_at_several_depths_is_one_tall_table(tmp_path):
    sent = [("h/p1/a", "1"), ("h/p1/b/c", "ON"), ("h/p1/b/d/e", "x"), ("h/p2/a", "2.5")]
    draft, columns, found = only(tmp_path, sent)
    assert draft.group.filter == "h/{device}/{path*}" or "{path*}" in draft.group.filter
    assert {"path", "value", "value_number", "value_boolean"} <= set(columns)
    (rows, _) = next(iter(offer(found, "h/p1/b/c", "ON").values()))
    assert (rows[0]["path"], rows[0]["value_boolean"], rows[0]["value"]) == ("b/c", True, "ON")


def test_points_of_several_measurements_get_a_station_each(tmp_path):
    payload = "cpu,core=1 use=1.5 1795521600000000000\nmem used=5i"
    report, found = discovered(tmp_path, [("m/l", payload)])
    assert [one.name for one in report.drafts] == ["m_l_cpu", "m_l_mem"]
    assert all(len(rows) == 1 for rows, _ in offer(found, "m/l", payload).values())


# --- words and limits


def test_sentinels_must_stand_apart():
    assert sentinels([20, 21, 22, -999]) == [-999]
    assert sentinels([80.0, 85, 90.5, 84]) == []
    assert sentinels([65535, 65534, 65530, 65533]) == []
    assert sentinels([1, -999]) == []


def test_words_of_two_pairs_are_no_pair():
    assert pair_of({"on", "closed"}) is None
    assert pair_of({"online"}) == {"online": True, "offline": False}


def test_what_is_counted_or_named_like_a_secret_is_taken_as_it_is_and_not_shown(tmp_path):
    now_s = NOW_US // 1_000_000
    sent = [
        ("m/1", json.dumps({
            "total_wh": now_s + 7 * n, "count": 65535 if n == 5 else n, "rpm": 85 if n == 3 else 20,
            "wifi_password": "hunter2", "state": "online", "stamp": now_s + n,
        }))
        for n in range(30)
    ]  # fmt: skip
    _, columns, _ = only(tmp_path, sent)
    types = {name: delta for name, (_, delta, _) in columns.items()}
    assert types["total_wh"] == types["count"] == "BIGINT"
    assert types["stamp"] == "TIMESTAMP"
    assert types["state"] == "STRING"
    assert not any("null_if" in steps for steps, _, _ in columns.values())
    written = [file.read_text() for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert written
    assert not any("hunter2" in text for text in written)


def test_what_is_beyond_a_limit_is_counted_by_the_limit():
    heard = Heard()
    for number in range(TOPICS_MAX + 3):
        heard.take(Message(b"t/%d" % number, b"1"), NOW_US)
    for _ in range(PER_TOPIC_MAX + 4):
        heard.take(Message(b"t/1", b"1"), NOW_US)
    heard.take(Message(b"t/1", b""), NOW_US)
    assert len(heard.topics) == TOPICS_MAX
    assert sorted(heard.let_go.values()) == [3, 5]
    assert heard.empty == 1
