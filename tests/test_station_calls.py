"""What users of a Zerobus Station have in their scripts, after `collector migrate`: each call as it
is written there, by curl; and what it does to the tables."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
from support.client import Client
from support.line import LocalZerobus, Process
from support.terminal import run_plain
from support.waiting import free_port, wait_for
from support.zerobus_station import config, make_station

JSON = '-H "Content-Type: application/json"'
ONE = '\'{"device_name": "sensor-001", "temp": 25, "humidity": 60}\''
TWO = (
    '\'{"device_name": "sensor-002", "temp": 22, "humidity": 55, "description": "Main entrance"}\''
)
NAME = "was-a-station"
AT = "http://localhost:8000"


class Station:
    """What was a Zerobus Station, and a local Zerobus behind it."""

    def __init__(self, folder, zerobus, port):
        self.folder, self.zerobus, self.port = folder, zerobus, port
        (folder / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')

    def call(self, text):
        """Run a line of a script, with another port only where this box has none to give."""
        if self.port != 8000:
            text = text.replace(":8000/", f":{self.port}/")
        done = subprocess.run(
            ["sh", "-c", text], env={**os.environ, "CURL_HOME": str(self.folder)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)

    def rows(self, name):
        return self.zerobus.rows(f"main.iot.{name}")


def port_of_a_station():
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", 8000))
        except OSError:
            return free_port()
    return 8000


def is_at(port):
    """Whether it is our own daemon that answers: another may have been quicker to take the port,
    which ours waits for."""
    client = Client(port)
    try:
        return client.get("/").said["gateway"] == NAME
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        client.close()


@contextmanager
def running(*parts):
    try:
        for part in parts:
            part.start()
        yield
    finally:
        for part in reversed(parts):
            part.stop()


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """Migrated; only the addresses are those of the local Zerobus, which has no certificate."""
    if shutil.which("curl") is None:
        message = "curl is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = make_station(tmp_path_factory.mktemp("station"), "secret")
    assert run_plain("migrate", "config.json", folder=folder).returncode == 0
    zerobus, port, file = LocalZerobus(folder), port_of_a_station(), folder / "stations.yaml"
    databricks = config()["databricks"]
    text = file.read_text()
    for old, new in (
        (databricks["server_endpoint"], f"http://127.0.0.1:{zerobus.grpc}"),
        (databricks["workspace_url"], f"http://127.0.0.1:{zerobus.http}"),
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(
        f"{text}\ngateway: {NAME}\nspool: {{min_free_bytes: 0}}\nmetrics: {{listen: off}}\n"
    )
    daemon = Process("collector", folder, [sys.executable, "-m", "collector", "run", "-c", file])
    with running(zerobus, daemon):
        wait_for(lambda: is_at(port), "the station over HTTP", 60)
        yield Station(folder, zerobus, port)


@pytest.mark.parametrize(
    ("name", "record"), [("station_one", ONE), ("station_two", TWO)], ids=["one", "two"]
)
def test_a_record_is_taken_and_arrives(station, name, record):
    before = len(station.rows(name))
    status, said = station.call(f"curl -X POST {AT}/ingest/{name} {JSON} -d {record}")
    assert status == 202
    assert (said["table"], said["wait_for_ack"]) == (f"main.iot.{name}", False)
    assert said["status"]
    assert said["message"]
    wait_for(lambda: len(station.rows(name)) == before + 1, "the record", 60)
    assert station.rows(name)[-1] == json.loads(record.strip("'"))


@pytest.mark.parametrize(
    ("name", "record"), [("station_one", ONE), ("station_two", TWO)], ids=["one", "two"]
)
def test_a_record_is_in_the_table_when_that_was_waited_for(station, name, record):
    before = len(station.rows(name))
    status, said = station.call(
        f'curl -X POST "{AT}/ingest/{name}?wait_for_ack=true" {JSON} -d {record}'
    )
    assert (status, said["acknowledged"], said["wait_for_ack"]) == (200, True, True)
    assert station.rows(name)[before:] == [json.loads(record.strip("'"))]


def test_a_flush_answers_when_all_is_in_the_table(station):
    before = len(station.rows("station_one"))
    for _ in range(3):
        station.call(f"curl -X POST {AT}/ingest/station_one {JSON} -d {ONE}")
    status, said = station.call(f"curl -X POST {AT}/flush/station_one")
    assert (status, said["flushed"], said["left"]) == (200, True, 0)
    assert len(station.rows("station_one")) == before + 3


def active(answered):
    """An answer that says of a stream that it is active."""
    return answered if answered[1]["streams"]["active"] >= 1 else None


def test_what_there_is_and_how_it_is_can_be_asked(station):
    status, said = station.call(f"curl {AT}/")
    assert status == 200
    assert {"service", "version", "stations"} <= said.keys()
    assert said["stations"]["station_one"]["table"] == "main.iot.station_one"
    assert said["stations"]["station_one"]["ingest"] == "/ingest/station_one"
    station.call(f'curl -X POST "{AT}/ingest/station_one?wait_for_ack=true" {JSON} -d {ONE}')
    status, said = wait_for(lambda: active(station.call(f"curl {AT}/health")), "a stream")
    assert (status, said["health"]) == (200, "ok")
    for name in ("station_one", "station_two"):
        status, said = station.call(f"curl {AT}/health/{name}")
        assert (status, said["table"]) == (200, f"main.iot.{name}")
    assert station.call(f"curl {AT}/health/unknown")[0] == 404
