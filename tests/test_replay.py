"""Dead letters, tried again: alone and by the daemon, in part, in another schema, and interrupted.

Goal: what is replayed is there once, what still fails stays with its new reason, and both hold
wherever a replay is interrupted. Method: a real spool whose letters came of real payloads; the
configuration is mended on the disk between the failure and the replay.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest
import yaml
from support.filled import ONE, TWO, make_box
from support.line import ROOT, STATIONS, Line, reading
from support.terminal import ENVIRONMENT, run_plain
from support.waiting import wait_for

from collector.config import load
from collector.intake.group import Pending
from collector.intake.records import StationRecords
from collector.model import Message
from collector.plan import plan
from collector.spool import Limits, Spool, SpoolReader

LINE_OF_TEMP = "  optional int32 temp = 2;\n"


def spool_path(box):
    return box / "state" / "spool.db"


def arrive(box, *messages, received_us=1_795_348_800_000_000):
    """Take messages as the intake does: records and dead letters in one commit."""
    compiled = plan(load(box / "stations.yaml", {}))
    spool = Spool(spool_path(box), Limits.of(compiled.config))
    with closing(spool):
        for schema in compiled.schemas.values():
            spool.add_schema(schema.fingerprint, schema.stored)
        stations = [
            StationRecords(mapping, station.table, spool)
            for station, mapping in zip(compiled.config.stations, compiled.mappings, strict=True)
        ]
        pending = Pending(stations, compiled.config.mqtt.message_max_bytes)
        for message in messages:
            pending.received_us = received_us
            resolution = compiled.router.resolve(message.topic, ())
            pending.add(message, resolution, received_us)
            pending.messages += 1
        spool.append(pending.group())


def message(payload, topic=b"sensors/station_one/d1", **flags):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic, text, **flags)


def mend(box, old, new, name="stations.yaml"):
    file = box / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def replay(box, *arguments, code=0):
    done = run_plain("dead", "replay", "--json", *arguments, folder=box)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def rows(box, table=ONE):
    done = run_plain("spool", "list", table, "--json", "-n", "10000", folder=box)
    return [json.loads(line) for line in done.stdout.splitlines()]


def letters(box):
    done = run_plain("dead", "list", "--json", "-n", "10000", folder=box)
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_balance(box):
    assert run_plain("spool", "verify", folder=box).returncode == 0
    assert run_plain("spool", "stats", folder=box).returncode == 0


@pytest.fixture
def box(tmp_path):
    return make_box(tmp_path)


HOT = {"device_name": "a", "temp": "hot"}
AS_TEXT = LINE_OF_TEMP.replace("int32", "string")


def test_a_message_is_replayed_with_the_schema_as_it_is_now(box):
    arrive(box, message(HOT), message({"device_name": "b", "temp": 1}))
    assert replay(box, "--all", code=1)["failing"] == {"bad_value": 1}
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    done = replay(box, "--all")
    assert (done["letters"], done["replayed"], done["records"]) == (1, 1, 1)
    assert [row["row"]["device_name"] for row in rows(box)] == ["b", "a"]
    assert rows(box)[-1]["row"]["temp"] == "hot"
    assert letters(box) == []
    counters = SpoolReader(spool_path(box)).counters()
    assert counters[f"table:{ONE}", "replayed"] == 1
    assert (counters["", "dead"], counters["", "dead_replayed"]) == (0, 1)
    check_balance(box)


def test_a_dry_run_says_the_same_and_changes_nothing(box):
    arrive(box, message(HOT))
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    before = letters(box)
    done = replay(box, "--all", "--dry-run")
    assert (done["replayed"], done["records"], done["dry_run"]) == (1, 1, True)
    assert letters(box) == before
    assert rows(box) == []


def test_of_a_message_with_many_records_only_those_that_failed_are_made(box):
    many = [{"device_name": f"n{n}", "temp": "hot" if n % 3 == 0 else n} for n in range(300)]
    arrive(box, message(many))
    assert len(rows(box)) == 200
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    done = replay(box, "--all")
    assert (done["replayed"], done["records"]) == (100, 100)
    names = [row["row"]["device_name"] for row in rows(box)]
    assert sorted(names) == sorted(f"n{n}" for n in range(300))
    check_balance(box)


def test_the_rest_of_a_hundred_faults_is_replayed_as_well(box):
    many = [{"device_name": f"n{n}", "temp": "hot"} for n in range(250)]
    arrive(box, message(many))
    assert len(letters(box)) == 100
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    done = replay(box, "--all")
    assert (done["replayed"], done["records"]) == (100, 250)
    assert {row["row"]["device_name"] for row in rows(box)} == {f"n{n}" for n in range(250)}
    check_balance(box)


def set_up(box, limit, **columns):
    """One key that fills two columns makes records that are larger than their message."""
    document = yaml.safe_load((ROOT / "stations.yaml").read_text())
    document["mqtt"]["message_max_bytes"] = limit
    filled = {"device_name": "name", "description": "name", **columns}
    document["stations"]["station_two"]["columns"] = filled
    (box / "stations.yaml").write_text(yaml.safe_dump(document))


def names(box):
    return [row["row"]["device_name"][:5] for row in rows(box, TWO)]


def test_of_a_message_whose_second_record_was_too_large_the_first_is_not_made_again(box):
    set_up(box, "1KiB")
    topic = b"sensors/station_two/d1"
    arrive(box, message([{"name": "small"}, {"name": "L" * 700}, {"name": "third"}], topic))
    assert names(box) == ["small", "third"]
    for _ in range(2):
        done = replay(box, "--all", code=1)
        assert (done["replayed"], done["records"]) == (0, 0)
        assert [(one["kind"], one["position"]) for one in letters(box)] == [("too_large", 1)]
    set_up(box, "1MiB")
    assert replay(box, "--all")["records"] == 1
    assert names(box) == ["small", "third", "LLLLL"]
    check_balance(box)


def test_a_record_that_was_too_large_beside_one_that_was_wrong_is_not_lost(box):
    set_up(box, "1KiB", temp="temp")
    wrong = [{"name": "first", "temp": "hot"}, {"name": "L" * 700, "temp": 1}]
    arrive(box, message(wrong, b"sensors/station_two/d1"))
    assert len(letters(box)) == 2
    replay(box, "--all", code=1)
    set_up(box, "1KiB")
    assert replay(box, "--all", code=1)["records"] == 1
    set_up(box, "1MiB")
    replay(box, "--all")
    assert sorted(names(box)) == ["LLLLL", "first"]
    assert letters(box) == []
    check_balance(box)


def test_what_still_fails_in_part_stays_for_the_part_that_fails(box):
    arrive(box, message(b"[{]"), message([HOT, {"device_name": "b", "humidity": "wet"}]))
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    done = replay(box, "--all", code=1)
    assert done["failing"] == {"undecodable": 1, "bad_value": 1}
    assert [row["row"]["device_name"] for row in rows(box)] == ["a"]
    left = {one["kind"]: one for one in letters(box)}
    assert left["bad_value"]["position"] == 1
    assert left["bad_value"]["field"] == "humidity"


def test_what_the_message_was_received_with_stays_as_it_was(box):
    station = "  station_one:\n"
    columns = (
        "    columns: {device_name: device_name, temp: temp, at: $received, kept: $retained}\n"
    )
    mend(box, station, station + columns)
    proto = "tables/station_one/schema.proto"
    more = "  optional int64 at = 4; // delta: TIMESTAMP\n  optional bool kept = 5;\n}"
    mend(box, "}", more, proto)
    arrive(box, message(HOT, retain=True))
    mend(box, "optional int32 temp", "optional string temp", proto)
    replay(box, "--all")
    (row,) = rows(box)
    assert row["row"]["at"] == "2026-11-22T12:00:00+00:00"
    assert row["row"]["kept"] is True
    # The age of the record starts anew: an operator has just asked for it.
    assert time.time() - row["received_us"] / 1e6 < 600


def test_a_letter_of_a_station_that_is_gone_stays_until_another_is_named(box):
    arrive(box, message(HOT))
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    mend(box, "  station_one:\n", "  first:\n    schema: station_one\n")
    done = replay(box, "--all")
    assert (done["replayed"], sum(done["skipped"].values())) == (0, 1)
    assert "no station station_one: --as names another" in next(iter(done["skipped"]))
    assert replay(box, "--all", "--as", "first")["records"] == 1


def test_a_topic_that_the_station_does_not_take_any_more_stays(box):
    arrive(box, message(HOT))
    mend(box, "topic: sensors/station_one/+", "topic: other/+")
    done = replay(box, "--all")
    assert list(done["skipped"]) == ["the filters of station_one do not take its topic any more"]
    assert len(letters(box)) == 1


def test_half_a_message_and_one_without_a_station_stay(box):
    too_large = message(b"{", oversize=1 << 21)
    arrive(box, too_large, message(HOT, topic=b"sensors/station_one/d2"))
    done = replay(box, "--reason", "too_large")
    assert list(done["skipped"]) == ["only the beginning of its message is kept"]
    assert (done["letters"], len(letters(box))) == (1, 2)


def bury_all(box):
    """Let the waiting records of the first table expire, as the ages do."""
    config = load(box / "stations.yaml", {})
    with closing(Spool(spool_path(box), Limits.of(config))) as spool:
        spool.tick()


def test_a_record_goes_back_under_its_number_and_in_the_schema_of_today(box):
    arrive(box, *(message({"device_name": f"n{n}", "temp": n}) for n in range(5)))
    numbers = [row["seq"] for row in rows(box)]
    mend(box, "  station_one:\n", "  station_one:\n    max_age: 1s\n")
    bury_all(box)
    assert rows(box) == []
    assert {one["kind"] for one in letters(box)} == {"expired"}
    mend(box, "    max_age: 1s\n", "")
    mend(box, "}", "  optional string more = 4;\n}", "tables/station_one/schema.proto")
    done = replay(box, "--all")
    assert (done["replayed"], done["records"]) == (5, 5)
    assert [row["seq"] for row in rows(box)] == numbers
    assert [row["row"]["more"] for row in rows(box)] == [None] * 5
    check_balance(box)


def test_a_record_that_does_not_fit_the_schema_of_today_stays_with_its_reason(box):
    arrive(box, message({"device_name": "n", "temp": 1}))
    mend(box, "  station_one:\n", "  station_one:\n    max_age: 1s\n")
    bury_all(box)
    mend(box, LINE_OF_TEMP, "  optional int32 warmth = 2;\n", "tables/station_one/schema.proto")
    assert replay(box, "--all", code=1)["failing"] == {"schema": 1}
    (left,) = letters(box)
    assert left["kind"] == "schema"
    assert "temp is gone" in left["reason"]


def test_a_full_spool_stops_a_replay_and_keeps_the_letters(box):
    arrive(box, message(HOT))
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    mend(box, "spool:\n", "spool:\n  min_free_bytes: 1TiB\n")
    done = run_plain("dead", "replay", "--all", folder=box)
    assert done.returncode == 1
    assert "min_free_bytes" in done.stderr
    assert len(letters(box)) == 1


def test_without_ids_or_filters_it_asks_which(box):
    done = run_plain("dead", "replay", folder=box)
    assert done.returncode == 2
    assert "--all" in done.stderr


def test_a_mistake_in_the_configuration_is_the_answer(box):
    arrive(box, message(HOT))
    mend(box, "topic: sensors/station_one/+", "tpic: sensors/station_one/+")
    assert run_plain("dead", "replay", "--all", folder=box).returncode == 78


def test_kill_in_the_middle_of_a_replay_loses_nothing_and_makes_nothing_twice(box):
    total, seed = 4_000, random.Random(7)
    arrive(box, *(message({"device_name": f"n{n}", "temp": "hot"}) for n in range(total)))
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    kills = 0
    while True:
        command = [sys.executable, "-m", "collector", "dead", "replay", "--all"]
        process = subprocess.Popen(
            command, cwd=box, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # From the first transaction on, at a random moment of the next few.
        before = counted(box)
        wait_for(
            lambda b=before, p=process: counted(box) > b or p.poll() is not None,
            "a step",
            30,
            0.002,
        )
        if kills < 8:
            time.sleep(seed.uniform(0, 0.02))
            process.send_signal(signal.SIGKILL)
            kills += 1
        if process.wait(60) == 0:
            break
        check_counts(box, total)
    assert kills
    assert letters(box) == []
    names = Counter(row["row"]["device_name"] for row in rows(box))
    assert names == Counter(f"n{n}" for n in range(total))
    check_balance(box)


def counted(box):
    with closing(SpoolReader(spool_path(box))) as reader:
        return reader.counters().get(("", "dead_replayed"), 0)


def check_counts(box, total):
    with closing(SpoolReader(spool_path(box))) as reader:
        ((dead,),) = reader.rows("SELECT count(*) FROM dead_letters")
        ((spooled,),) = reader.rows("SELECT coalesce(sum(records), 0) FROM batches")
    assert dead + spooled == total


def test_the_daemon_replays_under_load_what_was_mended_on_the_disk(line_folder):
    stations = {
        **STATIONS,
        "station_one": {
            **STATIONS["station_one"],
            "columns": {"device_name": "device_name", "temp": "temp", "humidity": "id"},
        },
    }
    with Line(line_folder, stations=stations) as line:
        publisher = line.publisher()
        wrong = [reading(n) for n in range(300)]
        # Their number is text under the key that the mapping reads.
        publisher.publish(
            [(n, topic, json.dumps({"device_name": "x", "id": f"n{n}"}).encode())
             for n, topic, _ in wrong]
        )  # fmt: skip
        wait_for(lambda: len(line.dead_letters()) == 300, "the dead letters")
        line.stations["station_one"]["columns"]["humidity"] = None
        line.stations["station_one"]["columns"] = {"device_name": "device_name"}
        line.write_config()
        load_ids = range(1_000, 3_000)
        publisher.publish([reading(n, "station_two") for n in load_ids], rate=2_000)
        done = run_plain("dead", "replay", "--all", "--json", folder=line_folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["records"] == 300
        wait_for(lambda: len(line.zerobus.rows("main.iot.station_one")) == 300, "300 rows")
        line.wait_delivered(load_ids)
        line.wait_drained()
        line.check_balances()
        assert line.dead_letters() == []
        assert "asks: replay" in line.daemon.tail()


def test_a_station_without_topics_takes_its_letters_again_whatever_their_topic(box):
    arrive(box, message(HOT))
    mend(box, "    topic: sensors/station_one/+\n", "")
    mend(box, "\n# http:\n", "\nhttp:\n")
    assert replay(box, "--all", code=1)["failing"] == {"bad_value": 1}
    mend(box, "optional int32 temp", "optional string temp", "tables/station_one/schema.proto")
    assert replay(box, "--all")["records"] == 1
    check_balance(box)
