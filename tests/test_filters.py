"""The filters of the commands, on random contents and random filters, against plain Python.

Goal: a filter finds what it says and nothing else, in the order of sending, however it is paged.
Method: two hundred batches and dead letters of several tables and stations, some with names that
SQL would stumble over; hypothesis picks the filters, a list comprehension says what is right.
"""

from contextlib import closing
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.model import DeadLetter, Fault, NewBatch
from collector.operations.purge import purge_letters, purge_records
from collector.spool import Group, Limits, Spool
from collector.spool.contents import Contents
from collector.spool.letters import Letters
from collector.spool.selection import Selection

TABLES = ("main.iot.one", "main.iot.two", "main.iot.odd")
STATIONS = ("one", "two", "x' OR 1 --", "%", "")
KINDS = ("bad_value", "undecodable", "refused")
REASONS = ("'hot' is no number", "50% of it", "a_b", "Ünïcode", "")
FINGERPRINT = b"f" * 16
TIMES = range(1_000, 1_200)


def fill(path):
    """Store things in an order that has nothing to do with their numbers or their arrival."""
    records, letters = [], []
    with closing(Spool(path, Limits())) as spool:
        spool.add_schema(FINGERPRINT, b"schema")
        for number in range(200):
            table, station = TABLES[number * 7 % 3], STATIONS[number * 11 % 5]
            received = TIMES[number * 37 % 200]
            count = 1 + number % 4
            first = spool.reserve(count)
            bodies = [b"%d" % n for n in range(count)]
            seqs = range(first, first + count)
            batch = NewBatch(table, station, FINGERPRINT, seqs, received, bodies)
            kind, reason = KINDS[number * 5 % 3], REASONS[number * 13 % 5]
            letter = DeadLetter(Fault(kind, reason), "t", b"p", received, station, table)
            spool.append(Group([batch], [letter]))
            records += [(seq, table, station, received, number + 1) for seq in seqs]
            letters.append((number + 1, table, station, received, kind, reason))
    return records, letters


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("filters") / "spool.db"
    return (path, *fill(path))


some = st.lists(st.sampled_from(TABLES), max_size=2, unique=True).map(tuple)
moments = st.none() | st.sampled_from([*TIMES, 0, 5_000])
selections = st.builds(
    Selection,
    tables=some | st.just(("main.iot.none",)),
    stations=st.lists(st.sampled_from(STATIONS), max_size=2, unique=True).map(tuple),
    since_us=moments,
    until_us=moments,
    ids=st.lists(st.integers(1, 210), max_size=5).map(tuple),
)
reasons = st.sampled_from(["", *KINDS, "hot", "%", "_", "50%", "ü", "Ü", "'", "no"])


def fits(selection, table, station, received, identity):
    return (
        (not selection.tables or table in selection.tables)
        and (not selection.stations or station in selection.stations)
        and (selection.since_us is None or received >= selection.since_us)
        and (selection.until_us is None or received < selection.until_us)
        and (not selection.ids or identity in selection.ids)
    )


def wanted_records(records, selection):
    return [
        seq
        for seq, table, station, received, batch in records
        if fits(selection, table, station, received, batch)
    ]


def wanted_letters(letters, selection):
    return [
        identity
        for identity, table, station, received, kind, reason in letters
        if fits(selection, table, station, received, identity)
        and (not selection.reason or selection.reason == kind or selection.reason in reason)
    ]


@given(selections, st.booleans(), st.integers(1, 7))
def test_records_are_found_by_any_filter_in_both_orders_and_by_any_paging(
    filled, selection, newest, page
):
    path, records, _ = filled
    wanted = wanted_records(records, selection)
    if newest:
        wanted.reverse()
    with closing(Contents(path)) as contents:
        assert contents.count(selection) == len(wanted)
        found = [one.seq for one in contents.records(selection, newest=newest)]
        assert found == wanted
        paged, after = [], None
        while part := list(islice(contents.records(selection, after=after, newest=newest), page)):
            paged += [one.seq for one in part]
            after = (part[-1].batch, part[-1].position)
            if len(paged) > 40:
                break
        assert paged == wanted[: len(paged)]
        assert len(paged) > 40 or paged == wanted


@given(selections, reasons, st.booleans(), st.integers(1, 7))
def test_dead_letters_are_found_by_any_filter_in_both_orders_and_by_any_paging(
    filled, selection, reason, newest, page
):
    path, _, letters = filled
    selection = Selection(**{**selection.as_json(), "reason": reason})
    wanted = wanted_letters(letters, selection)
    if newest:
        wanted.reverse()
    with closing(Letters(path)) as reader:
        assert reader.count(selection) == len(wanted)
        assert [one.id for one in reader.all(selection, newest=newest)] == wanted
        counted = reader.by(["kind", "station"], selection)
        assert sum(one["letters"] for one in counted) == len(wanted)
        paged, after = [], None
        while part := list(islice(reader.all(selection, after=after, newest=newest), page)):
            paged += [one.id for one in part]
            after = part[-1].id
        assert paged == wanted


@given(selections)
def test_a_selection_goes_through_the_socket_as_it_is(selection):
    import json

    assert Selection.of_json(json.loads(json.dumps(selection.as_json()))) == selection


@pytest.mark.parametrize("number", range(12))
def test_a_purge_takes_what_the_filter_shows_and_nothing_else(tmp_path, number):
    path = tmp_path / "spool.db"
    records, letters = fill(path)
    chosen = Selection(
        tables=TABLES[: number % 3],
        stations=(STATIONS[number % 5],),
        since_us=TIMES[number * 9],
        until_us=TIMES[-1 - number],
    )
    gone, gone_letters = wanted_records(records, chosen), wanted_letters(letters, chosen)
    assert gone
    with closing(Spool(path, Limits())) as spool:
        list(purge_records(spool, chosen))
        list(purge_letters(spool, chosen))
    with closing(Contents(path)) as contents, closing(Letters(path)) as reader:
        left = {one.seq for one in contents.records(Selection())}
        assert left == {seq for seq, *_ in records} - set(gone)
        assert {one.id for one in reader.all(Selection())} == (
            {identity for identity, *_ in letters} - set(gone_letters)
        )
