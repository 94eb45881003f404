"""Samples as unit tests of a mapping: what holds is counted, the rest is said with its line."""

import json

import pytest
from support.station import write_stations
from support.terminal import run_plain

COLUMNS = (
    "device STRING, temp INT, ts TIMESTAMP, at TIMESTAMP, any VARIANT, raw BINARY,"
    " list ARRAY<DOUBLE>, seq BIGINT"
)
STATION = """topic: p/{device}
columns:
  device: $device
  temp: /t
  ts: /ts
  at: $received
  any: /any
  raw: /raw
  list: /list
  seq: $seq
"""
HOLDS = """
- topic: p/d1
  payload: {t: "21", any: {b: 1, a: [2]}, raw: 3q2+7w==, list: [0.1, 2], ts: 2025-03-03T11:06:40Z}
  expect:
    rows:
      - {device: d1, temp: 21, any: {a: [2], b: 1.0}, raw: 3q2-7w, list: [0.1, 2.0],
         ts: 2025-03-03T12:06:40+01:00}
- name: a whole hour later
  topic: p/d1
  received: 2025-01-01T01:00:00Z
  payload_base64: eyJ0IjogNX0=
  expect: {rows: [{device: d1, temp: 5, at: 2025-01-01T01:00:00Z}]}
- topic: p/d1
  payload: '[{"t": 1}, {"t": "x"}, {"t": 2}]'
  expect:
    rows: [{device: d1, temp: 1}, {device: d1, temp: 2}]
    dead_letters: [{kind: bad_value, column: temp, at: 1}]
- {topic: p/d1, payload: "", expect: nothing}
"""
FAILS = [
    ("{topic: p/a, payload: {}, expect: {rows: [{device: b}]}}", "rows[0].device", '"a", not "b"'),
    ("{topic: p/a, payload: {t: 1}, expect: {rows: [{device: a}]}}", "rows[0].temp", "1, not null"),
    (
        "{topic: p/a, payload: {}, expect: {rows: [{devise: a}]}}",
        "rows[0].devise",
        "no such column",
    ),
    ("{topic: p/a, payload: {}, expect: {rows: [{temp: warm}]}}", "rows[0].temp", "whole number"),
    ("{topic: p/a, payload: {}, expect: nothing}", "expect", "one row more"),
    ("{topic: p/a, payload: {t: x}, expect: nothing}", "expect", "more: bad_value"),
    ("{topic: q/a, payload: {}, expect: {rows: [{}]}}", "rows[0]", "there is no such row"),
    (
        "{topic: p/a, payload: {t: x}, expect: {rows: [{}]}}",
        "rows[0]",
        "no such row, but bad_value",
    ),
    ("{topic: p/a, payload: {}, expect: {dead_letters: [internal]}}", "dead_letters[0]", "no such"),
    ("{topic: p/a, payload: {}, expect: {row: []}}", "expect.row", "unknown key"),
    ("{topic: p/a, expect: nothing}", "", "either payload or payload_base64"),
    ("{topic: p/a, payload_base64: '%', expect: nothing}", "payload_base64", "base64"),
    ("{topic: p/a, payload: x, received: noon, expect: nothing}", "received", "a time with Z"),
    ("{topic: p/a, payload: x, qos: two, expect: nothing}", "qos", "0, 1 or 2"),
    ("{topic: p/a, payload: x, properties: [a], expect: nothing}", "properties", "names and texts"),
    ("{payload: x, expect: nothing}", "", "is missing"),
    ("{topic: p/a, payload: x}", "", "is missing"),
    ("5", "", "must be a mapping"),
]


@pytest.fixture
def check(tmp_path):
    def check(text):
        write_stations(tmp_path, [("plant", COLUMNS, STATION)])
        folder = tmp_path / "tables" / "plant" / "samples"
        folder.mkdir(exist_ok=True)
        (folder / "one.yaml").write_text(text)
        done = run_plain("check", "--json", folder=tmp_path)
        return done.returncode, json.loads(done.stdout)

    return check


@pytest.mark.parametrize(("option", "code"), [("--samples", 78), ("--no-samples", 0)])
def test_samples_may_be_left_out_because_a_start_does_not_ask_them(check, tmp_path, option, code):
    check(f"- {FAILS[0][0]}")
    assert run_plain("check", option, folder=tmp_path).returncode == code


def test_samples_that_hold_are_counted(check):
    code, said = check(HOLDS)
    assert code == 0, said
    assert said["samples"] == 4


@pytest.mark.parametrize(("sample", "key", "text"), FAILS)
def test_what_is_not_as_expected_is_said_with_file_line_and_place(check, sample, key, text):
    code, said = check("# The first line.\n" + sample)
    assert code == 78
    problem = next(one for one in said["problems"] if key in one["key"] and text in one["text"])
    assert problem["file"].endswith("plant/samples/one.yaml")
    assert problem["line"] == 2


def test_a_sample_of_a_station_without_topics_may_have_any(tmp_path):
    words = "columns: {device: /device, temp: /t}"
    config = write_stations(tmp_path, [("plant", "device STRING, temp INT", words)])
    config.write_text(config.read_text() + "http: {}\n")
    folder = tmp_path / "tables" / "plant" / "samples"
    folder.mkdir()
    (folder / "one.yaml").write_text(
        "- {topic: http/plant, payload: {t: 1}, expect: {rows: [{temp: 1}]}}\n"
        "- {topic: any/other, payload: {device: d}, expect: {rows: [{device: d}]}}\n"
    )
    done = run_plain("check", "--json", folder=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["samples"]) == (0, 2)
