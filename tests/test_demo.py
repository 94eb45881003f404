"""`collector demo`: a short run of everything, its balance, and that nothing stays behind."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake
from support.waiting import wait_for

from collector.config import load
from collector.demo import Balance
from collector.demo.balance import next_number, take_balance
from collector.demo.sample import write_sample
from collector.demo.sensors import BROKEN_EVERY, TABLES, is_broken, message
from collector.errors import CollectorError
from collector.model import NewBatch
from collector.spool import Group, Limits, Spool
from collector.tables import load_schema

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(lake, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "collector", "demo", "--lake", lake, *arguments],
        cwd=lake.parent,
        env={**ENVIRONMENT, "TMPDIR": str(lake.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """Return exit code, the figures at the end, and all that was said."""
    output, errors = process.communicate(timeout=120)
    found = re.findall(r"^ *([a-z, ]+?) +([\d,]+)$", output, re.MULTILINE)
    figures = {name: int(value.replace(",", "")) for name, value in found}
    return process.returncode, figures, output + "\n" + errors


def folder_of(said):
    return re.search(r"logs and spool: (\S+)", said)[1]


def processes_of(folder):
    """The command lines of all processes that have something to do with a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:
            continue
        if folder.encode() in line:
            found.append(line)
    return found


def rows(lake):
    return sum(DeltaTable(lake.joinpath(*n.split("."))).count() for n in TABLES.values())


def test_two_runs_with_an_outage_balance_and_leave_nothing_behind(line_folder):
    lake = line_folder / "lake"
    total = 0
    for _ in range(2):
        code, figures, said = ended(start(lake, "--for", "5s", "--rate", "100", "--outage", "1s"))
        assert code == 0, said
        assert figures["published"] > 200
        assert figures["dead letters"] == 1
        assert figures["still spooled"] == 0
        assert figures["published"] == figures["delivered, distinct"] + figures["dead letters"]
        assert "OUTAGE" in said
        total += figures["delivered, distinct"] + figures["duplicates"]
        assert not Path(folder_of(said)).exists()
        assert processes_of(folder_of(said)) == []
    assert rows(lake) == total
    query = shlex.split(next(line for line in said.splitlines() if "QueryBuilder" in line))
    answer = subprocess.run(query, cwd=line_folder, capture_output=True, text=True, check=True)
    assert "sensor-1" in answer.stdout


def test_the_embedded_broker_does_and_a_signal_ends_the_run_in_order(tmp_path):
    process = start(tmp_path / "lake", "--embedded", "--outage", "30s")
    lines = []
    while "delivered 1" not in (line := process.stdout.readline()):
        assert process.poll() is None, process.communicate()
        lines.append(line)
    process.send_signal(signal.SIGINT)
    code, figures, said = ended(process)
    assert code == 0, said
    assert figures["published"] == figures["delivered, distinct"] + figures["dead letters"] > 0
    assert "embedded" in said


def test_a_part_that_dies_ends_the_run_with_the_end_of_its_log(line_folder):
    process = start(line_folder / "lake")
    folder = folder_of(process.stderr.readline())
    daemon = wait_for(lambda: _pid(folder, b"\0run\0"), "the daemon")
    os.kill(daemon, signal.SIGKILL)
    code, _, said = ended(process)
    assert code == 1
    assert "daemon ended with exit code -9" in said
    wait_for(lambda: not processes_of(folder), "the other parts to be gone")


def _pid(folder, word):
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes()
        except OSError:
            continue
        if folder.encode() in line and word in line:
            return int(file.parent.name)
    return None


def test_an_outage_as_long_as_the_run_is_a_mistake(tmp_path):
    code, _, said = ended(start(tmp_path / "lake", "--for", "5s", "--outage", "5s"))
    assert code == 2
    assert "must be shorter" in said
    code, _, said = ended(start(tmp_path / "lake", "--for", "5"))
    assert code == 2
    assert "5" in said


def test_a_lake_that_can_not_be_read_is_said(tmp_path):
    (tmp_path / "main" / "iot" / "station_one").mkdir(parents=True)
    with pytest.raises(CollectorError, match="station_one"):
        next_number(tmp_path)


# --- the balance


def balance(**more):
    usual = {"published": 10, "rows": 9, "delivered": 8, "dead_letters": 1, "spooled": 1}
    return Balance(**{**usual, "spool_holds": True, **more})


def test_the_balance_holds_only_if_nothing_is_missing_and_nothing_too_much():
    assert balance().holds
    assert balance().duplicates == 1
    assert not balance(delivered=7).holds
    assert not balance(dead_letters=2).holds
    assert not balance(spooled=0).holds
    assert not balance(spool_holds=False).holds


def test_the_balance_is_taken_from_the_tables_and_the_spool(tmp_path):
    import pyarrow as pa

    lake, schema = tmp_path / "lake", load_schema(ROOT / "tables" / "station_one")
    path = lake.joinpath(*TABLES["station_one"].split("."))
    # 3 and 4 are of an earlier run; 12 came twice.
    write_deltalake(path, pa.table({"humidity": pa.array([3, 4, 11, 12, 12], pa.int64())}))
    assert next_number(lake) == 13
    spool = Spool(tmp_path / "spool.db", Limits())
    spool.add_schema(schema.fingerprint, schema.stored)
    # 12 was delivered, but nobody knows; 13 waits.
    records = [schema.message(humidity=number).SerializeToString() for number in (12, 13)]
    group = Group(
        batches=[
            NewBatch(TABLES["station_one"], "station_one", schema.fingerprint, [1, 2], 1, records)
        ]
    )
    group.counts["", "received"], group.counts["", "recorded"] = 2, 2
    spool.append(group)
    taken = take_balance(3, 11, lake, spool.path)
    spool.close()
    assert (taken.rows, taken.delivered, taken.spooled, taken.duplicates) == (3, 2, 1, 1)
    assert taken.holds


# --- what is shown


def test_the_stations_of_the_demonstration_are_those_of_the_sample(tmp_path):
    sample = load(ROOT / "stations.yaml", {})
    url = "http://127.0.0.1:1"
    made = load(write_sample(tmp_path, 1883, "auto", url, url), {})
    assert [(s.name, s.topics, s.table) for s in made.stations] == [
        (s.name, s.topics, s.table) for s in sample.stations
    ]
    for station in sample.stations:
        copy = ROOT / "collector" / "demo" / "tables" / station.name / "schema.proto"
        assert copy.read_bytes() == (ROOT / "tables" / station.name / "schema.proto").read_bytes()


def test_few_messages_are_broken_and_every_run_has_one():
    broken = [position for position in range(10 * BROKEN_EVERY) if is_broken(position)]
    assert len(broken) == 10
    assert broken[0] < 20
    assert b'"temp": "warm"' in message(broken[0], 1)[1]
    topics = {message(position, 1)[0] for position in range(100)}
    assert len(topics) == 10
