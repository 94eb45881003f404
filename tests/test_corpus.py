"""The device families: every sample gives the rows and dead letters that its entry wants.

The stations were written from the entries' notes alone; see tests/corpus/stations.yml.
"""

import pytest
from support.corpus import (
    ENTRIES,
    expected_letters,
    expected_rows,
    is_like,
    payload_of,
    received_us,
    station_texts,
)
from support.station import compiled, offer


def plan_of(folder, entry):
    texts = station_texts()
    return compiled(
        folder,
        *((name, table["columns"], texts[name]) for name, table in entry["tables"].items()),
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_every_sample_of_a_family_becomes_what_is_wanted(tmp_path, name):
    entry = ENTRIES[name]
    plan = plan_of(tmp_path, entry)
    for sample in entry["samples"]:
        outcomes = offer(plan, sample["topic"], payload_of(sample), received_us(sample))
        letters = [(table, one) for table, (_, faults) in outcomes.items() for one in faults]
        for table, what in entry["tables"].items():
            rows, _ = outcomes.get(table, ([], []))
            wanted = expected_rows(sample, table)
            assert len(rows) == len(wanted), (sample["id"], table, outcomes)
            for expected, row in zip(wanted, rows, strict=True):
                assert is_like(expected, row, what["columns"]), (sample["id"], expected, row)
        check_letters(sample, letters)


def check_letters(sample, letters):
    """Each dead letter is there, with its table and place; one that names no table may come once
    for each."""
    left = list(letters)
    for wanted in expected_letters(sample):
        place = wanted["at"] if wanted["scope"] == "row" else None
        found = [
            (table, one)
            for table, one in left
            if one.kind == wanted["kind"]
            and one.position == place
            and wanted.get("table", table) == table
        ]
        assert found, (sample["id"], wanted, letters)
        left = [one for one in left if one not in (found if "table" not in wanted else found[:1])]
    assert not left, (sample["id"], left)


def test_every_table_of_the_corpus_has_a_station_and_no_station_is_idle():
    tables = {table for entry in ENTRIES.values() for table in entry["tables"]}
    assert tables == station_texts().keys()
    assert len(ENTRIES) == 14
