"""The device families through the whole line: broker, daemon, Zerobus, Delta tables.

All stations run in one daemon, and every sample is published once, in order. What the clock of this
box decides is left out of the comparison: columns of the time of arrival, and the times that SenML
gives relative to it.
"""

import base64
from collections import Counter
from datetime import date, datetime

import pytest
import yaml
from deltalake import DeltaTable
from support.columns import schema_text
from support.corpus import ENTRIES, STATIONS, expected_letters, expected_rows, is_like, payload_of
from support.line import Line
from support.waiting import wait_for

CATALOG = "main.corpus"
TABLES = {
    name: table["columns"] for entry in ENTRIES.values() for name, table in entry["tables"].items()
}
SAMPLES = [
    (name, sample)
    for name, entry in ENTRIES.items()
    for sample in entry["samples"]
]  # fmt: skip
CLOCKED = {
    "senml_records": {"ts": {"relative_and_rebase"}},
    "lp_other": {"ts": {"no_timestamp_and_comment"}},
}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    stations = yaml.safe_load(STATIONS.read_text())
    for name, station in stations.items():
        station["table"] = f"{CATALOG}.{name}"
    schemas = {name: schema_text(columns) for name, columns in TABLES.items()}
    options = ("--tables", str(folder / "tables"), "--catalog", CATALOG)
    with Line(folder, stations=stations, tables=schemas, emulator=options) as line:
        line.publisher().publish(
            [(n, sample["topic"], payload_of(sample)) for n, (_, sample) in enumerate(SAMPLES)]
        )
        wait_for(lambda: line.counters().get(("", "received"), 0) >= len(SAMPLES), "all messages")
        line.wait_drained()
        line.check_balances()
        yield line


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_the_samples_is_in_its_delta_table_and_no_other(line, table):
    wanted = [
        (sample["id"], row)
        for _, sample in SAMPLES
        for row in expected_rows(sample, table)
    ]  # fmt: skip
    found = [plain(row) for row in rows_of(line, table)]
    assert len(found) == len(wanted)
    for sample, row in wanted:
        unclocked = {
            name: delta
            for name, delta in TABLES[table].items()
            if name != "received_at" and sample not in CLOCKED.get(table, {}).get(name, ())
        }
        expected = {name: row[name] for name in unclocked}
        near = [
            got
            for got in found
            if is_like(expected, {name: got[name] for name in unclocked}, unclocked)
        ]
        assert near, (sample, expected, found)
        found.remove(near[0])


def test_every_dead_letter_of_the_samples_is_there_and_no_other(line):
    found = Counter(
        (letter["station"], letter["kind"], letter["topic"]) for letter in line.dead_letters()
    )
    wanted = Counter()
    for name, sample in SAMPLES:
        for letter in expected_letters(sample):
            # A record that can't be read is reported once by each station of its format.
            stations = [letter["table"]] if "table" in letter else ENTRIES[name]["tables"]
            for station in stations:
                wanted[station, letter["kind"], sample["topic"]] += 1
    assert found == wanted


def rows_of(line, table):
    folder = line.zerobus.lake.joinpath(*CATALOG.split("."), table)
    # Its folder is there a moment before the first file of its log.
    if not DeltaTable.is_deltatable(str(folder)):
        return []
    return DeltaTable(str(folder)).to_pyarrow_table().to_pylist()


def plain(value):
    """A value of Arrow as the corpus writes it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value
