"""The device families of `tests/corpus/`: messages, tables, and the rows they must give."""

import base64
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent.parent / "corpus"
STATIONS = FOLDER / "stations.yml"
ENTRIES = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yaml"))}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def station_texts():
    """The YAML text of each station, by the name of its table."""
    texts, name = {}, ""
    for line in STATIONS.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            name = line.removesuffix(":")
            texts[name] = []
        elif line.startswith("  "):
            texts[name].append(line[2:])
    return {name: "\n".join(lines) for name, lines in texts.items()}


def payload_of(sample):
    if "payload_base64" in sample:
        return base64.b64decode(sample["payload_base64"])
    return sample["payload"].encode()


def received_us(sample):
    moment = datetime.fromisoformat(sample["received_at"])
    return (moment - EPOCH) // timedelta(microseconds=1)


def expected_rows(sample, table):
    return sample["expect"].get("rows", {}).get(table, [])


def expected_letters(sample):
    return sample["expect"].get("dead_letter", [])


def is_like(expected, got, types):
    """Whether a row, as JSON can say it, is the expected one; all columns of the table count."""
    return expected.keys() == got.keys() == types.keys() and all(
        _is_equal(_value(expected[name], types[name]), got[name], types[name]) for name in types
    )


def _value(value, delta):
    if value is None:
        return None
    if delta.startswith("TIMESTAMP"):
        return datetime.fromisoformat(value)
    if delta.startswith("VARIANT"):
        return json.loads(json.dumps(value))
    return value


def _is_equal(expected, got, delta):
    if got is None or expected is None:
        # An empty list and none are the same to protobuf.
        return expected is got or (delta.startswith("ARRAY") and not expected and not got)
    if delta.startswith("TIMESTAMP"):
        got = datetime.fromisoformat(got) if isinstance(got, str) else got
    if delta.startswith("VARIANT") and isinstance(got, str):
        got = json.loads(got)
    return _is_close(expected, got)


def _is_close(one, other):
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(_is_close(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_close, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) or isinstance(other, float):
        return (
            isinstance(one, int | float)
            and isinstance(other, int | float)
            and math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
        )
    return one == other
