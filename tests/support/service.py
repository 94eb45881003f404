"""A service that is a small fake with the interface of `collector.stream`, and drains on it."""

import time
from collections import deque
from contextlib import contextmanager

from collector.drain import Drains
from collector.model import NewBatch
from collector.spool import Group
from collector.stream import Ack, End, StreamError
from collector.tables import load_schema
from support.parts import make_plan, open_spool

TABLE = "main.iot.station_one"
REFUSED = StreamError(End.REFUSED, "Invalid argument: Record rejected.")


@contextmanager
def spool_to_drain(folder):
    """Open a spool whose idle streams end soon; `options` are those of its drains."""
    plan = make_plan(folder, zerobus={"idle_after": "200ms"})
    with open_spool(plan) as one:
        one.options = plan.config.zerobus
        yield one


def schema(folder, *fields):
    """Return a schema of fields such as `optional int32 a`."""
    folder.mkdir(exist_ok=True)
    lines = [f"  {field} = {number};" for number, field in enumerate(fields, 1)]
    text = "\n".join(['syntax = "proto2";', "message Row {", *lines, "}", ""])
    (folder / "schema.proto").write_text(text)
    return load_schema(folder)


def store(spool, of, *rows):
    spool.add_schema(of.fingerprint, of.stored)
    first = spool.reserve(len(rows))
    records = [of.message(**row).SerializeToString() for row in rows]
    seqs = range(first, first + len(rows))
    spool.append(Group([NewBatch(TABLE, "s", of.fingerprint, seqs, 1, records)]))


class Service:
    """Opens streams, refuses what `refuses` says, acknowledges the rest; keeps what it was sent."""

    def __init__(self):
        self.stream_type = Stream
        self.refuses = lambda _record: False
        self.open_error = None
        self.streams = []
        self.accepted = []

    def open(self, table, file_descriptor, wake, *, ack_timeout, tries, held):
        if self.open_error is not None:
            raise self.open_error
        assert (table == TABLE, bool(ack_timeout), tries >= 0, held in (True, False)) == (True,) * 4
        self.streams.append(self.stream_type(self, file_descriptor, wake))
        return self.streams[-1]


class Stream:
    def __init__(self, service, descriptor, wake):
        self.service, self.descriptor, self.wake = service, descriptor, wake
        self.opened_at = time.monotonic()
        self.calls, self.events = [], deque()

    def ingest(self, records):
        self.calls.append(list(records))
        if any(map(self.service.refuses, records)):
            self.events.append(REFUSED)
        elif not self.events or self.events[-1] is not REFUSED:
            self.service.accepted += [(self.descriptor, record) for record in records]
            self.events.append(Ack(len(self.calls) - 1, time.monotonic()))
        self.wake()
        return len(self.calls) - 1

    def acks(self):
        acks = []
        while self.events and isinstance(self.events[0], Ack):
            acks.append(self.events.popleft())
        if not acks and self.events:
            raise self.events[0]
        return acks

    def close(self):
        return [event for event in self.events if isinstance(event, Ack)]


@contextmanager
def draining(spool, schemas, service=None):
    service = service or Service()
    with drains_on(spool, schemas, service):
        yield service


@contextmanager
def drains_on(spool, schemas, service, **more):
    drains = Drains(spool, service, spool.options, schemas, **more)
    spool.stored = drains.notify
    drains.notify(spool.reader.tables())
    try:
        yield drains
    finally:
        spool.stored = lambda *_: None
        drains.stop(time.monotonic() + 5)
        for drain in list(drains._drains.values()):
            drain.join(10)
            assert not drain.is_alive()


def count(spool, name):
    spool.tick()
    return spool.reader.counters().get((f"table:{TABLE}", name), 0)
