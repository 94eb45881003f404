"""`dead bury`: what becomes of a held table when an operator says that its records are wrong.

Goal: what the service refuses of the records that were there becomes dead letters, each by itself;
what it accepts is delivered; nothing that came later is touched, nothing is lost. Method: the real
spool and drains, with a service that is a small fake.
"""

import threading

import pytest
from support.service import TABLE, Service, count, drains_on, schema, spool_to_drain, store
from support.waiting import wait_for

from collector.errors import CollectorError, SpoolError
from collector.operations.bury import bury
from collector.stream import End, StreamError


@pytest.fixture
def spool(tmp_path):
    with spool_to_drain(tmp_path) as one:
        yield one


@pytest.fixture
def now(tmp_path):
    return schema(tmp_path / "now", "optional string name", "optional int32 a")


def drains_of(spool, service, of):
    spool.add_schema(of.fingerprint, of.stored)
    return drains_on(spool, {TABLE: of}, service)


def run(spool, drains, **options):
    steps = bury(spool, drains, TABLE, spool.tick, **options)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def held(drains):
    return drains.states()[TABLE].state == "held"


def letters(spool):
    return spool.reader.rows("SELECT kind, seq, fingerprint, reason FROM dead_letters ORDER BY seq")


def test_refused_records_are_buried_one_by_one_and_the_others_delivered(spool, now):
    service = Service()
    service.refuses = lambda record: now.message.FromString(record).a < 100
    store(spool, now, *[{"a": number} for number in range(30)])
    with drains_of(spool, service, now) as drains:
        wait_for(lambda: held(drains), "the table to be held", 30)
        mixed = [{"a": 7}, *[{"a": 100 + number} for number in range(40)], {"a": 8}, {"a": 200}]
        store(spool, now, *mixed)
        wanted = sorted(seq for batch in spool.read(TABLE, 0, 100) for seq in batch.seqs)
        assert run(spool, drains) == {"buried": 32, "delivered": 41}
        assert count(spool, "spooled") == 0
        buried = [seq for _, seq, _, _ in letters(spool)]
        assert buried == [*wanted[:31], wanted[-2]]
        assert {(kind, of) for kind, _, of, _ in letters(spool)} == {("refused", now.fingerprint)}
        # The word is taken back: what is refused from here on holds the table again.
        store(spool, now, *[{"a": number} for number in range(20)])
        wait_for(lambda: held(drains), "the table to be held again", 30)
        assert len(letters(spool)) == 32
        assert count(spool, "spooled") == 20


def test_records_that_come_meanwhile_are_not_meant(spool, now):
    service = Service()
    service.refuses = lambda _record: True
    store(spool, now, *[{"a": number} for number in range(20)])
    with drains_of(spool, service, now) as drains:
        wait_for(lambda: held(drains), "the table to be held", 30)
        steps = bury(spool, drains, TABLE, spool.tick)
        next(steps)
        store(spool, now, {"a": 1}, {"a": 2})
        list(steps)
        assert len(letters(spool)) == 20
        assert count(spool, "spooled") == 2


def test_stopped_half_way_what_is_buried_is_buried_and_the_rest_is_held(spool, now):
    service, half_way, go_on = Service(), threading.Event(), threading.Event()

    def refuses(_record):
        if len(letters(spool)) == 50:
            half_way.set()
            go_on.wait(30)
        return True

    service.refuses = refuses
    store(spool, now, *[{"a": number} for number in range(200)])
    with drains_of(spool, service, now) as drains:
        wait_for(lambda: held(drains), "the table to be held", 30)
        steps = bury(spool, drains, TABLE, spool.tick)
        next(steps)
        assert half_way.wait(30)
        steps.close()
        go_on.set()
        wait_for(lambda: held(drains), "the table to be held again", 30)
        assert len(letters(spool)) == count(spool, "buried") == 50
        assert count(spool, "spooled") == 150


def test_what_does_not_fit_the_schema_of_today_is_buried_with_its_own(spool, now, tmp_path):
    changed = schema(tmp_path / "changed", "optional string name")
    store(spool, now, {"name": "fits"}, {"name": "x", "a": 1}, {"name": "fits too"}, {"a": 2})
    service = Service()
    service.open_error = StreamError(End.HELD, "schema mismatch", "mend it")

    def reopen_by(table, file_descriptor, wake, **options):
        if file_descriptor != changed.file_descriptor:
            raise service.open_error
        service.open_error = None
        return Service.open(service, table, file_descriptor, wake, **options)

    service.open = reopen_by
    with drains_of(spool, service, changed) as drains:
        wait_for(lambda: "column a is gone" in drains.states()[TABLE].hint, "the table to be held")
        assert letters(spool) == []
        assert run(spool, drains) == {"buried": 2, "delivered": 2}
    assert [(kind, of) for kind, _, of, _ in letters(spool)] == [("schema", now.fingerprint)] * 2
    names = [changed.message.FromString(record).name for _, record in service.accepted]
    assert names == ["fits", "fits too"]


@pytest.mark.parametrize("end", [End.HELD, End.KEPT])
def test_a_service_that_opens_no_stream_buries_nothing_and_the_reason_is_said(spool, now, end):
    service = Service()
    service.open_error = StreamError(end, "no such table", "create the table")
    store(spool, now, {"a": 1})
    with drains_of(spool, service, now) as drains:
        with pytest.raises(CollectorError, match=r"no such table.*0 records were buried"):
            run(spool, drains, stuck_s=0.5)
        assert letters(spool) == []
        assert count(spool, "spooled") == 1


def test_a_table_that_has_nothing_is_an_error_that_names_those_that_have(spool, now):
    with (
        drains_of(spool, Service(), now) as drains,
        pytest.raises(SpoolError, match="nothing in the spool"),
    ):
        run(spool, drains)
