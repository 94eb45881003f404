"""The commands as a user starts them: a process of its own, exit code, stdout and stderr."""

import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import click
import pytest
from support.line import Line, reading
from support.waiting import wait_for

from collector.cli import collector
from collector.commands._output import printable
from collector.model import DeadLetter, Fault, NewBatch
from collector.rows import row_of
from collector.spool import Group, Limits, Spool
from collector.tables import load_schema

ROOT = Path(__file__).resolve().parent.parent
TABLE = "main.iot.station_one"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*arguments, folder=ROOT, text=None):
    return subprocess.run(
        [sys.executable, "-m", "collector", *map(str, arguments)],
        cwd=folder,
        env=ENVIRONMENT,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def box(tmp_path):
    """A folder with the sample, as a user would have it."""
    shutil.copy(ROOT / "stations.yaml", tmp_path)
    shutil.copytree(ROOT / "tables", tmp_path / "tables")
    return tmp_path


def filled(box):
    """Open a spool of the sample, with 3 records in 2 batches and a dead letter."""
    schema = load_schema(box / "tables" / "station_one")
    spool = Spool(box / "state" / "spool.db", Limits())
    spool.add_schema(schema.fingerprint, schema.stored)
    record = schema.message(device_name="d", temp=1).SerializeToString()
    now_us = time.time_ns() // 1000
    for count in (2, 1):
        first = spool.reserve(count)
        batch = NewBatch(
            TABLE,
            "station_one",
            schema.fingerprint,
            range(first, first + count),
            now_us - 90_000_000,
            [record] * count,
        )
        counts = Counter({("", "received"): count, ("", "recorded"): count})
        spool.append(Group(batches=[batch], counts=counts))
    letter = DeadLetter(Fault("bad_value", "no"), "t", b"payload", now_us)
    counts = Counter({("", "received"): 1, ("", "dead_lettered"): 1})
    spool.append(Group(dead_letters=[letter], counts=counts))
    return spool


@pytest.fixture
def spool(box):
    with contextlib.closing(filled(box)) as spool:
        yield spool


def commands(group=collector, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = {(): collector, **dict(commands())}


# --- help


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "collector")
def test_the_help_of_each_command_has_an_example_and_ends_with_the_exit_codes(path):
    done = run(*path, "--help")
    assert done.returncode == 0
    assert " ".join(["Example: collector", *path]) in " ".join(done.stdout.split())
    *_, end = done.stdout.strip().split("\n\n")
    assert end.strip().startswith("Exit codes: 0 ")
    assert " 2 usage" in " ".join(end.split())
    # A list of commands says each in one line.
    assert "..." not in done.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "collector")
def test_what_the_examples_of_the_help_type_are_commands_and_options_that_there_are(path):
    for example in re.findall(r"Example: collector (.+(?:\n    \S.*)*)", ALL[path].help):
        words = shlex.split(re.split(r"\s[>|]\s", example)[0])
        command = collector
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
            assert command is not None, example
        command.make_parser(click.Context(command)).parse_args(words)


def test_an_unknown_command_and_an_unknown_option_end_with_usage():
    assert run("spol").returncode == 2
    assert run("check", "--jsn").returncode == 2


def test_the_spool_commands_start_without_the_heavy_libraries():
    code = "import sys; sys.argv = ['collector', 'spool', '--help']; import collector.cli as c\n"
    code += "try: c.main()\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    modules = set(done.stderr.split())
    assert "collector.commands.spool" in modules
    assert not modules & {"grpc", "paho", "zerobus", "pydantic"}


# --- check


def test_check_prints_the_compiled_routes_and_talks_on_stderr(box):
    (box / "tables" / "station_two" / "schema.proto").write_text(
        'syntax = "proto2"; message A {\n'
        "required string site = 1;\n"
        "optional int64 at = 2; // delta: TIMESTAMP\n}"
    )
    config = (box / "stations.yaml").read_text()
    (box / "stations.yaml").write_text(
        config.replace("sensors/station_two/+", "sensors/station_two/{site}")
    )
    done = run("check", folder=box)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["station_one", "sensors/station_one/+", TABLE, "-"] in lines
    assert ["station_two", "sensors/station_two/{site}", "main.iot.station_two", "site"] in lines
    assert ["station_two", "site", "STRING", "NOT", "NULL"] in lines
    assert ["at", "TIMESTAMP"] in lines
    assert "nothing is wrong" in done.stderr
    assert "nothing is wrong" not in done.stdout
    document = json.loads(run("check", "--json", folder=box).stdout)
    assert document["stations"][1]["captures"] == ["site"]
    assert document["stations"][1]["columns"] == [
        {"name": "site", "type": "STRING", "nullable": False},
        {"name": "at", "type": "TIMESTAMP", "nullable": True},
    ]


def test_check_reports_mistakes_of_all_files_at_once_and_exits_with_78(box):
    config = (box / "stations.yaml").read_text()
    (box / "stations.yaml").write_text(
        config.replace("  # qos: 1", "  qoss: 1").replace("table: main.iot.station_two", "table: x")
    )
    (box / "tables" / "station_one" / "schema.proto").write_text(
        'syntax = "proto2"; message A { optional uint32 a = 1; }'
    )
    done = run("check", folder=box)
    assert done.returncode == 78
    assert done.stdout == ""
    assert "did you mean qos?" in done.stderr
    assert "stations.station_two.table" in done.stderr
    assert "uint32" in done.stderr
    document = run("check", "--json", folder=box)
    assert document.returncode == 78
    problems = json.loads(document.stdout)["problems"]
    assert {Path(problem["file"]).name for problem in problems} == {
        "stations.yaml",
        "schema.proto",
    }
    assert all(problem["line"] >= 1 for problem in problems)


def test_check_reports_bad_filters_and_bad_columns_together(box):
    config = (box / "stations.yaml").read_text()
    config = config.replace("topic: sensors/station_one/+", "topic: 'sensors/#/x'")
    config = config.replace(
        "    table: main.iot.station_two", "    table: main.iot.station_two\n    columns: {no: no}"
    )
    (box / "stations.yaml").write_text(config)
    done = run("check", folder=box)
    assert done.returncode == 78
    assert "# must be the last level" in done.stderr
    assert "stations.station_two" in done.stderr


# --- route


def test_route_shows_rows_and_records_and_writes_nothing(box):
    before = sorted(box.rglob("*"))
    done = run(
        "route", "sensors/station_one/d1", '{"device_name": "d1", "humidity": 7}', "--json",
        folder=box,
    )  # fmt: skip
    assert done.returncode == 0
    (outcome,) = json.loads(done.stdout)["stations"]
    assert outcome["station"] == "station_one"
    assert outcome["rows"] == [{"device_name": "d1", "temp": None, "humidity": 7}]
    schema = load_schema(box / "tables" / "station_one")
    record = schema.message.FromString(bytes.fromhex(outcome["records"][0]))
    assert (record.device_name, record.humidity) == ("d1", 7)
    assert sorted(box.rglob("*")) == before


def test_route_reads_stdin_and_shows_the_fault_of_one_record_of_many(box):
    done = run(
        "route", "sensors/station_one/d1", "-", folder=box, text='[{"temp": 1}, {"temp": "x"}]'
    )
    assert done.returncode == 0
    assert '"temp": 1' in done.stdout
    assert "bad_value: record 1: temp" in done.stdout


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        ("sensors/station_one/d1", '{"temp": "warm"}', 1),
        ("sensors/station_one/d1", "no json", 1),
        ("sensors/station_one/d1", '{"temp": 1}', 0),
        ("sensors/station_one/d1", "", 0),
        ("elsewhere", '{"temp": 1}', 1),
        ("$SYS/broker", '{"temp": 1}', 1),
        ("sensors/+", "", 2),
        ("", "", 2),
    ],
)
def test_route_exits_with_1_when_nothing_fits_or_all_fails(box, topic, payload, code):
    assert run("route", "--", topic, payload, folder=box).returncode == code


def test_route_without_a_payload_shows_the_stations_only(box):
    done = run("route", "sensors/station_two/x", folder=box)
    assert (done.returncode, done.stdout) == (0, "station_two -> main.iot.station_two\n")


def test_route_says_that_a_message_is_too_large(box):
    done = run("route", "sensors/station_one/d1", "-", folder=box, text="x" * ((1 << 20) + 1))
    assert done.returncode == 1
    assert "too_large" in done.stdout


def test_text_of_strangers_can_not_steer_a_terminal(box):
    done = run("route", "sensors/\x1b[2J/x", '{"temp": 1}', folder=box)
    assert "\x1b" not in done.stdout + done.stderr
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\nb"


def test_a_row_shows_what_stands_in_the_table(tmp_path):
    (tmp_path / "schema.proto").write_text(
        'syntax = "proto2"; message A {\n'
        "optional int64 at = 1; // delta: TIMESTAMP\n"
        "optional int32 day = 2; // delta: DATE\n"
        "optional bytes raw = 3;\n"
        "repeated int32 list = 4;\n"
        "map<string, int64> times = 5; // delta: MAP<STRING, TIMESTAMP_NTZ>\n"
        "optional Place place = 6;\n"
        "optional double level = 7;\n"
        "optional int64 far = 8; // delta: TIMESTAMP\n"
        "message Place { optional double latitude = 1; }\n}"
    )
    schema = load_schema(tmp_path)
    message = schema.message(
        at=1_000_001, day=1, raw=b"\x00\xff", list=[1, 2], times={"a": 0}, far=1 << 62
    )
    message.place.latitude = 1.5
    assert row_of(schema, message.SerializeToString()) == {
        "at": "1970-01-01T00:00:01.000001+00:00",
        "day": "1970-01-02",
        "raw": "AP8=",
        "list": [1, 2],
        "times": {"a": "1970-01-01T00:00:00"},
        "place": {"latitude": 1.5},
        "level": None,
        "far": 1 << 62,
    }
    with pytest.raises(ValueError, match="not a record"):
        row_of(schema, b"\xff")


# --- status


def test_status_follows_a_daemon_from_healthy_to_offline_to_gone(line_folder):
    with Line(line_folder) as line:
        publisher = line.publisher()
        publisher.publish([reading(n)[:3] for n in range(50)])
        line.wait_delivered(range(50))
        line.wait_drained()

        def status(*arguments):
            return run("status", "-c", line.config, *arguments)

        wait_for(lambda: status().returncode == 0, "the daemon to be healthy")
        done = status()
        assert done.stdout.startswith("online · ")
        assert ["station_one", "50", "50", "0"] in [
            one.split()[:4] for one in done.stdout.splitlines()
        ]
        document = json.loads(status("--json").stdout)
        assert document["health"] == "ok"
        assert document["stations"]["station_one"]["records"] == 50
        line.broker.stop()
        wait_for(lambda: status().returncode == 1, "the daemon to notice")
        assert "broker: " in status().stdout
        line.broker.start()
        line.daemon.kill()
        done = status()
        assert (done.returncode, done.stdout) == (3, "")
        assert "is gone" in done.stderr
        assert json.loads(status("--json").stdout)["health"] == "not running"


def test_status_without_a_daemon_says_how_to_start_one(box):
    done = run("status", folder=box)
    assert done.returncode == 3
    assert "collector run" in done.stderr


# --- spool stats


def test_stats_shows_a_spool_that_is_in_use(box, spool):
    document = json.loads(run("spool", "stats", "--json", folder=box).stdout)
    table = document["tables"][TABLE]
    assert (table["records"], table["spooled"], table["made"]) == (3, 3, 3)
    assert time.time() - table["oldest_us"] / 1e6 >= 90
    assert document["totals"]["records"] == 3
    assert document["messages"]["dead"] == 1
    assert document["balances"]["messages"] == {
        "received": 4, "recorded": 3, "dead_lettered": 1, "ignored": 0, "holds": True,
    }  # fmt: skip
    assert document["used_bytes"] > 0
    spool.acknowledge([1])
    spool.tick()
    done = run("spool", "stats", folder=box)
    assert done.returncode == 0
    assert [TABLE, "1"] in [line.split()[:2] for line in done.stdout.splitlines()]
    assert "3 made = 2 delivered + 1 spooled: holds" in done.stdout
    assert "1m" in done.stdout


def test_stats_reads_a_copy_of_a_stopped_spool(box, tmp_path_factory):
    spool = filled(box)
    spool.close()
    copy = tmp_path_factory.mktemp("copy") / "copied.db"
    shutil.copy(spool.path, copy)
    done = run("spool", "stats", "--file", copy, folder="/")
    assert done.returncode == 0
    assert f"file          {copy}" in done.stdout
    assert "3 made = 0 delivered + 3 spooled: holds" in done.stdout


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE counters SET value = value + 1 WHERE name = 'made'",
        "UPDATE counters SET value = value + 1 WHERE name = 'received'",
    ],
)
def test_stats_exits_with_1_when_a_balance_does_not_hold(box, spool, change):
    copy = box / "copy.db"
    with contextlib.closing(sqlite3.connect(copy)) as target:
        with contextlib.closing(sqlite3.connect(spool.path)) as source:
            source.backup(target)
        target.execute(change)
        target.commit()
    done = run("spool", "stats", "--file", copy, folder=box)
    assert done.returncode == 1
    assert "DOES NOT HOLD" in done.stdout


def test_stats_of_what_is_no_spool_says_so(box):
    done = run("spool", "stats", folder=box)
    assert done.returncode == 1
    assert "there is no spool" in done.stderr
    (box / "other.db").write_bytes(b"not a database" * 100)
    done = run("spool", "stats", "--file", "other.db", folder=box)
    assert done.returncode == 1
    assert "not a spool" in done.stderr
