"""The process: how it is started, watched, looked at and ended.

Each test runs the real command in a real line; what systemd would see is read from a socket of our
own.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.line import ROOT, STATIONS, Line, reading
from support.waiting import wait_for

from collector import status

ONE = "main.iot.station_one"
CANARY = "canary-8f3a"


class Systemd:
    """The socket that NOTIFY_SOCKET names."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.path)
        self._sock.settimeout(0.01)
        self._heard = []

    def heard(self, start=""):
        try:
            while True:
                self._heard += self._sock.recv(4096).decode().splitlines()
        except TimeoutError:
            return [text for text in self._heard if text.startswith(start)]

    def close(self):
        self._sock.close()


@pytest.fixture
def systemd(tmp_path):
    one = Systemd(tmp_path)
    yield one
    one.close()


# -- systemd ---------------------------------------------------------------------------------


def test_systemd_hears_of_the_start_the_state_every_watchdog_and_the_stop(line_folder, systemd):
    environment = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "4000000"}
    with Line(line_folder, environment=environment) as line:
        wait_for(lambda: systemd.heard("READY=1"), "READY")
        wait_for(lambda: len(systemd.heard("WATCHDOG=1")) >= 3, "three signs of life")
        wait_for(lambda: "STATUS=online" in "".join(systemd.heard("STATUS=")), "the state")
        assert systemd.heard("READY=1") == ["READY=1"]
        assert systemd.heard("STOPPING=1") == []
        assert line.daemon.stop() == 0
        assert systemd.heard("STOPPING=1") == ["STOPPING=1"]


def test_systemd_hears_of_a_reload_and_of_its_end(line_folder, systemd):
    with Line(line_folder, environment={"NOTIFY_SOCKET": systemd.path}) as line:
        wait_for(lambda: systemd.heard("READY=1"), "READY")
        assert systemd.heard("EXTEND_TIMEOUT_USEC="), "time to check a spool"
        assert line.reload() == ""
        wait_for(lambda: len(systemd.heard("READY=1")) == 2, "READY again")
        assert systemd.heard("RELOADING=1") == ["RELOADING=1"]
        assert systemd.heard("MONOTONIC_USEC=")


@pytest.mark.parametrize(
    ("wrong", "payload", "loop"),
    [("intake-stands-still", b"freeze", "intake"), ("drain-stands-still", b"{}", f"drain {ONE}")],
)
def test_a_loop_that_stands_still_is_told_to_health_and_not_hidden_from_the_watchdog(
    line_folder, systemd, wrong, payload, loop
):
    environment = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "1000000"}
    main = (ROOT / "tests" / "support" / "wrong.py", wrong)
    with Line(line_folder, main=main, environment=environment) as line:
        wait_for(lambda: systemd.heard("WATCHDOG=1"), "a sign of life")
        line.publisher().publish([(-1, "sensors/station_one/d1", payload)])
        wait_for(
            lambda: systemd.heard("STATUS=failing") and line.status()["standing_still"] == [loop],
            "the state",
            90,
        )
        fed = len(systemd.heard("WATCHDOG=1"))
        heard = len(systemd.heard("STATUS="))
        assert status.health(line.status())[0] == "failing"
        wait_for(lambda: len(systemd.heard("STATUS=")) >= heard + 1, "another report", 60)
        assert len(systemd.heard("WATCHDOG=1")) == fed
        assert f"{loop}: standing still" in line.daemon.tail()
        line.daemon.kill()


# -- the end ---------------------------------------------------------------------------------


def test_a_stop_under_load_commits_what_it_acknowledged_and_repeats_nothing(line_folder):
    total = 20_000
    with Line(line_folder) as line:
        messages = [reading(n) for n in range(total)]
        publishing = threading.Thread(
            target=line.publisher().publish, args=(messages,), kwargs={"rate": 5_000}
        )
        publishing.start()
        wait_for(lambda: line.counters().get(("", "received"), 0) > 2_000, "some of the load")
        began = time.monotonic()
        assert line.daemon.stop() == 0
        assert time.monotonic() - began < 20
        publishing.join()
        assert not (line.folder / "state" / "status.json").exists()
        stored, spooled = line.counters()["", "received"], line.spooled()
        assert 2_000 < stored < total
        assert len(line.zerobus.ids()) == stored - spooled
        line.check_balances()
        line.start_daemon()
        line.wait_delivered(range(total))
        line.wait_drained()
        assert sorted(line.zerobus.ids()) == list(range(total))
        line.check_balances()


def test_a_stop_while_the_service_is_silent_ends_in_time_and_keeps_all(line_folder):
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "silence"}]})
        line.publisher().publish([reading(n) for n in range(100)])
        wait_for(lambda: line.status()["tables"][ONE].get("in_flight_bytes"), "records in flight")
        began = time.monotonic()
        assert line.daemon.stop() == 0
        assert time.monotonic() - began < 21
        assert line.spooled() == 100
        line.check_balances()


def test_a_thread_that_dies_ends_the_process_loudly(line_folder):
    wrong = ROOT / "tests" / "support" / "wrong.py"
    with Line(line_folder, main=(wrong, "dies")) as line:
        line.publisher().publish([(-1, "sensors/station_one/d1", b"die")])
        assert line.daemon.process.wait(20) == 1
        assert "thread intake died" in line.daemon.tail()
        line.daemon.process = None


def test_sigusr1_says_where_every_thread_is(line_folder):
    with Line(line_folder) as line:
        line.daemon.process.send_signal(signal.SIGUSR1)
        for thread in ("intake.py", "daemon.py"):
            wait_for(lambda file=thread: file in line.daemon.tail(), f"the stack with {thread}")
        assert line.is_connected()


def test_bad_configuration_says_all_that_is_wrong_and_exits_78(line_folder):
    line = Line(line_folder)
    line.stations["station_one"] = {"topik": "a/#", "table": "only.two"}
    line._sections["mqtt"]["keepalive"] = "soon"
    line.write_config()
    run = subprocess.run(
        [sys.executable, "-m", "collector", "run", "-c", str(line.config)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert run.returncode == 78
    for words in ("topik", "did you mean", "catalog.schema.table", "keepalive", "stations.yaml:"):
        assert words in run.stderr
    assert "Traceback" not in run.stderr
    assert not line.spool_path.exists()


# -- secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [[], ["--log-format", "json", "--log-level", "debug"]])
def test_no_secret_and_no_payload_stands_anywhere_outside(line_folder, log):
    mqtt = {"username": "sensor", "password": f"{CANARY}-mqtt"}
    main = ["-m", "collector", "run", *log]
    secret = {"client_secret": f"{CANARY}-zerobus"}
    rust = {"RUST_LOG": "debug" if log else "warn"}
    sections = {"mqtt": mqtt, "zerobus": secret, "http": {"token": f"{CANARY}-http"}}
    with Line(line_folder, **sections, main=main, environment=rust) as line:
        line.zerobus.faults({"faults": [{"fault": "token_error", "status": 401}]})
        bad = json.dumps({"device_name": f"{CANARY}-payload", "temp": "x"}).encode()
        line.publisher().publish([reading(1), (2, "sensors/station_one/d1", bad)])
        wait_for(lambda: line.status()["tables"][ONE].get("state") == "held", "the hold")
        wait_for(line.dead_letters, "the dead letter")
        line.daemon.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: "in main" in line.daemon.tail(), "the stacks")
        (line.folder / "stations.yaml").write_text(f"mqtt: {{password: {CANARY}-mqtt, x: 1}}")
        assert line.reload()
        process = Path(f"/proc/{line.daemon.process.pid}")
        places = [
            line.daemon.log.read_bytes(),
            (line.folder / "state" / "status.json").read_bytes(),
            (process / "cmdline").read_bytes(),
            (process / "environ").read_bytes(),
        ]
        limits = (process / "limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), "a core file would hold secrets"
        assert line.daemon.stop(signal.SIGABRT) == -signal.SIGABRT
        places.append(line.daemon.log.read_bytes())
        assert not [place for place in places if CANARY.encode() in place]
        spool = b"".join(one.read_bytes() for one in line.spool_path.parent.glob("spool.db*"))
        assert f"{CANARY}-payload".encode() in spool
        assert not re.search(f"{CANARY}-(mqtt|zerobus|http)".encode(), spool)


# -- health ----------------------------------------------------------------------------------


STREAMING = {
    "state": "streaming",
    "reason": "",
    "hint": "",
    "oldest_us": None,
    "spooled_bytes": 40,
}
SPOOL = {
    "used_bytes": 1,
    "wal_bytes": 0,
    "max_bytes": 100,
    "damaged": {},
    "quarantine": [],
    "losses": [],
}


def snapshot(**changes):
    return {
        "pid": os.getpid(),
        "updated_us": time.time_ns() // 1000,
        "paused": "",
        "broker": {"connected": True, "last_error": "", "refused_filters": {}},
        "tables": {ONE: STREAMING},
        "spool": SPOOL,
        "stations": {"s": {"internal_since_start": 0}},
        "received_rate": 0.0,
        **changes,
    }


SALVAGE = {"folder": "20261124T000000Z", "state": "rows", "salvaged": 7}
LOSS = {
    "at_us": time.time_ns() // 1000,
    "table": "a.b.c",
    "first_seq": 5,
    "last_seq": 6,
    "records": 2,
    "reason": "its checksum",
}
AWAY = {"connected": False, "last_error": "refused", "refused_filters": {}}
SILENT = {
    "internal_since_start": 0,
    "is_silent": True,
    "silence_s": 7_200.0,
    "silent_after_s": 3_600.0,
    "usual_gap_s": None,
}
HELD = {ONE: {"state": "held", "reason": "no table", "hint": "create it", "oldest_us": None}}
NO_FILTER = {"connected": True, "last_error": "", "refused_filters": {"a/#": "Not authorized"}}


@pytest.mark.parametrize(
    ("changes", "name", "word"),
    [
        ({}, "ok", ""),
        ({"broker": AWAY}, "offline", "refused"),
        ({"broker": NO_FILTER}, "degraded", "a/#"),
        ({"tables": HELD}, "degraded", "create it"),
        ({"spool": SPOOL | {"damaged": {"7": "its checksum"}}}, "degraded", "batch 7"),
        ({"spool": SPOOL | {"used_bytes": 51}}, "degraded", "51% full, 40% of it by " + ONE),
        ({"spool": SPOOL | {"wal_bytes": 70_000_000}}, "degraded", "the WAL has 70 MB"),
        ({"spool": SPOOL | {"quarantine": [SALVAGE]}}, "degraded", "7 records are saved"),
        ({"spool": SPOOL | {"quarantine": [SALVAGE | {"state": "done"}]}}, "ok", ""),
        (
            {"spool": SPOOL | {"losses": [LOSS]}},
            "degraded",
            "2 records of a.b.c are lost from 5 up to 6",
        ),
        ({"spool": SPOOL | {"losses": [LOSS | {"at_us": 0}]}}, "ok", ""),
        ({"stations": {"s": {"internal_since_start": 1}}}, "degraded", "internal"),
        ({"stations": {"s": {"dead:internal": 9, "internal_since_start": 0}}}, "ok", ""),
        ({"paused": "the disk is full"}, "failing", "the disk is full"),
        ({"updated_us": 0}, "failing", "has not reported"),
        ({"broker": AWAY, "tables": HELD}, "offline", "create it"),
        ({"paused": "full", "broker": AWAY}, "failing", "refused"),
        ({"broker": AWAY | {"connected": None}}, "ok", ""),
        ({"broker": AWAY, "stations": {"s": SILENT | {"has_topics": False}}}, "offline", "s: no "),
    ],
)
def test_health_is_the_worst_of_what_is_wrong_and_says_all_of_it(changes, name, word):
    found, reasons = status.health(snapshot(**changes))
    assert found == name
    assert word in "; ".join(reasons)
    assert bool(reasons) == (name != "ok")
    assert found in status.EXIT_CODES


def test_a_clock_that_is_not_synchronised_is_said_and_makes_nothing_worse():
    found, reasons = status.health(snapshot(clock_ok=False))
    assert found == "ok"
    assert "clock is not synchronised" in reasons[0]


def test_the_status_of_a_process_that_is_gone_is_not_believed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    with pytest.raises(status.NotRunningError):
        status.read(tmp_path)
    status.StatusFile(tmp_path).write(snapshot(pid=gone.pid))
    with pytest.raises(status.NotRunningError, match="is gone"):
        status.read(tmp_path)
    status.StatusFile(tmp_path).write(snapshot())
    assert status.read(tmp_path)["pid"] == os.getpid()
    (tmp_path / status.FILE).write_text('{"pid": ')
    with pytest.raises(status.NotRunningError):
        status.read(tmp_path)


# -- a full spool ----------------------------------------------------------------------------


def rss_bytes(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def test_a_full_spool_leaves_messages_to_the_broker_and_delivers_all_later(line_folder):
    """12 MB for a spool of 8 MiB: what does not fit waits at the broker, not in memory."""
    total, filler = 6_000, "x" * 2_000
    with Line(
        line_folder,
        stations={"station_two": STATIONS["station_two"]},
        mqtt={"inbox_max_bytes": "1MiB", "message_max_bytes": "64KiB"},
        spool={"max_bytes": "8MiB", "commit_max_bytes": "1MiB"},
    ) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        publisher = line.publisher()
        before = rss_bytes(line.daemon.process.pid)
        messages = [reading(n, "station_two", description=filler) for n in range(total)]
        publisher.publish(messages)
        wait_for(lambda: line.status()["paused"], "the pause")
        wait_for(lambda: status.health(line.status())[0] == "failing", "the health")
        assert len(publisher.acknowledged) == total
        assert line.spooled() < total
        assert line.spool_path.stat().st_size < 10 << 20
        line.publisher(qos=0).publish([reading(n, "station_two") for n in range(total, total + 5)])
        assert rss_bytes(line.daemon.process.pid) - before < 40 << 20
        line.zerobus.faults(None)
        line.wait_delivered(range(total), 90)
        line.wait_drained()
        wait_for(lambda: not line.status()["paused"], "the end of the pause")
        line.check_balances()
