"""The first loop without a broker: what a commit holds, and what becomes of it when it fails.

The subscriber is a small fake with the interface of the real one, scripted with what arrives; the
mapping, the router and the spool are real.
"""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from support.parts import make_plan, open_spool
from support.spools import limit
from support.waiting import wait_for

from collector.intake import Intake
from collector.intake.group import Pending
from collector.intake.records import StationRecords
from collector.model import BATCH_MAX_BYTES, BATCH_MAX_RECORDS, Message

TABLE = "main.iot.station_one"
NUMBERED = {
    "station_one": {
        "topic": "sensors/+/+",
        "table": TABLE,
        "columns": {"device_name": "device_name", "temp": "temp", "humidity": "$seq"},
    }
}


def message(number=1, qos=1, packet_id=1, topic=b"sensors/a/b", **more):
    payload = json.dumps({"device_name": "d", "humidity": number}).encode()
    return Message(topic, more.pop("payload", payload), qos, packet_id=packet_id, **more)


# -- the group -------------------------------------------------------------------------------


@pytest.fixture
def numbered(tmp_path):
    plan = make_plan(tmp_path, NUMBERED)
    with open_spool(plan) as spool:
        stations = [StationRecords(plan.mappings[0], TABLE, spool)]
        pending = Pending(stations, 1 << 20)
        pending.plan, pending.spool = plan, spool
        yield pending


def add(pending, *messages):
    for one in messages:
        pending.add(one, pending.plan.router.resolve(one.topic, ()), 1)
        pending.messages += 1
        pending.unprotected += not one.qos


def seqs_and_columns(pending, batches):
    new = pending.plan.mappings[0].schema.message
    return [
        (seq, new.FromString(record).humidity)
        for batch in batches
        for seq, record in zip(batch.seqs, batch.records, strict=True)
    ]


def test_the_number_in_a_column_is_that_of_the_record(numbered):
    add(numbered, *[message(payload=b'{"device_name": "d"}') for _ in range(5)])
    pairs = seqs_and_columns(numbered, numbered.group().batches)
    assert len({seq for seq, _ in pairs}) == 5
    assert all(seq == column for seq, column in pairs)


def test_a_record_that_fails_leaves_its_number_to_the_next_one(numbered):
    bad = b'[{"device_name": "a"}, {"temp": "x"}, {"device_name": "b"}]'
    add(numbered, message(payload=b'{"temp": "x"}'), message(payload=bad), message())
    group = numbered.group()
    pairs = seqs_and_columns(numbered, group.batches)
    first = pairs[0][0]
    assert pairs == [(first, first), (first + 1, first + 1), (first + 2, first + 2)]
    assert [one.fault.kind for one in group.dead_letters] == ["bad_value"] * 2
    assert (group.counts["", "recorded"], group.counts["", "dead_lettered"]) == (2, 1)


def test_a_commit_that_failed_is_tried_again_with_the_same_content(numbered):
    add(numbered, *[message(packet_id=n) for n in range(3)], message(payload=b"no"))
    first, second = numbered.group(), numbered.group()
    assert seqs_and_columns(numbered, first.batches) == seqs_and_columns(numbered, second.batches)
    assert first.counts == second.counts
    assert first.dead_letters == second.dead_letters


@pytest.mark.parametrize(
    ("count", "size"), [(BATCH_MAX_RECORDS + 1, 10), (10, 100_000), (1, BATCH_MAX_BYTES + 1)]
)
def test_a_batch_is_never_over_its_limits_unless_one_record_is(tmp_path, count, size):
    plan = make_plan(tmp_path)
    with open_spool(plan) as spool:
        pending = Pending([StationRecords(plan.mappings[0], TABLE, spool)], 1 << 20)
        pending.plan = plan
        payload = json.dumps({"device_name": "x" * size}).encode()
        add(pending, *[message(payload=payload) for _ in range(count)])
        batches = pending.group().batches
    assert sum(len(batch.records) for batch in batches) == count
    for batch in batches:
        assert len(batch.records) <= BATCH_MAX_RECORDS
        assert len(batch.records) == 1 or sum(map(len, batch.records)) <= BATCH_MAX_BYTES
        assert len(batch.seqs) == len(batch.records)
    seqs = [seq for batch in batches for seq in batch.seqs]
    assert seqs == sorted(set(seqs))


def test_what_is_given_back_is_no_longer_there_and_qos_0_of_it_is_counted(numbered):
    add(numbered, message(), message(qos=0), message(qos=0, payload=b"no"))
    numbered.give_back(1.0)
    group = numbered.group()
    assert (group.batches, group.dead_letters) == ([], [])
    assert {key: value for key, value in group.counts.items() if value} == {
        ("", "received"): 2,
        ("", "ignored:full"): 2,
        ("", "unprotected"): 2,
    }


# -- the loop --------------------------------------------------------------------------------


class Subscriber:
    """Gives what it is scripted with, and keeps what it is told."""

    def __init__(self, protocol="5"):
        self.state = SimpleNamespace(protocol=protocol, connecting_since=0.0)
        self.subscriptions = SimpleNamespace(granted=[], gone=[])
        self.epoch, self.script, self.acknowledged, self.goodbyes = 1, [], [], []
        self.woken = threading.Event()

    def receive(self, timeout):
        if self.script:
            return self.script.pop(0)
        self.woken.wait(min(timeout, 0.005))
        return []

    def acknowledge(self, packet_ids, epoch):
        self.acknowledged += [(epoch, packet_id) for packet_id in packet_ids]

    def disconnect(self, reason=""):
        self.goodbyes.append(reason)
        self.epoch += 1

    def wake(self):
        self.woken.set()


@pytest.fixture
def loop(tmp_path):
    """Return a function that starts an intake on a scripted subscriber."""
    stops = []

    def start(protocol="5", stations=None):
        plan = make_plan(
            tmp_path,
            stations,
            mqtt={"inbox_max_bytes": "64KiB", "message_max_bytes": "32KiB"},
            spool={"max_bytes": "8MiB", "commit_interval": "10ms", "commit_max_bytes": "64KiB"},
        )
        opened = open_spool(plan)
        spool, subscriber = opened.__enter__(), Subscriber(protocol)
        stations = [StationRecords(one, TABLE, spool) for one in plan.mappings]
        intake = Intake(plan.config, subscriber, plan.router, stations, spool)
        intake.start()
        stops.append((intake, opened))
        return SimpleNamespace(intake=intake, subscriber=subscriber, spool=spool)

    yield start
    for intake, opened in stops:
        intake.stop()
        intake.join(10)
        assert not intake.is_alive()
        opened.__exit__(None, None, None)


def counters(line):
    return {
        name: value for (scope, name), value in line.spool.reader.counters().items() if not scope
    }


def test_a_puback_goes_out_after_the_commit_and_in_the_order_of_arrival(loop):
    line = loop()
    line.subscriber.script += [[message(packet_id=7), message(packet_id=3)], [message(packet_id=9)]]
    wait_for(lambda: len(line.subscriber.acknowledged) == 3, "three PUBACKs")
    assert line.subscriber.acknowledged == [(1, 7), (1, 3), (1, 9)]
    assert counters(line)["recorded"] == 3


def test_every_outcome_of_a_message_is_counted_once_and_acknowledged(loop):
    line = loop()
    line.subscriber.script += [
        [
            message(),
            message(payload=b""),
            message(payload=b"[]"),
            message(payload=b"no"),
            message(topic=b"elsewhere"),
            message(topic=b"sensors/\xff/x"),
            message(qos=0),
            message(payload=b"head", oversize=1 << 20),
        ]
    ]
    wait_for(lambda: len(line.subscriber.acknowledged) == 7, "the PUBACKs")
    found = counters(line)
    assert found["received"] == 8
    assert (found["recorded"], found["dead_lettered"], found["unprotected"]) == (2, 3, 1)
    assert {name: n for name, n in found.items() if name.startswith("ignored:")} == {
        "ignored:empty": 1,
        "ignored:no_rows": 1,
        "ignored:unrouted": 1,
    }


def test_a_full_spool_acknowledges_nothing_and_ends_the_connection_at_the_inbox_limit(loop):
    line = loop()
    limit(line.spool, 1)
    line.subscriber.script += [[message(packet_id=1), message(qos=0)]]
    wait_for(lambda: line.intake.paused, "the pause")
    line.subscriber.script += [[message(qos=0)] * 2_000]
    big = json.dumps({"device_name": "x" * 30_000}).encode()
    line.subscriber.script += [[message(payload=big, packet_id=n) for n in (2, 3, 4)]]
    wait_for(lambda: line.subscriber.goodbyes, "the goodbye")
    assert line.subscriber.acknowledged == []
    assert counters(line).get("received", 0) == 0
    limit(line.spool, 8 << 20)
    wait_for(lambda: not line.intake.paused, "the room to be noticed")
    line.subscriber.script += [[message(packet_id=1)]]
    wait_for(lambda: line.subscriber.acknowledged, "the PUBACK")
    assert line.subscriber.acknowledged == [(2, 1)]
    assert counters(line)["ignored:full"] == 2_001


def test_qos_0_that_comes_while_the_spool_is_full_is_counted_as_ignored(loop):
    line = loop()
    limit(line.spool, 1)
    line.subscriber.script += [[message(packet_id=1)]]
    wait_for(lambda: line.intake.paused, "the pause")
    line.subscriber.script += [[message(qos=0)] * 2_000]
    wait_for(lambda: not line.subscriber.script, "the arrival")
    limit(line.spool, 8 << 20)
    wait_for(lambda: line.subscriber.acknowledged, "the PUBACK")
    assert line.subscriber.goodbyes == []
    found = counters(line)
    assert (found["received"], found["recorded"], found["ignored:full"]) == (2_001, 1, 2_000)


def test_a_retained_copy_is_known_once_it_is_stored_and_not_before(loop):
    """What a failed commit was to store comes again, and must not pass for known."""
    line = loop("3.1.1")
    limit(line.spool, 1)
    copy = message(retain=True)
    big = json.dumps({"device_name": "x" * 30_000}).encode()
    line.subscriber.script += [[copy, *[message(payload=big)] * 3]]
    wait_for(lambda: line.subscriber.goodbyes, "the goodbye")
    limit(line.spool, 8 << 20)
    wait_for(lambda: not line.intake.paused, "the room to be noticed")
    line.subscriber.script += [[copy], [copy, message(2, retain=True)]]
    wait_for(lambda: len(line.subscriber.acknowledged) == 3, "the PUBACKs")
    found = counters(line)
    assert (found["received"], found["recorded"], found["ignored:retained"]) == (3, 2, 1)


def test_packet_ids_of_an_earlier_connection_are_not_acknowledged_on_the_next(loop):
    line = loop()
    limit(line.spool, 1)
    line.subscriber.script += [[message(packet_id=5)]]
    wait_for(lambda: line.intake.paused, "the pause")
    line.subscriber.epoch = 2
    line.subscriber.script += [[message(packet_id=1)]]
    limit(line.spool, 8 << 20)
    wait_for(lambda: line.subscriber.acknowledged, "the PUBACK")
    assert line.subscriber.acknowledged == [(2, 1)]
    assert counters(line)["recorded"] == 2


def test_a_loop_that_stands_still_does_not_beat_unless_it_is_connecting(loop):
    line = loop()
    wait_for(lambda: line.intake.is_beating(0.5), "a beat")
    standing = threading.Event()
    line.subscriber.script += [Standing(standing)]
    wait_for(lambda: not line.intake.is_beating(0.2), "the loop to stand still")
    line.subscriber.state.connecting_since = time.monotonic()
    assert line.intake.is_beating(0.2)
    line.subscriber.state.connecting_since = time.monotonic() - 121
    assert not line.intake.is_beating(0.2)
    line.subscriber.state.connecting_since = 0.0
    standing.set()
    wait_for(lambda: line.intake.is_beating(0.5), "the loop to go on")


class Standing(list):
    """Messages that do not come before they are let go."""

    def __init__(self, let_go):
        super().__init__()
        self.let_go = let_go

    def __bool__(self):
        assert self.let_go.wait(10)
        return False
