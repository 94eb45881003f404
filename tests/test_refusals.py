"""What can't be delivered: dead letters with their reasons, tables that are held, records that
the service refuses. Nothing of it stops what is good."""

import json
import signal

import pytest
from support.line import ROOT, STATIONS, Line, reading
from support.terminal import run_plain
from support.waiting import wait_for

ONE = "main.iot.station_one"
TWO = "main.iot.station_two"


def state(line, table):
    return line.status().get("tables", {}).get(table, {})


def dead(line):
    return {(row["kind"], row["field"]): row for row in line.dead_letters()}


@pytest.mark.parametrize(
    ("payload", "kind", "field", "word"),
    [
        (b'{"device_name": "d1", "temp": ', "undecodable", "", ""),
        (b'{"device_name": "d\xff1"}', "undecodable", "", "UTF-8"),
        (b'{"device_name": "d1", "temp": "warm"}', "bad_value", "temp", "warm"),
        (b'{"device_name": "d1", "temp": 3000000000}', "out_of_range", "temp", "3000000000"),
        (b'{"device_name": "d1", "temp": 1.5}', "bad_value", "temp", "1.5"),
        (b"[" * 5_000 + b"]" * 5_000, "undecodable", "", ""),
        (b'{"device_name": "' + b"x" * 1_100_000 + b'"}', "too_large", "", "1100019"),
    ],
    ids=["bad JSON", "not UTF-8", "wrong type", "too big", "fraction", "too deep", "too large"],
)
def test_a_bad_message_becomes_a_dead_letter_and_the_next_one_a_record(
    shared_line, payload, kind, field, word
):
    line, number = shared_line, next(NUMBERS)
    before = len(line.dead_letters())
    line.publisher().publish([(-1, "sensors/station_one/d1", payload), reading(number)])
    line.wait_delivered([number])
    (letter,) = line.dead_letters()[before:]
    assert (letter["kind"], letter["field"]) == (kind, field)
    assert (letter["station"], letter["table_name"]) == ("station_one", ONE)
    assert word in letter["reason"]
    assert letter["topic"] == "sensors/station_one/d1"
    assert letter["payload"] == (payload if kind != "too_large" else payload[:4_096])
    line.check_balances()


def test_one_bad_record_of_an_array_costs_only_itself(shared_line):
    line, numbers = shared_line, [next(NUMBERS) for _ in range(2)]
    records = [{"device_name": "d1", "humidity": n} for n in numbers]
    records.insert(1, {"device_name": "d1", "humidity": "x"})
    before = len(line.dead_letters())
    line.publisher().publish([(-1, "sensors/station_one/d1", json.dumps(records).encode())])
    line.wait_delivered(numbers)
    (letter,) = line.dead_letters()[before:]
    assert (letter["kind"], letter["field"], letter["position"]) == ("bad_value", "humidity", 1)
    line.check_balances()


def test_qos_0_is_stored_and_counted_as_unprotected(shared_line):
    line, number = shared_line, next(NUMBERS)
    before = line.counters().get(("", "unprotected"), 0)
    line.publisher(qos=0).publish([reading(number)])
    line.wait_delivered([number])
    assert line.counters()["", "unprotected"] == before + 1


NUMBERS = iter(range(1_000_000, 2_000_000))


@pytest.fixture(scope="module")
def shared_line(tmp_path_factory):
    with Line(tmp_path_factory.mktemp("line")) as line:
        yield line


def test_a_bug_in_a_mapping_costs_one_message(line_folder):
    wrong = ROOT / "tests" / "support" / "wrong.py"
    with Line(line_folder, main=(wrong, "raises")) as line:
        messages = [reading(n) for n in range(100)]
        messages.insert(50, (-1, "sensors/station_one/d1", b'{"device_name": "boom"}'))
        line.publisher().publish(messages)
        line.wait_delivered(range(100))
        (letter,) = line.dead_letters()
        assert letter["kind"] == "internal"
        assert "ZeroDivisionError: a bug in the mapping" in letter["reason"]
        assert line.is_connected()
        line.check_balances()


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ({"fault": "refuse_open", "status": "NOT_FOUND", "table": ONE}, "create the table"),
        ({"fault": "refuse_open", "status": "PERMISSION_DENIED", "table": ONE}, "grant"),
        ({"fault": "refuse_open", "status": "UNAUTHENTICATED", "table": ONE}, "client_id"),
        ({"fault": "refuse_open", "status": "INVALID_ARGUMENT", "table": ONE,
          "message": "schema mismatch"}, "schema.proto"),
    ],
    ids=["unknown table", "permission", "credentials", "schema"],
)  # fmt: skip
def test_a_held_table_keeps_its_records_and_delays_no_other(line_folder, fault, hint):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [fault]})
        publisher = line.publisher()
        publisher.publish([reading(n, "station_one") for n in range(100)])
        wait_for(lambda: state(line, ONE).get("state") == "held", "the table to be held")
        publisher.publish([reading(n, "station_two") for n in range(100, 200)])
        line.wait_delivered(range(100, 200))
        wait_for(lambda: hint in state(line, ONE)["hint"], f"a hint with {hint}")
        assert state(line, ONE)["spooled"] == 100
        assert line.dead_letters() == []
        line.zerobus.faults(None)
        line.wait_delivered(range(200), 60)
        line.wait_drained()
        line.check_balances()


def test_bad_credentials_hold_every_table_and_bury_nothing(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "token_error", "status": 401}]})
        line.publisher().publish([reading(n) for n in range(50)])
        wait_for(lambda: state(line, ONE).get("state") == "held", "the table to be held")
        assert line.dead_letters() == []
        line.zerobus.faults(None)
        line.wait_delivered(range(50), 60)


def poison(*numbers, table=ONE):
    return {
        "faults": [
            {"fault": "poison", "table": table, "column": "humidity", "equals": number}
            for number in numbers
        ]
    }


def test_the_two_refused_records_of_ten_thousand_are_buried_once_others_were_accepted(line_folder):
    refused = {5_000, 9_999}
    with Line(line_folder) as line:
        line.zerobus.faults(poison(*refused))
        publisher = line.publisher()
        publisher.publish([reading(n) for n in range(10_000)])
        good = set(range(10_000)) - refused
        line.wait_delivered(good, 90)
        wait_for(lambda: len(line.dead_letters()) >= 1, "the first to be buried")
        assert {int(row["seq"] > 0) for row in line.dead_letters()} == {1}
        # The last of all waits until another record was accepted.
        publisher.publish([reading(n) for n in range(10_000, 10_010)])
        wait_for(lambda: len(line.dead_letters()) == 2, "both to be buried", 60)
        line.wait_delivered(good | set(range(10_000, 10_010)))
        line.wait_drained()
        assert {row["kind"] for row in line.dead_letters()} == {"refused"}
        assert not refused & set(line.zerobus.ids())
        line.check_balances()
        wait_for(lambda: line.status()["stations"]["station_one"].get("buried:refused") == 2, "it")
        shown = run_plain("status", folder=line_folder).stdout
        assert ["station_one", "10010", "10010", "2"] in [
            row.split()[:4] for row in shown.replace(",", "").splitlines()
        ]


def test_a_restart_in_the_middle_of_the_search_buries_the_same_records(line_folder):
    refused = {1_000, 2_500, 4_999}
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        publisher = line.publisher()
        publisher.publish([reading(n) for n in range(5_000)])
        wait_for(lambda: line.spooled() == 5_000, "all to be spooled")
        line.zerobus.faults(poison(*refused))
        wait_for(lambda: state(line, ONE).get("ends", {}).get("refused"), "the search", 60, 0.02)
        line.daemon.kill()
        line.start_daemon()
        line.wait_delivered(set(range(5_000)) - refused, 90)
        publisher.publish([reading(n) for n in range(5_000, 5_005)])
        wait_for(lambda: len(line.dead_letters()) == 3, "three to be buried", 60)
        line.wait_delivered(set(range(5_005)) - refused)
        line.wait_drained()
        assert not refused & set(line.zerobus.ids())
        line.check_balances()


def test_a_service_that_refuses_every_record_buries_none(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults(
            {"faults": [{"fault": "poison", "table": ONE, "column": "device_name", "equals": "d1"}]}
        )
        publisher = line.publisher()
        publisher.publish([reading(n, device="d1") for n in range(500)])
        wait_for(lambda: state(line, ONE).get("state") == "held", "the table to be held", 60)
        assert "every record is refused" in state(line, ONE)["hint"]
        publisher.publish([reading(n, "station_two") for n in range(500, 600)])
        line.wait_delivered(range(500, 600))
        assert line.dead_letters() == []
        assert state(line, ONE)["spooled"] == 500
        line.daemon.stop()
        line.start_daemon()
        line.zerobus.faults(None)
        line.wait_delivered(range(600), 60)
        line.wait_drained()
        assert line.dead_letters() == []
        line.check_balances()


def test_an_operator_may_bury_what_a_held_table_has_and_nothing_that_comes_later(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults(
            {"faults": [{"fault": "poison", "table": ONE, "column": "device_name", "equals": "d1"}]}
        )
        publisher = line.publisher()
        publisher.publish([reading(n, device="d1") for n in range(60)])
        wait_for(lambda: state(line, ONE).get("state") == "held", "the table to be held", 60)
        publisher.publish([reading(n, device="d2") for n in range(60, 80)])
        wait_for(lambda: line.spooled() == 80, "all to be spooled")
        asked = run_plain("dead", "bury", ONE, "--dry-run", folder=line_folder)
        assert f"80 records of {ONE} wait; it is held: " in asked.stdout
        done = run_plain("dead", "bury", ONE, "--yes", folder=line_folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"60 records of {ONE} were buried, 20 delivered\n"
        assert {row["kind"] for row in line.dead_letters()} == {"refused"}
        assert len(line.dead_letters()) == 60
        publisher.publish([reading(n, device="d1") for n in range(80, 140)])
        wait_for(lambda: state(line, ONE).get("state") == "held", "the table to be held again", 60)
        assert len(line.dead_letters()) == 60
        line.check_balances()
        line.zerobus.faults(None)
        back = run_plain("dead", "replay", "--all", folder=line_folder)
        assert back.returncode == 0, back.stderr
        line.wait_delivered(range(140), 60)
        line.check_balances()


def test_a_wrong_acknowledgment_buries_nothing(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "wrong_ack", "ahead": 1_000_000, "count": 3}]})
        line.publisher().publish([reading(n) for n in range(3_000)])
        line.wait_delivered(range(3_000), 60)
        line.wait_drained(60)
        assert line.dead_letters() == []
        line.check_balances()


def test_a_silent_service_is_left_after_the_ack_timeout_and_nothing_is_lost(line_folder):
    with Line(line_folder, zerobus={"ack_timeout": "2s"}) as line:
        line.zerobus.faults({"faults": [{"fault": "silence", "for_seconds": 4}]})
        line.publisher().publish([reading(n) for n in range(2_000)])
        line.wait_delivered(range(2_000), 60)
        line.wait_drained(60)
        line.check_balances()


def test_a_rotation_sends_nothing_twice(line_folder):
    with Line(line_folder, zerobus={"rotate_after": "2s"}) as line:
        line.publisher().publish([reading(n) for n in range(6_000)], rate=1_000)
        line.wait_delivered(range(6_000))
        line.wait_drained()
        assert len(line.zerobus.ids()) == 6_000
        assert state(line, ONE)["streams_opened"] >= 3


def test_records_of_a_table_that_left_the_configuration_still_drain(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        line.publisher().publish([reading(n, "station_two") for n in range(100)])
        wait_for(lambda: line.spooled() == 100, "all to be spooled")
        line.daemon.stop()
        del line.stations["station_two"]
        line.write_config()
        line.zerobus.faults(None)
        line.start_daemon()
        line.wait_delivered(range(100), 60)


def test_batches_of_a_refused_older_schema_are_encoded_anew(line_folder):
    with Line(line_folder, stations={"station_two": STATIONS["station_two"]}) as line:
        line.zerobus.faults(
            {"faults": [{"fault": "refuse_open", "status": "INVALID_ARGUMENT", "table": TWO}]}
        )
        line.publisher().publish([reading(n, "station_two") for n in range(100)])
        wait_for(lambda: state(line, TWO).get("state") == "held", "the table to be held")
        line.daemon.stop()
        folder = line.folder / "own"
        (line.folder / "tables").unlink()
        folder.mkdir()
        folder.rename(line.folder / "tables")
        (line.folder / "tables" / "station_two").mkdir()
        text = (ROOT / "tables" / "station_two" / "schema.proto").read_text()
        changed = text.rstrip().removesuffix("}") + "  optional string note = 5;\n}\n"
        (line.folder / "tables" / "station_two" / "schema.proto").write_text(changed)
        line.start_daemon()
        wait_for(lambda: "encoded anew" in line.daemon.tail(), "batches to be encoded anew", 60)
        line.zerobus.faults(None)
        line.wait_delivered(range(100), 60)
        assert all(row.get("note") is None for row in line.zerobus.rows(TWO))
        line.check_balances()


def test_a_second_collector_on_the_same_spool_waits_and_says_who_holds_it(line_folder):
    with Line(line_folder) as line:
        first = line.daemon.process
        line.daemon.start()
        second = line.daemon.process
        wait_for(lambda: f"process {first.pid} owns the spool" in line.daemon.tail(), "the warning")
        assert second.wait(60) == 75
        line.daemon.process = first


def test_a_second_signal_ends_at_once(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "silence"}]})
        line.publisher().publish([reading(n) for n in range(10)])
        wait_for(lambda: state(line, ONE).get("in_flight_bytes"), "records in flight")
        process = line.daemon.process
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in line.daemon.tail(), "the stop to begin")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
        line.daemon.process = None
