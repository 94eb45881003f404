"""The emulator's wire contract, as the real SDK meets it over gRPC on loopback."""

import hashlib
import json
import socket
import time
import urllib.error
import urllib.request

import pytest
from deltalake import DeltaTable
from support.waiting import wait_for
from support.zerobus_client import (
    INT,
    INVALID,
    LONG,
    OPTIONAL,
    REQUIRED,
    TABLE,
    TEXT,
    Acks,
    encoded,
    message,
    open_stream,
    send,
    stream,
)
from zerobus.sdk.shared import NonRetriableException, ZerobusException
from zerobus.sdk.sync import ZerobusSdk

from collector.emulator import Emulator, EmulatorOptions, OptionsError
from collector.errors import CollectorError


@pytest.fixture
def emulator(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", log=tmp_path / "log")) as one:
        yield one


def rows(tmp_path, table=TABLE):
    return DeltaTable(str(tmp_path.joinpath("lake", *table.split(".")))).to_pyarrow_table()


def test_single_records_and_batches_lie_in_the_delta_table_once_they_are_acked(tmp_path, emulator):
    with stream(emulator) as one:
        assert one.ingest_record_offset(encoded([0])[0]) == 0
        assert one.ingest_records_offset(encoded(range(1, 6))) == 1
        one.wait_for_offset(1)
        assert sorted(rows(tmp_path)["seq"].to_pylist()) == list(range(6))
    table = emulator.stats()["tables"][TABLE]
    assert (table["records"], table["acknowledged"], table["messages"]) == (6, 6, 2)


def test_a_client_that_speaks_at_once_is_answered(emulator):
    # As gRPC clients do, before the emulator has a connection to its server behind the link.
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4" + bytes(5)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", emulator.grpc_port), 30) as client:
            client.sendall(preface)
            assert client.recv(9)[3] == 4, "the first frame is the server's settings"


def test_acks_come_in_order_one_for_each_message_and_not_before_their_delay(emulator):
    acks = Acks()
    with stream(emulator, ack_callback=acks) as one:
        for number in range(300):
            one.ingest_record_offset(encoded([number])[0])
        one.flush()
    wait_for(lambda: len(acks.offsets) == 300, "all callbacks")
    assert acks.offsets == list(range(300))
    assert not acks.errors


def test_an_ack_takes_about_as_long_as_the_services(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", ack_delay=0.4)) as emulator:
        acks = Acks()
        with stream(emulator, ack_callback=acks) as one:
            sent = time.monotonic()
            one.ingest_record_offset(encoded([0])[0])
            one.flush()
            wait_for(lambda: acks.times, "the callback")
            assert 0.35 < acks.times[0] - sent < 3


def test_records_of_one_stream_keep_their_order_in_the_log(tmp_path, emulator):
    with stream(emulator) as one:
        for start in range(0, 500, 50):
            one.ingest_records_offset(encoded(range(start, start + 50)))
        one.flush()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["row"]["seq"] for line in lines] == list(range(500))
    assert {line["table"] for line in lines} == {TABLE}


def test_the_log_has_the_hash_of_the_records_bytes(tmp_path, emulator):
    send(emulator, [7])
    entry = json.loads((tmp_path / "log").read_text())
    assert entry["sha"] == hashlib.sha256(encoded([7])[0]).hexdigest()
    assert entry["row"] == {"device": "d", "temp": 20, "gateway": "gw", "seq": 7}


def test_stats_count_distinct_records_and_duplicates_also_after_a_restart(tmp_path):
    options = EmulatorOptions(lake=tmp_path / "lake")
    with Emulator(options) as emulator:
        send(emulator, range(10))
        send(emulator, range(5, 12))
        before = emulator.stats()["tables"][TABLE]
    assert (before["records"], before["distinct"], before["duplicates"]) == (17, 12, 5)
    assert before["streams_opened"] == 2
    with Emulator(options) as emulator:
        after = emulator.stats()["tables"][TABLE]
        assert (after["records"], after["distinct"], after["duplicates"]) == (17, 12, 5)
        assert (after["streams_opened"], after["taken"]) == (0, 0)
        send(emulator, [0])
        assert emulator.stats()["tables"][TABLE]["duplicates"] == 6


def test_a_record_without_a_required_column_ends_the_stream_as_invalid(tmp_path, emulator):
    send(emulator, [1])
    loose, row = message(("device", TEXT, OPTIONAL), ("seq", LONG, OPTIONAL))
    with stream(emulator, descriptor=loose) as one:
        one.ingest_record_offset(row(device="d", seq=2).SerializeToString())
        one.flush()
        one.ingest_record_offset(row(seq=3).SerializeToString())
        with pytest.raises(NonRetriableException, match=INVALID + ".*device"):
            one.flush()
    assert sorted(rows(tmp_path)["seq"].to_pylist()) == [1, 2]


@pytest.mark.parametrize("bad", [b"\xff\xff", b"\x0a\x02\xff\xff\x20\x01"])
def test_a_record_that_cannot_be_decoded_ends_the_stream_as_invalid(emulator, bad):
    with stream(emulator) as one:
        one.ingest_records_offset([*encoded([1]), bad])
        with pytest.raises(NonRetriableException, match=INVALID):
            one.flush()
    assert emulator.stats()["tables"][TABLE]["records"] == 0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([("device", TEXT, REQUIRED), ("color", TEXT, OPTIONAL)], "unknown column color"),
        ([("device", TEXT, REQUIRED), ("temp", LONG, OPTIONAL)], "temp: type int64"),
        ([("temp", INT, OPTIONAL)], "NOT NULL column device"),
    ],
)
def test_a_descriptor_that_does_not_fit_the_table_is_refused_at_open(emulator, fields, why):
    send(emulator, [1])
    with pytest.raises(NonRetriableException, match=why):
        open_stream(emulator, descriptor=message(*fields)[0])


def test_a_descriptor_with_fewer_nullable_columns_fits(tmp_path, emulator):
    send(emulator, [1])
    descriptor, row = message(("device", TEXT, REQUIRED))
    with stream(emulator, descriptor=descriptor) as one:
        one.ingest_record_offset(row(device="new").SerializeToString())
        one.flush()
    assert {"device": "new", "temp": None, "gateway": None, "seq": None} in rows(
        tmp_path
    ).to_pylist()


def test_a_type_that_the_service_does_not_take_is_refused_at_open(emulator):
    uint32 = 13
    with pytest.raises(NonRetriableException, match="uint32 is not supported"):
        open_stream(emulator, descriptor=message(("n", uint32, OPTIONAL))[0])


def test_past_the_limit_of_a_connection_an_open_hangs_until_the_client_gives_up(tmp_path):
    limited = EmulatorOptions(lake=tmp_path / "lake", streams_per_connection=2)
    with Emulator(limited) as emulator:
        sdk = ZerobusSdk(emulator.endpoint, emulator.workspace_url, connection_per_stream=False)
        with stream(emulator, sdk=sdk), stream(emulator, sdk=sdk) as second:
            with pytest.raises(ZerobusException, match="timed out"):
                open_stream(emulator, sdk=sdk, recovery_timeout_ms=500)
            second.ingest_record_offset(encoded([1])[0])
            second.flush()
            assert emulator.stats()["connections"] == {"open": 1, "opened": 1}
            assert emulator.stats()["totals"]["open_streams"] == 2
        with stream(emulator, sdk=sdk) as third:
            third.ingest_record_offset(encoded([2])[0])
            third.flush()


def test_count_only_counts_and_acknowledges_whatever_it_gets(tmp_path):
    with Emulator(EmulatorOptions(count_only=True, ack_delay=0)) as emulator:
        with stream(emulator) as one:
            one.ingest_records_offset(encoded(range(1_000)))
            one.ingest_record_offset(b"\xff no protobuf")
            one.flush()
        table = emulator.stats()["tables"][TABLE]
    assert (table["records"], table["acknowledged"], table["messages"]) == (1_001, 1_001, 2)
    assert table["distinct"] is None
    assert not list(tmp_path.iterdir())


def test_with_credentials_set_only_those_get_a_token(tmp_path):
    checked = {"client_id": "client", "client_secret": "secret"}
    with Emulator(EmulatorOptions(lake=tmp_path / "right", **checked)) as emulator:
        send(emulator, [1])
    checked["client_secret"] = "other"
    with Emulator(EmulatorOptions(lake=tmp_path / "wrong", **checked)) as emulator:
        with pytest.raises(NonRetriableException, match="401"):
            open_stream(emulator)
        assert "other" not in repr(emulator)


def test_an_expired_token_is_unauthenticated(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake")) as emulator:
        emulator.set_faults({"faults": [{"fault": "token_expiry", "seconds": 0}]})
        with pytest.raises(NonRetriableException, match=r"expired token"):
            open_stream(emulator)
        emulator.set_faults({})
        send(emulator, [1])


def test_a_token_outlives_a_restart(tmp_path):
    options = EmulatorOptions(lake=tmp_path / "lake")
    with Emulator(options) as emulator:
        sdk = ZerobusSdk(emulator.endpoint, emulator.workspace_url)
        send(emulator, [1], sdk=sdk)
        ports = {
            "grpc": f"127.0.0.1:{emulator.grpc_port}",
            "http": f"127.0.0.1:{emulator.http_port}",
        }
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", **ports)) as emulator:
        send(emulator, [2], sdk=sdk)
        assert emulator.stats()["tokens_issued"] == 0


def test_a_port_that_is_taken_is_said_so(tmp_path, emulator):
    taken = EmulatorOptions(lake=tmp_path / "b", grpc=f"127.0.0.1:{emulator.grpc_port}")
    with pytest.raises(CollectorError, match="can't listen"):
        Emulator(taken).start()


def test_the_http_side_answers_mistakes_with_a_status(emulator):
    for path, wanted in (("/nothing", 404), (f"/api/2.1/unity-catalog/tables/{TABLE}", 401)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(emulator.workspace_url + path, timeout=5)
        caught.value.close()
        assert caught.value.code == wanted


def test_stats_are_json_over_http(emulator):
    send(emulator, [1])
    with urllib.request.urlopen(emulator.workspace_url + "/stats", timeout=5) as answer:
        assert json.load(answer)["totals"]["records"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"count_only": True, "log": "log"},
        {"count_only": True, "cert": "cert"},
        {"count_only": True, "client_id": "alone"},
        {"count_only": True, "grpc": "nowhere"},
    ],
)
def test_options_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(OptionsError):
        EmulatorOptions(**wrong)


def test_the_largest_call_of_the_sdk_passes(emulator):
    largest = 10_420_224
    one = encoded([1], device="x" * 5_000_000)[0]
    with stream(emulator) as opened:
        opened.ingest_records_offset([one, encoded([2], device="x" * (largest - len(one) - 20))[0]])
        opened.flush()
    assert emulator.stats()["totals"]["records"] == 2
