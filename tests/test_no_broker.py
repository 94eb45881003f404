"""Without a broker: what the daemon and the commands say then, and a broker that comes and goes."""

import json
import urllib.request

import pytest
from support.line import STATIONS, Line, reading
from support.parts import make_plan
from support.terminal import Terminal, run_plain
from support.waiting import free_port, wait_for

from collector import status
from collector.spool import Limits

OVER_HTTP = {name: {"table": station["table"]} for name, station in STATIONS.items()}


@pytest.fixture
def line(line_folder):
    """A daemon whose configuration names no broker; a broker runs beside it."""
    port = free_port()
    with Line(
        line_folder, stations=OVER_HTTP, mqtt={"url": None}, http={},
        metrics={"listen": f"127.0.0.1:{port}"},
    ) as one:  # fmt: skip
        one.figures_port = port
        yield one


def figures(line):
    with urllib.request.urlopen(
        f"http://127.0.0.1:{line.figures_port}/metrics", timeout=10
    ) as answer:
        return answer.read().decode()


def test_a_daemon_without_a_broker_is_well_and_connects_to_none(line):
    found = line.status()
    assert (found["broker"]["url"], found["broker"]["connected"]) == (None, None)
    assert status.health(found)[0] == "ok"
    assert run_plain("status", folder=line.folder).returncode == 0
    text = figures(line)
    assert "\ncollector_broker_connected " not in text
    assert 'loop="tick"' in text
    assert 'loop="intake"' not in text
    assert line.daemon.stop() == 0
    assert not [word for word in ("connected to", "trying again") if word in line.daemon.tail()]


def test_records_arrive_over_http_and_silence_is_watched_without_a_broker(line_folder):
    stations = {"station_one": {**OVER_HTTP["station_one"], "silent_after": "2s"}}
    with Line(line_folder, stations=stations, mqtt={"url": None}, http={}) as line:
        send(line, reading(7))
        line.wait_delivered([7])

        def reasons():
            return "; ".join(status.health(line.status())[1])

        one = lambda: line.status()["stations"]["station_one"]  # noqa: E731
        wait_for(lambda: one()["last_message_us"], "the record to count")
        wait_for(lambda: "station_one: no message for " in reasons(), "the alarm")
        assert status.health(line.status())[0] == "degraded"
        send(line, reading(8))
        line.wait_delivered([8])


def send(line, one):
    """Send a reading over HTTP."""
    listen = json.loads(line.config.read_text())["http"]["listen"]
    request = urllib.request.Request(
        f"http://{listen}/ingest/station_one",
        data=one[2],
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 202


def test_the_commands_say_that_there_is_no_broker(line):
    with Terminal("status", "--watch", "--every", "200ms", folder=line.folder) as terminal:
        lines = terminal.shows("broker", "none: records come over HTTP")
        assert not [one for one in lines if "messages/s" in one]
    tail = run_plain("tail", folder=line.folder)
    assert (tail.returncode, tail.stdout) == (1, "")
    assert "there is no broker: what comes over HTTP can't be listened to" in tail.stderr
    discover = run_plain("discover", "--into", "new", folder=line.folder)
    assert discover.returncode == 2
    assert "names no broker: give one with --url" in discover.stderr
    doctor = run_plain("doctor", "--offline", folder=line.folder).stdout
    assert [row for row in doctor.splitlines() if " broker" in row and "ok" in row] == [
        "ok      broker              none: records come over HTTP only"
    ]
    check = run_plain("check", folder=line.folder)
    assert check.returncode == 0
    assert ["station_one", "-", "main.iot.station_one", "-"] in map(
        str.split, check.stdout.splitlines()
    )
    route = run_plain("route", "http/station_one", '{"temp": 1}', folder=line.folder)
    assert route.stdout.startswith("station_one -> main.iot.station_one\n  row ")
    route = run_plain("route", "sensors/station_one/a", "{}", folder=line.folder)
    assert (route.returncode, route.stderr) == (1, "no station takes sensors/station_one/a\n")


def test_a_reload_brings_a_broker_and_takes_it_away(line):
    line.stations = {**OVER_HTTP, "station_one": STATIONS["station_one"]}
    line.change(mqtt={"url": f"mqtt://127.0.0.1:{line.broker.port}"})
    assert line.reload() == ""
    wait_for(lambda: line.status()["broker"]["connected"], "the connection")
    line.publisher().publish([reading(1)])
    line.wait_delivered([1])
    assert 'loop="intake"' in figures(line)
    line.stations = OVER_HTTP
    line.change(mqtt={"url": None})
    assert line.reload() == ""
    wait_for(lambda: line.status()["broker"]["connected"] is None, "the end of the connection")
    assert 'loop="intake"' not in figures(line)
    assert status.health(line.status())[0] == "ok"
    assert line.daemon.stop() == 0
    line.check_balances()


def test_a_broker_may_be_there_for_no_station(line_folder):
    # What is said on the status topic is a reason for it.
    with Line(line_folder, stations=OVER_HTTP, http={}) as line:
        assert status.health(line.status())[0] == "ok"
        wait_for(lambda: "connected to" in line.daemon.tail(), "the log")
        said = run_plain("tail", folder=line.folder).stderr
        assert "none of these stations has a topic" in said


def test_a_table_that_is_fed_over_http_has_a_share_of_the_spool(tmp_path):
    heartbeat = {"table": "main.iot.heartbeat"}
    both = make_plan(tmp_path, OVER_HTTP, http={}, heartbeat=heartbeat).config
    assert Limits.of(both).table_share == 0.5
    one = {"station_one": OVER_HTTP["station_one"]}
    alone = make_plan(tmp_path, one, http={}, heartbeat=heartbeat).config
    assert Limits.of(alone).table_share == 1.0
