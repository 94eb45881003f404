"""The contract with the Zerobus SDK, on the real SDK and the local Zerobus.

The SDK says how a stream ended by an exception and a text, no status. What `stream.py` reads of it
must stay true with every version of the SDK: the prefix of a refusal, and that nothing else has it.
"""

import threading
import time

import pytest
from support.parts import make_plan
from support.waiting import wait_for

from collector.emulator import Emulator, EmulatorOptions
from collector.stream import Connections, End, StreamError

TABLE = "main.iot.station_one"
REFUSED_AT_OPEN = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "UNIMPLEMENTED",
    "OUT_OF_RANGE",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
)
AWAY = (
    "UNAVAILABLE",
    "INTERNAL",
    "ABORTED",
    "CANCELLED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ALREADY_EXISTS",
    "DATA_LOSS",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
)


@pytest.fixture(scope="module")
def zerobus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zerobus")
    options = EmulatorOptions(lake=folder / "lake", ack_delay=0.02, commit_interval=0.02)
    with Emulator(options) as emulator:
        yield Client(folder, emulator)


@pytest.fixture
def limited(tmp_path):
    options = EmulatorOptions(
        lake=tmp_path / "lake", ack_delay=0.02, commit_interval=0.02, streams_per_connection=2
    )
    with Emulator(options) as emulator:
        yield Client(tmp_path, emulator)


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "zerobus" in request.fixturenames:
        request.getfixturevalue("zerobus").fault()


class Client:
    """Opens streams as a drain does."""

    def __init__(self, folder, emulator):
        self.emulator = emulator
        plan = make_plan(
            folder,
            zerobus={"endpoint": emulator.endpoint, "workspace_url": emulator.workspace_url},
        )
        self.schema = plan.schemas[TABLE]
        self.connections = Connections(plan.config.zerobus, "test")
        self.woken = threading.Event()

    def open(self, table=TABLE, ack_timeout=20.0, held=False):
        return self.connections.open(
            table,
            self.schema.file_descriptor,
            self.woken.set,
            ack_timeout=ack_timeout,
            tries=0,
            held=held,
        )

    def fault(self, **fault):
        self.emulator.set_faults({"faults": [fault] if fault else []})

    def records(self, *numbers):
        new = self.schema.message
        return [new(device_name="d", humidity=n).SerializeToString() for n in numbers]


def take(stream, wanted):
    """Return the acknowledged offsets, once `wanted` has come."""
    offsets = []

    def has_come():
        offsets.extend(ack.offset for ack in stream.acks())
        return offsets and offsets[-1] >= wanted

    wait_for(has_come, f"the acknowledgment of {wanted}", 20, 0.01)
    return offsets


def end_of(stream):
    """Return (offsets that were acknowledged, how the stream ended)."""
    offsets, ended = [], []

    def has_ended():
        try:
            offsets.extend(ack.offset for ack in stream.acks())
        except StreamError as error:
            ended.append(error)
        return ended

    try:
        wait_for(has_ended, "the end of the stream", 20, 0.01)
    finally:
        stream.close()
    return offsets, ended[0]


# -- how streams end -------------------------------------------------------------------------


def test_a_refused_record_ends_the_stream_with_the_prefix_that_means_refused(zerobus):
    zerobus.fault(fault="poison", column="humidity", equals=2)
    stream = zerobus.open()
    stream.ingest(zerobus.records(1, 2, 3))
    offsets, error = end_of(stream)
    assert (offsets, error.end) == ([], End.REFUSED)
    assert error.reason.startswith(
        ("Invalid argument:", "Stream is closed: code: 'Client specified")
    )


def test_what_was_acknowledged_before_the_refusal_comes_before_it(zerobus):
    zerobus.fault(fault="poison", column="humidity", equals=2)
    stream = zerobus.open()
    stream.ingest(zerobus.records(1))
    wait_for(lambda: stream._callback.events, "the acknowledgment", 20, 0.01)
    stream.ingest(zerobus.records(2))
    wait_for(stream._cause, "the error", 20, 0.01)
    offsets, error = end_of(stream)
    assert (offsets, error.end) == ([0], End.REFUSED)


@pytest.mark.parametrize("status", [*REFUSED_AT_OPEN[1:], *AWAY])
def test_any_other_end_keeps_what_was_in_flight(zerobus, status):
    zerobus.fault(fault="abort", after=1, status=status, message="Invalid argument: not at all")
    stream = zerobus.open()
    stream.ingest(zerobus.records(1))
    _, error = end_of(stream)
    assert error.end is End.KEPT


@pytest.mark.parametrize("status", REFUSED_AT_OPEN)
def test_an_open_that_the_service_refuses_holds_the_table(zerobus, status):
    zerobus.fault(fault="refuse_open", status=status)
    with pytest.raises(StreamError) as caught:
        zerobus.open()
    assert caught.value.end is End.HELD


@pytest.mark.parametrize("status", AWAY)
def test_an_open_that_fails_for_another_reason_is_tried_again_soon(zerobus, status):
    zerobus.fault(fault="refuse_open", status=status)
    with pytest.raises(StreamError) as caught:
        zerobus.open()
    assert caught.value.end is End.KEPT


@pytest.mark.parametrize(("status", "end"), [(401, End.HELD), (403, End.HELD), (503, End.KEPT)])
def test_a_token_that_is_not_given_holds_or_keeps(zerobus, status, end):
    zerobus.fault(fault="token_error", status=status)
    with pytest.raises(StreamError) as caught:
        zerobus.open(f"main.iot.fresh_{status}")
    assert caught.value.end is end


def test_a_stream_that_ended_refuses_calls_with_the_cause_of_its_end(zerobus):
    zerobus.fault(fault="poison", column="humidity", equals=2)
    stream = zerobus.open()
    stream.ingest(zerobus.records(2))
    wait_for(stream._cause, "the error", 20, 0.01)
    with pytest.raises(StreamError) as caught:
        stream.ingest(zerobus.records(3))
    assert caught.value.end is End.REFUSED
    stream.close()


def test_the_text_of_an_ack_timeout_is_one_that_the_drain_looks_for(zerobus):
    zerobus.fault(fault="silence")
    stream = zerobus.open(ack_timeout=0.3)
    stream.ingest(zerobus.records(1))
    offsets, error = end_of(stream)
    assert (offsets, error.end) == ([], End.KEPT)
    assert "ack timeout" in error.reason.lower()


# -- acknowledgments -------------------------------------------------------------------------


def test_offsets_count_calls_from_0_and_acknowledgments_come_in_order(zerobus):
    stream = zerobus.open()
    assert [stream.ingest(zerobus.records(n, n, n)) for n in range(20)] == list(range(20))
    offsets = take(stream, 19)
    assert offsets == sorted(set(offsets))
    assert stream.close() == []


def test_a_late_acknowledgment_of_a_closed_stream_reaches_no_other(zerobus):
    zerobus.fault(fault="late_ack", seconds=1.0)
    old = zerobus.open(ack_timeout=0.2)
    old.ingest(zerobus.records(1))
    old.close()
    late = zerobus.open()
    late.ingest(zerobus.records(2))
    began = time.monotonic()
    assert take(late, 0) == [0]
    assert time.monotonic() - began > 0.95
    late.close()


def test_close_gives_the_acknowledgments_that_nobody_took(zerobus):
    stream = zerobus.open()
    for number in range(3):
        stream.ingest(zerobus.records(number))
    wait_for(lambda: len(stream._callback.events) == 3, "three acknowledgments", 20, 0.01)
    assert [ack.offset for ack in stream.close()] == [0, 1, 2]


def test_closing_waits_a_bounded_time_for_a_silent_service(zerobus):
    zerobus.fault(fault="silence")
    stream = zerobus.open(ack_timeout=60.0)
    stream.ingest(zerobus.records(1))
    began = time.monotonic()
    assert stream.close() == []
    assert time.monotonic() - began < 8.0


# -- connections -----------------------------------------------------------------------------


def test_an_open_beyond_the_limit_of_the_server_teaches_the_limit(limited):
    """It times out, while the streams of that connection get acknowledgments."""
    streams = [limited.open() for _ in range(2)]
    over, failed = threading.Event(), []

    def keep_acknowledged():
        while not over.is_set():
            take(streams[0], streams[0].ingest(limited.records(1)))

    busy = threading.Thread(target=keep_acknowledged)
    busy.start()
    try:
        with pytest.raises(StreamError) as caught:
            failed.append(limited.open())
        assert caught.value.end is End.KEPT
        streams.append(limited.open())
    finally:
        over.set()
        busy.join()
    assert take(streams[-1], streams[-1].ingest(limited.records(1))) == [0]
    assert limited.emulator.stats()["connections"]["opened"] == 2
    for stream in streams:
        stream.close()


def test_an_open_that_fails_in_an_outage_teaches_no_limit(zerobus):
    stream = zerobus.open()
    zerobus.fault(fault="refuse_connections")
    with pytest.raises(StreamError) as caught:
        zerobus.open("main.iot.another")
    assert caught.value.end is End.KEPT
    assert caught.value.reason.endswith(": Connection refused")
    assert "source:" not in caught.value.reason
    stream.close()
    zerobus.fault()
    limits = {connection.limit for connection in zerobus.connections._connections}
    assert limits == {50}
