"""A table that was altered: what still fits goes on, the rest is held and says why.

Method: the real spool and drains, with a service that is a small fake and opens only streams of
the schema that its table has. The same with the real service is in `test_altered_table.py`.
"""

import threading

import pytest
from support.service import TABLE, Service, count, drains_on, schema, spool_to_drain, store
from support.waiting import wait_for

from collector.operations.bury import bury
from collector.stream import End, StreamError


@pytest.fixture
def spool(tmp_path):
    with spool_to_drain(tmp_path) as one:
        yield one


@pytest.fixture
def old(tmp_path):
    return schema(tmp_path / "old", "optional string name", "optional int32 a")


@pytest.fixture
def today(tmp_path):
    return schema(tmp_path / "today", "optional int32 a", "optional string site")


class Altered(Service):
    """`opens` counts how often a stream of each descriptor was asked for."""

    def __init__(self, *schemas):
        super().__init__()
        self.fits = {one.file_descriptor for one in schemas}
        self.opens = []

    def open(self, table, file_descriptor, wake, **options):
        self.opens.append(file_descriptor)
        if file_descriptor not in self.fits:
            raise StreamError(End.HELD, "Schema does not fit", "compare them")
        return super().open(table, file_descriptor, wake, **options)


def sent(service, of):
    return [of.message.FromString(record).a for _, record in service.accepted]


def state(drains):
    return drains.states()[TABLE]


def is_held(drains):
    return state(drains).state == "held"


def test_what_does_not_fit_is_held_and_what_comes_behind_it_is_sent(spool, old, today):
    service = Altered(today)
    store(spool, old, {"name": "no place for it", "a": 1})
    for number in range(2, 6):
        store(spool, old, {"a": number})
    store(spool, today, {"a": 6, "site": "north"})
    with drains_on(spool, {TABLE: today}, service) as drains:
        wait_for(lambda: count(spool, "delivered") == 5, "what fits")
        wait_for(lambda: is_held(drains), "the rest to be held")
        assert "column name is gone" in state(drains).hint
        assert f"collector dead bury {TABLE}" in state(drains).hint
        # What is new does not wait for the back-off of what is held.
        for number in range(7, 10):
            store(spool, today, {"a": number})
            wait_for(lambda n=number: count(spool, "delivered") == n - 1, "what is new")
        assert "column name is gone" in state(drains).stuck
    assert sent(service, today) == list(range(2, 10))
    assert (count(spool, "spooled"), count(spool, "buried")) == (1, 0)
    assert service.opens.count(old.file_descriptor) < 6


def test_what_is_held_is_sent_when_the_table_was_altered_back(spool, old, today):
    service = Altered(today)
    store(spool, old, {"name": "no place for it", "a": 1})
    store(spool, today, {"a": 2})
    with drains_on(spool, {TABLE: today}, service) as drains:
        wait_for(lambda: is_held(drains), "the table to be held")
        service.fits.add(old.file_descriptor)
        wait_for(lambda: count(spool, "spooled") == 0, "the rest", 20)
        wait_for(lambda: not is_held(drains), "the end of the hold")
        assert state(drains).stuck == ""


def test_what_is_held_beside_what_is_sent_can_be_buried(spool, old, today):
    service = Altered(today)
    store(spool, old, {"name": "no place for it", "a": 1}, {"a": 2})
    store(spool, today, {"a": 3})
    with drains_on(spool, {TABLE: today}, service) as drains:
        wait_for(lambda: count(spool, "delivered") == 1, "what fits")
        wait_for(lambda: is_held(drains), "the table to be held")
        *_, last = bury(spool, drains, TABLE, spool.tick)
        wait_for(lambda: count(spool, "spooled") == 0, "the rest")
        assert last["buried"] == 1
    assert (count(spool, "delivered"), count(spool, "buried")) == (2, 1)
    assert spool.reader.counters()["station:s", "buried:schema"] == 1
    assert sorted(sent(service, today)) == [2, 3]


def test_a_service_that_opens_nothing_is_not_hammered_while_batches_are_set_aside(
    spool, old, today
):
    service = Altered(today)
    store(spool, old, {"name": "no place for it", "a": 1})
    store(spool, today, {"a": 2})
    with drains_on(spool, {TABLE: today}, service) as drains:
        wait_for(lambda: is_held(drains), "the table to be held")
        service.fits.clear()
        store(spool, today, {"a": 3})
        wait_for(lambda: today.file_descriptor in service.opens[-1:], "another open")
        before = len(service.opens)
        wait_for(lambda: state(drains).reason == "Schema does not fit", "the hold")
        assert len(service.opens) <= before + 2


def test_a_hold_looks_at_the_table_in_its_own_thread_once_for_each_step(spool, today):
    looks, go_on = [], threading.Event()

    def look(table, of):
        looks.append((table, of, threading.current_thread().name))
        assert go_on.wait(30)
        return "column site is NOT NULL in the table"

    service = Altered()
    store(spool, today, {"a": 1})
    with drains_on(spool, {TABLE: today}, service, look=look) as drains:
        wait_for(lambda: looks, "a look")
        # The hold is known before the table has answered, and intake is not stopped by it.
        assert (state(drains).state, state(drains).hint) == ("held", "compare them")
        store(spool, today, {"a": 2})
        go_on.set()
        hint = "compare them; column site is NOT NULL in the table"
        wait_for(lambda: state(drains).hint == hint, "what the look saw")
        assert looks == [(TABLE, today, f"drain {TABLE}")] * len(service.opens)
        service.fits.add(today.file_descriptor)
        wait_for(lambda: count(spool, "delivered") == 2, "the delivery", 20)
