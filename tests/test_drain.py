"""The second loop on a real spool, with a service that is a small fake: what it is sent, on which
stream, and what is left in the spool.

The fake has the interface of `collector.stream`; what the real SDK and the real wire do is the
business of `test_stream.py` and of the end-to-end tests.
"""

import time

import pytest
from support.service import TABLE, Service, Stream, count, draining, schema, spool_to_drain, store
from support.waiting import wait_for

from collector.drain import Drains
from collector.drain.encode_anew import encode_table_anew
from collector.drain.front import Front
from collector.drain.ledger import compose
from collector.drain.search import UNLIMITED
from collector.stream import End, StreamError


@pytest.fixture
def spool(tmp_path):
    with spool_to_drain(tmp_path) as one:
        yield one


@pytest.fixture
def now(tmp_path):
    return schema(tmp_path / "now", "optional string name", "optional int32 a")


@pytest.fixture
def older(tmp_path):
    return schema(tmp_path / "older", "optional int32 a")


def values(of, service):
    return [of.message.FromString(record).a for _, record in service.accepted]


# -- the loop --------------------------------------------------------------------------------


def test_batches_go_out_in_the_order_of_their_commits_each_once(spool, now):
    for number in range(50):
        store(spool, now, {"a": number})
    with draining(spool, {TABLE: now}) as service:
        wait_for(lambda: count(spool, "delivered") == 50, "the backlog")
        store(spool, now, {"a": 50})
        wait_for(lambda: count(spool, "delivered") == 51, "what came later")
    assert values(now, service) == list(range(51))
    assert count(spool, "spooled") == 0


def test_streams_of_two_schemas_follow_each_other_with_their_own_descriptors(spool, now, older):
    for of in (older, now, older):
        store(spool, of, {"a": 1}, {"a": 2})
    with draining(spool, {TABLE: now}) as service:
        wait_for(lambda: count(spool, "delivered") == 6, "all of it")
    descriptors = [stream.descriptor for stream in service.streams]
    assert descriptors == [one.file_descriptor for one in (older, now, older)]


def test_a_refused_record_is_buried_once_another_was_accepted_and_the_rest_is_delivered(spool, now):
    rows = [{"a": number} for number in range(300)]
    bad = now.message(a=250).SerializeToString()
    store(spool, now, *rows[:200])
    store(spool, now, *rows[200:])
    service = Service()
    service.refuses = bad.__eq__
    with draining(spool, {TABLE: now}, service):
        wait_for(lambda: count(spool, "buried") == 1, "the dead letter")
        wait_for(lambda: count(spool, "delivered") == 299, "the rest")
    (letter,) = spool.reader.rows("SELECT kind, seq, fingerprint FROM dead_letters")
    assert letter[0] == "refused"
    assert letter[2] == now.fingerprint
    assert spool.reader.counters()["station:s", "buried:refused"] == 1
    assert values(now, service) == [n for n in range(300) if n != 250]
    assert count(spool, "spooled") == 0


def test_a_suspect_goes_out_on_streams_of_its_own_schema_only(spool, now, older):
    """Bytes of one schema, read by another, would be refused for nothing, or stored wrong."""
    store(spool, older, {"a": 1})
    store(spool, older, {"a": 2})
    store(spool, now, *[{"a": number} for number in range(3, 40)])
    bad = older.message(a=1).SerializeToString()
    service = Service()
    service.refuses = bad.__eq__
    with draining(spool, {TABLE: now}, service):
        wait_for(lambda: count(spool, "buried") == 1, "the dead letter")
        wait_for(lambda: count(spool, "delivered") == 38, "the rest")
    sent_bad = [stream for stream in service.streams if [bad] in stream.calls]
    assert {stream.descriptor for stream in sent_bad} == {older.file_descriptor}
    sent = {older.file_descriptor: [], now.file_descriptor: []}
    for descriptor, record in service.accepted:
        sent[descriptor].append(record)
    assert [older.message.FromString(record).a for record in sent[older.file_descriptor]] == [2]
    assert len(sent[now.file_descriptor]) == 37


def test_a_service_that_is_away_is_tried_again_and_nothing_is_lost(spool, now):
    store(spool, now, {"a": 1})
    service = Service()
    service.open_error = StreamError(End.KEPT, "connection refused")
    drains = Drains(spool, service, spool.options, {TABLE: now})
    drains.notify([TABLE])
    wait_for(lambda: drains.states()[TABLE].state == "waiting", "the table to wait")
    assert count(spool, "spooled") == 1
    service.open_error = None
    wait_for(lambda: count(spool, "delivered") == 1, "the delivery")
    drains.stop(time.monotonic() + 5)


def test_a_table_whose_open_is_refused_is_held_with_the_hint(spool, now):
    store(spool, now, {"a": 1})
    service = Service()
    service.open_error = StreamError(End.HELD, "no such table", "create the table")
    drains = Drains(spool, service, spool.options, {TABLE: now})
    drains.notify([TABLE])
    wait_for(lambda: drains.states()[TABLE].state == "held", "the table to be held")
    state = drains.states()[TABLE]
    assert (state.reason, state.hint) == ("no such table", "create the table")
    assert (count(spool, "spooled"), count(spool, "buried")) == (1, 0)
    drains.stop(time.monotonic() + 5)


def test_what_a_call_that_failed_had_taken_may_be_purged(spool, now):
    store(spool, now, {"a": 1})
    service = Service()

    class Broken(Stream):
        def ingest(self, _records):
            raise StreamError(End.KEPT, "stream closed")

    service.stream_type = Broken
    drains = Drains(spool, service, spool.options, {TABLE: now})
    drains.notify([TABLE])
    wait_for(lambda: drains.states()[TABLE].state == "waiting", "the table to wait")
    assert spool.remove([1], "purged") == 1
    drains.stop(time.monotonic() + 5)


# -- the front -------------------------------------------------------------------------------


def test_the_front_reads_on_behind_what_was_taken_and_skips_suspects(spool, now):
    for number in range(40):
        store(spool, now, {"a": number}, {"a": -number})
    first = spool.read(TABLE, 0, 1)[0].id
    suspect = spool.set_aside(first + 1)
    front, seen = Front(spool, TABLE), []
    while waiting := front.batches(1):
        call = compose(waiting, UNLIMITED, 60)
        front.take(call)
        seen += [part.batch for part in call.parts]
    assert seen == list(range(first, first + 40))
    assert suspect not in seen
    front.more()
    assert not front.batches(1)
    front.rewind()
    assert front.batches(1)[0].id == first


# -- encoding anew ---------------------------------------------------------------------------


def rows_of(spool, of):
    return [
        {field.name: value for field, value in of.message.FromString(record).ListFields()}
        for batch in spool.read(TABLE, 0)
        for record in batch.records
    ]


def test_a_new_nullable_column_is_null_in_what_is_encoded_anew(spool, older, now):
    store(spool, older, {"a": 1}, {})
    seqs = list(spool.read(TABLE, 0)[0].seqs)
    spool.add_schema(now.fingerprint, now.stored)
    assert encode_table_anew(spool, TABLE, now) == (True, "")
    (batch,) = spool.read(TABLE, 0)
    assert (batch.fingerprint, list(batch.seqs)) == (now.fingerprint, seqs)
    assert rows_of(spool, now) == [{"a": 1}, {}]
    assert encode_table_anew(spool, TABLE, now) == (False, "")


@pytest.mark.parametrize(
    ("fields", "row", "why"),
    [
        (["optional string name"], {"name": "x", "a": 1}, "column a is gone"),
        (["optional string name", "optional int32 a", "required int32 b"], {"a": 1}, "column b"),
        (["optional string name", "optional bytes a"], {"a": 1}, "expected bytes"),
    ],
    ids=["a removed column with a value", "a NOT NULL column without", "another type"],
)
def test_what_does_not_fit_the_changed_schema_stays_as_it_is(
    spool, now, tmp_path, fields, row, why
):
    changed = schema(tmp_path / "changed", *fields)
    store(spool, now, row)
    spool.add_schema(changed.fingerprint, changed.stored)
    before = spool.read(TABLE, 0)
    changed_any, stuck = encode_table_anew(spool, TABLE, changed)
    assert not changed_any
    assert why in stuck
    assert spool.read(TABLE, 0) == before


def test_a_removed_column_without_values_and_moved_ones_keep_what_is_there(spool, now, tmp_path):
    fields = ("optional int64 a", "optional bool c")
    changed = schema(tmp_path / "changed", *fields)
    store(spool, now, {"a": 2**31 - 1})
    spool.add_schema(changed.fingerprint, changed.stored)
    assert encode_table_anew(spool, TABLE, changed)[0]
    assert rows_of(spool, changed) == [{"a": 2**31 - 1}]


def test_a_batch_that_does_not_fit_keeps_no_other_from_being_encoded(spool, now, tmp_path):
    changed = schema(tmp_path / "changed", "optional int32 a")
    store(spool, now, {"name": "x"})
    store(spool, now, {"a": 1})
    spool.add_schema(changed.fingerprint, changed.stored)
    changed_any, stuck = encode_table_anew(spool, TABLE, changed)
    assert changed_any
    assert "column name is gone" in stuck
    fingerprints = [batch.fingerprint for batch in spool.read(TABLE, 0)]
    assert fingerprints == [now.fingerprint, changed.fingerprint]
