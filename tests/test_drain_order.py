"""What is sent first after an outage, and how much in a second."""

import threading
import time

import pytest
from support.parts import make_plan, open_spool
from support.service import TABLE, Service, count, draining, schema, store
from support.waiting import wait_for

from collector.drain.front import Front
from collector.drain.ledger import compose
from collector.drain.rate import Rate
from collector.drain.search import UNLIMITED
from collector.stream import End, StreamError

REFUSED_VALUE = 13


@pytest.fixture
def now(tmp_path):
    return schema(tmp_path / "now", "optional string name", "optional int32 a")


@pytest.fixture
def older(tmp_path):
    return schema(tmp_path / "older", "optional int32 a")


@pytest.fixture
def live(tmp_path):
    plan = make_plan(tmp_path, zerobus={"idle_after": "200ms", "drain": "live"})
    with open_spool(plan) as one:
        one.options = plan.config.zerobus
        yield one


def sent_by(front, wanted=1 << 20):
    """Take everything that a front has, one batch to a call; returns the ids."""
    ids = []
    while waiting := front.batches(wanted):
        call = compose(waiting, UNLIMITED, 1)
        assert front.take(call)
        ids.append(call.parts[0].batch)
    return ids


# -- live: new data first ----------------------------------------------------------------------


def test_what_comes_after_the_rewind_goes_first_and_the_backlog_in_the_gaps(live, now):
    for number in range(40):
        store(live, now, {"a": number})
    front, ids = Front(live, TABLE, live=True), []
    for number in range(3):
        waiting = front.batches(1 << 20)
        call = compose(waiting, UNLIMITED, 1)
        assert front.take(call)
        ids.append(call.parts[0].batch)
        store(live, now, {"a": 100 + number})
        front.more()
    assert ids == [1, 41, 42]
    assert sent_by(front) == [43, *range(2, 41)]


def test_by_default_the_order_is_that_of_the_commits(live, now):
    for number in range(20):
        store(live, now, {"a": number})
    front = Front(live, TABLE)
    first = front.batches(1)[0].id
    store(live, now, {"a": 20})
    front.more()
    assert [first, *sent_by(front)] == [1, *range(1, 22)]


def test_new_records_of_another_schema_wait_for_the_end_of_the_backlog(live, now, older):
    for number in range(3):
        store(live, older, {"a": number})
    front = Front(live, TABLE, live=True)
    store(live, now, {"a": 3})
    front.more()
    assert [batch.id for batch in front.batches(1 << 20, older.fingerprint)] == [1, 2, 3]
    assert [batch.id for batch in front.batches(1 << 20, now.fingerprint)] == [4]


def test_a_live_drain_delivers_everything_and_finds_refused_records_in_the_backlog(live, now):
    service = Service()
    service.refuses = lambda record: now.message.FromString(record).a == REFUSED_VALUE
    for number in range(50):
        store(live, now, {"a": number})
    with draining(live, {TABLE: now}, service):
        for number in range(50, 120):
            store(live, now, {"a": number})
        wait_for(lambda: count(live, "spooled") == 0, "the backlog")
    accepted = {now.message.FromString(record).a for _, record in service.accepted}
    assert accepted == set(range(120)) - {REFUSED_VALUE}
    assert count(live, "buried") == 1


def test_what_was_removed_since_it_was_read_is_not_sent(live, now):
    for number in range(10):
        store(live, now, {"a": number})
    front = Front(live, TABLE)
    assert len(front.batches(1 << 20)) == 10
    live.remove([1, 2, 5], "purged")
    call = compose(front.batches(1 << 20), UNLIMITED, 1 << 20)
    assert not front.take(call)
    assert sent_by(front) == [3, 4, 6, 7, 8, 9, 10]


def test_batches_in_flight_are_released_when_the_stream_ends_without_an_answer(live, now):
    class Silent(Service):
        def open(self, *arguments, **options):
            stream = super().open(*arguments, **options)
            stream.ingest = lambda records: stream.calls.append(records) or len(stream.calls) - 1
            return stream

    service = Silent()
    store(live, now, {"a": 1})
    with draining(live, {TABLE: now}, service):
        wait_for(lambda: service.streams and service.streams[0].calls, "a call")
        assert live.remove([1], "purged") == 0
        service.streams[0].events.append(StreamError(End.KEPT, "the link is gone"))
        service.streams[0].wake()
        service.open_error = StreamError(End.KEPT, "nobody answers")
        wait_for(lambda: live.remove([1], "purged") == 1, "the release")


# -- a limit on what is sent -------------------------------------------------------------------


def spend(rate, table, calls, size, order):
    for _ in range(calls):
        while not rate.turn(table, 1, size):
            continue
        order.append((table, time.monotonic()))


def test_without_a_limit_every_turn_comes_at_once():
    rate = Rate(None, None)
    assert all(rate.turn("t", 1_000_000, 1 << 30) for _ in range(1_000))


@pytest.mark.parametrize(("records", "size"), [(100, None), (None, 1_000)])
def test_no_more_is_sent_than_the_limit_allows(records, size):
    rate, order = Rate(records, size), []
    spend(rate, "t", 30, 10, order)
    # The first is free, and each of the others waits for its predecessor's worth.
    assert order[-1][1] - order[0][1] >= 29 * 10 / 1_000 * 0.99


def test_tables_take_turns_by_what_they_were_served():
    rate, order = Rate(None, 10_000), []
    threads = [
        threading.Thread(target=spend, args=(rate, "large", 10, 400, order)),
        threading.Thread(target=spend, args=(rate, "small", 40, 100, order)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # Half way both were served about the same number of bytes.
    half = [table for table, _ in order[:25]]
    assert abs(half.count("large") * 400 - half.count("small") * 100) <= 800


def test_a_drain_with_a_limit_delivers_everything_in_order(tmp_path, now):
    plan = make_plan(tmp_path, zerobus={"idle_after": "200ms", "max_bytes_per_second": "1KiB"})
    with open_spool(plan) as spool:
        spool.options = plan.config.zerobus
        for number in range(30):
            store(spool, now, {"a": number, "name": "x" * 50})
        with draining(spool, {TABLE: now}) as service:
            wait_for(lambda: count(spool, "delivered") == 30, "the backlog")
        # A call carries a second's worth at most, where the batches are smaller.
        assert max(len(call) for stream in service.streams for call in stream.calls) <= 1024 // 54


@pytest.mark.parametrize(("limit", "batches"), [(None, 10), (100, 4), (99, 3), (10, 1)])
def test_a_limited_call_is_of_a_seconds_worth_of_records_or_one_batch(live, now, limit, batches):
    for number in range(10):
        store(live, now, *[{"a": number}] * 25)
    waiting = Front(live, TABLE).batches(1 << 20)
    call = compose(Rate(limit, None).portion(waiting), UNLIMITED, 1 << 20)
    assert len(call.parts) == batches
    assert all(part.whole for part in call.parts)
