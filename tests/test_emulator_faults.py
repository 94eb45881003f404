"""The fault plan: each fault does to the real SDK what the service, or the network, would do.

Every test sets the fault it is about, and most lift it again and see that all is well.
"""

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.waiting import wait_for
from support.zerobus_client import (
    INVALID,
    TABLE,
    Acks,
    close,
    encoded,
    open_stream,
    send,
    stream,
)
from zerobus.sdk.shared import NonRetriableException, ZerobusException

from collector.emulator import Emulator, EmulatorOptions, PlanError


@pytest.fixture
def emulator(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", ack_delay=0.05)) as one:
        yield one


def plan(emulator, fault, **more):
    emulator.set_faults({"faults": [{"fault": fault, **more}]})


def hits(emulator):
    return emulator.faults()["faults"][0]["hits"]


def seen(emulator):
    return emulator.stats()["tables"][TABLE]


def test_a_refused_open_has_the_status_of_the_plan_for_its_table_only(emulator):
    plan(emulator, "refuse_open", status="PERMISSION_DENIED", table=TABLE)
    with pytest.raises(NonRetriableException, match="Refused by the fault plan"):
        open_stream(emulator)
    send(emulator, [1], table="main.iot.other")


def test_a_counted_fault_ends_by_itself(emulator):
    plan(emulator, "refuse_open", status="UNAVAILABLE", count=2)
    for _ in range(2):
        with pytest.raises(ZerobusException, match="Refused"):
            open_stream(emulator)
    send(emulator, [1])
    assert hits(emulator) == 2
    assert emulator.faults()["faults"][0]["live"] is False


def test_a_fault_with_a_time_ends_by_itself(emulator):
    plan(emulator, "refuse_open", status="UNAVAILABLE", for_seconds=0.2)
    with pytest.raises(ZerobusException, match="Refused"):
        open_stream(emulator)
    wait_for(lambda: not emulator.faults()["faults"][0]["live"], "the end of the fault")
    send(emulator, [1])


def test_an_abort_mid_stream_loses_acks_that_recovery_makes_good_with_duplicates(emulator):
    plan(emulator, "abort", after=6, count=1)
    acks = Acks()
    with stream(emulator, recovery=True, recovery_retries=3, ack_callback=acks) as one:
        for number in range(10):
            one.ingest_record_offset(encoded([number])[0])
        one.flush()
        wait_for(lambda: len(acks.offsets) == 10, "all callbacks")
    wait_for(lambda: seen(emulator)["records"] == 16, "what was taken before the abort")
    assert acks.offsets == list(range(10))
    assert seen(emulator)["distinct"] == 10
    assert seen(emulator)["duplicates"] == 6
    assert seen(emulator)["ended"] == {"UNAVAILABLE": 1, "OK": 1}


def test_an_abort_without_recovery_ends_the_stream_with_what_is_unacknowledged(emulator):
    plan(emulator, "abort", after=1, status="RESOURCE_EXHAUSTED")
    one = open_stream(emulator)
    one.ingest_record_offset(encoded([1])[0])
    with pytest.raises(ZerobusException) as caught:
        one.flush()
    assert not isinstance(caught.value, NonRetriableException)
    assert len(list(one.get_unacked_records())) == 1
    close(one)


def test_a_poisoned_value_ends_the_stream_with_invalid_argument(emulator):
    plan(emulator, "poison", column="temp", equals=99)
    with stream(emulator) as one:
        one.ingest_records_offset(encoded(range(5)))
        one.flush()
        one.ingest_records_offset([*encoded([5]), *encoded([6], temp=99), *encoded([7])])
        with pytest.raises(NonRetriableException, match=INVALID):
            one.flush()
    assert seen(emulator)["records"] == 5
    assert hits(emulator) == 1


def test_silence_is_an_ack_timeout_without_recovery(emulator):
    plan(emulator, "silence")
    acks = Acks()
    one = open_stream(emulator, server_lack_of_ack_timeout_ms=500, ack_callback=acks)
    one.ingest_record_offset(encoded([1])[0])
    with pytest.raises(ZerobusException, match="Server ack timeout"):
        one.flush()
    assert acks.offsets == []
    close(one)


def test_acks_that_were_held_back_come_when_silence_is_lifted(emulator):
    plan(emulator, "silence", table=TABLE)
    with stream(emulator) as one:
        one.ingest_record_offset(encoded([1])[0])
        wait_for(lambda: seen(emulator)["records"] == 1, "the commit")
        assert seen(emulator)["acknowledged"] == 0
        emulator.set_faults({})
        one.flush()


def test_late_acks_are_late_by_so_many_seconds(emulator):
    plan(emulator, "late_ack", seconds=0.6)
    with stream(emulator) as one:
        sent = time.monotonic()
        one.ingest_record_offset(encoded([1])[0])
        one.flush()
        assert time.monotonic() - sent > 0.6


def test_duplicate_acks_are_harmless_to_the_sdk(emulator):
    plan(emulator, "duplicate_ack")
    acks = Acks()
    with stream(emulator, ack_callback=acks) as one:
        for number in range(3):
            one.ingest_record_offset(encoded([number])[0])
            one.flush()
    assert acks.offsets == [0, 1, 2]
    assert hits(emulator) >= 2


def test_a_wrong_ack_looks_like_a_refusal_to_the_sdk(emulator):
    plan(emulator, "wrong_ack", ahead=1, count=1)
    with stream(emulator) as one:
        one.ingest_record_offset(encoded([1])[0])
        with pytest.raises(NonRetriableException, match="Invalid argument: Invalid durability"):
            one.flush()


def test_a_close_signal_makes_recovery_reconnect_without_a_loss(emulator):
    plan(emulator, "close_signal", after=2, seconds=0.3, count=1)
    with stream(emulator, recovery=True, recovery_retries=3) as one:
        for number in range(8):
            one.ingest_record_offset(encoded([number])[0])
        wait_for(lambda: seen(emulator)["streams_opened"] == 2, "the reconnect")
        one.ingest_record_offset(encoded([8])[0])
        one.flush()
    assert seen(emulator)["distinct"] == 9


def test_without_recovery_the_stream_ends_when_the_signals_time_is_over(emulator):
    plan(emulator, "close_signal", after=1, seconds=0.3)
    with stream(emulator) as one:
        one.ingest_record_offset(encoded([1])[0])
        one.flush()
        wait_for(lambda: seen(emulator)["ended"] == {"UNAVAILABLE": 1}, "the end of the stream")
        with pytest.raises(ZerobusException):
            wait_for(lambda: one.ingest_record_offset(encoded([2])[0]) is None, "the SDK to see it")


def test_a_stream_past_its_age_ends_with_the_services_status(emulator):
    acks = Acks()
    one = open_stream(emulator, ack_callback=acks)
    plan(emulator, "silence")
    one.ingest_record_offset(encoded([1])[0])
    emulator.set_faults({"faults": [{"fault": "silence"}, {"fault": "max_age", "seconds": 0.2}]})
    with pytest.raises(ZerobusException, match="6002"):
        one.flush()
    close(one)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, NonRetriableException), (429, NonRetriableException)]
)
def test_token_errors_of_the_client_are_final(emulator, status, kind):
    plan(emulator, "token_error", status=status, count=1)
    with pytest.raises(kind, match=str(status)):
        open_stream(emulator)
    send(emulator, [1])


def test_token_errors_of_the_server_may_be_tried_again(emulator):
    plan(emulator, "token_error", status=500, count=1)
    with pytest.raises(ZerobusException) as caught:
        open_stream(emulator)
    assert not isinstance(caught.value, NonRetriableException)
    send(emulator, [1])


def test_a_slow_token_delays_the_open(emulator):
    plan(emulator, "token_slow", seconds=0.5)
    started = time.monotonic()
    send(emulator, [1])
    assert time.monotonic() - started > 0.5


def test_a_token_that_expires_soon_is_asked_for_again(emulator):
    plan(emulator, "token_expiry", seconds=0.9)
    for number in range(2):
        send(emulator, [number])
    assert emulator.stats()["tokens_issued"] == 2


def test_refused_connections_drop_what_is_open_and_come_back(emulator):
    acks = Acks()
    with stream(emulator, recovery=True, recovery_retries=100, ack_callback=acks) as one:
        one.ingest_record_offset(encoded([0])[0])
        one.flush()
        plan(emulator, "refuse_connections")
        wait_for(lambda: emulator.stats()["connections"]["open"] == 0, "the drop")
        with pytest.raises(ZerobusException):
            open_stream(emulator)
        for number in range(1, 5):
            one.ingest_record_offset(encoded([number])[0])
        emulator.set_faults({})
        one.flush()
    assert seen(emulator)["distinct"] == 5
    wait_for(lambda: len(acks.offsets) == 5, "all callbacks")


def test_refused_connections_may_end_by_time(emulator):
    send(emulator, [1])
    plan(emulator, "refuse_connections", for_seconds=0.3)
    with pytest.raises(ZerobusException):
        open_stream(emulator)
    wait_for(lambda: not emulator.faults()["faults"][0]["live"], "the end of the outage")
    send(emulator, [2], recovery_retries=20)
    assert seen(emulator)["records"] == 2


def test_a_slow_link_carries_so_many_bytes_a_second(emulator):
    size, pace = 60_000, 40_000
    with stream(emulator) as one:
        one.ingest_record_offset(encoded([1], device="x" * size)[0])
        one.flush()
        plan(emulator, "slow_link", bytes_per_second=pace)
        started = time.monotonic()
        one.ingest_record_offset(encoded([2], device="x" * size)[0])
        one.flush()
        slow = time.monotonic() - started
        assert size / pace * 0.9 < slow < size / pace * 3
        emulator.set_faults({})
        one.ingest_record_offset(encoded([3], device="x" * size)[0])
        one.flush()
    assert seen(emulator)["distinct"] == 3


def http(emulator, method, body=None):
    request = urllib.request.Request(
        emulator.workspace_url + "/faults", method=method, data=body and body.encode()
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def test_the_plan_is_put_shown_and_deleted_over_http(emulator):
    fault = {"fault": "poison", "column": "temp", "equals": 99, "count": 3}
    shown = {**fault, "hits": 0, "live": True}
    assert http(emulator, "PUT", json.dumps({"faults": [fault]})) == {"faults": [shown]}
    assert http(emulator, "GET") == {"faults": [shown]}
    assert http(emulator, "DELETE") == {"faults": []}


def test_a_bad_plan_over_http_is_answered_with_400_and_changes_nothing(emulator):
    plan(emulator, "silence")
    for body in ("{", '{"faults": [{"fault": "silent"}]}'):
        with pytest.raises(urllib.error.HTTPError) as caught:
            http(emulator, "PUT", body)
        assert caught.value.code == 400
        caught.value.close()
    assert http(emulator, "GET")["faults"][0]["fault"] == "silence"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"fault": "silense"}, "did you mean 'silence'"),
        ({"fault": "abort"}, "abort needs after"),
        ({"fault": "abort", "after": 0}, "at least 1"),
        ({"fault": "abort", "afer": 1}, "did you mean 'after'"),
        ({"fault": "abort", "after": True}, "not int"),
        ({"fault": "refuse_open", "status": "UNAVAILBLE"}, "did you mean 'UNAVAILABLE'"),
        ({"fault": "token_error", "status": 500, "table": TABLE}, "no key of token_error"),
        ({"fault": "silence", "count": 3}, "no key of silence"),
        ("silence", "no object"),
    ],
)
def test_a_mistake_in_a_plan_is_named_with_its_place(fault, words):
    with pytest.raises(PlanError, match=r"faults\[1\]: .*" + words.replace("'", ".")):
        Emulator(EmulatorOptions(count_only=True, faults={"faults": [{"fault": "silence"}, fault]}))


def test_every_fault_has_an_example_in_the_documents_that_is_a_plan():
    from collector.emulator.faults import KINDS, parse_plan

    text = (Path(__file__).parents[1] / "docs" / "emulator.md").read_text()
    examples = [json.loads(one) for one in re.findall(r'`(\{"fault".*?\})`', text)]
    assert {fault.kind for fault in parse_plan({"faults": examples})} == set(KINDS)
