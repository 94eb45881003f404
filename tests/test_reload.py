"""SIGHUP: another configuration for a line that goes on, with nothing lost and nothing half done.

A publisher keeps publishing meanwhile; what the broker took must come through, by the old mapping
or by the new one, and both balances must hold.
"""

import contextlib
import itertools
import sqlite3
import threading
from pathlib import Path

import pytest
from support.broker import Broker
from support.line import STATIONS, Line, LocalZerobus, reading
from support.publisher import Publisher
from support.terminal import run_plain
from support.waiting import wait_for

from collector import status

COLUMNS = [
    {"name": "device_name", "type": "STRING"},
    {"name": "temp", "type": "INT"},
    {"name": "humidity", "type": "BIGINT"},
]
ONE = "main.iot.station_one"
THREE = "main.iot.station_three"


class Load(threading.Thread):
    """Publishes readings until it is told to end; `ids` are those that the broker has taken."""

    def __init__(self, publisher, first=0):
        super().__init__(daemon=True)
        self._publisher, self._next = publisher, first
        self._ending = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self._ending.is_set():
                group = range(self._next, self._next + 100)
                self._publisher.publish([reading(number) for number in group], rate=2_000)
                self._next = group.stop
        except AssertionError as error:
            self.error = error

    def published(self, count):
        wait_for(lambda: len(self._publisher.acknowledged) >= count, f"{count} to be published")

    def end(self):
        self._ending.set()
        self.join(60)
        assert self.error is None
        return set(self._publisher.acknowledged)


@pytest.fixture
def line(line_folder):
    with Line(line_folder) as one:
        yield one


def test_stations_come_change_and_go_under_load_and_nothing_is_lost(line):
    tables = line.own_tables()
    (tables / "station_three").mkdir()
    text = (tables / "station_one" / "schema.proto").read_text()
    (tables / "station_three" / "schema.proto").write_text(text)
    connects = line.status()["broker"]["connects"]
    load = Load(line.publisher())
    load.start()
    for turn in range(1, 6):
        load.published(turn * 300)
        line.stations = dict(STATIONS)
        if turn % 2:
            # It gets a column from elsewhere, another station comes and one goes.
            line.stations["station_one"] = STATIONS["station_one"] | {
                "columns": {"device_name": "device_name", "temp": {"from": "temp", "scale": 10},
                            "humidity": "humidity"},
            }  # fmt: skip
            line.stations["station_three"] = {"topic": "other/+", "table": THREE}
            del line.stations["station_two"]
        line.write_config()
        assert line.reload() == ""
    other, numbers = line.publisher(), itertools.count(1)

    def new_station_is_heard():
        # The broker knows the new filter a moment after the reload.
        number = next(numbers)
        other.publish([(-number, "other/d", b'{"device_name": "x", "humidity": %d}' % number)])
        return line.zerobus.ids(THREE)

    wait_for(new_station_is_heard, "the new station's record", step=0.5)
    ids = load.end()
    line.wait_delivered(ids)
    line.wait_drained()
    assert sorted(line.zerobus.ids(ONE)) == sorted(ids), "each once: the connection was kept"
    assert line.status()["broker"]["connects"] == connects
    assert any(row["temp"] >= 100 for row in line.zerobus.rows(ONE)), "by the new mapping"
    line.check_balances()


def test_a_removed_station_unsubscribes_and_what_it_had_still_drains(line):
    line.zerobus.faults({"faults": [{"fault": "silence"}]})
    publisher = line.publisher()
    publisher.publish([reading(number, "station_two") for number in range(50)])
    wait_for(lambda: line.spooled() == 50, "the records in the spool")
    del line.stations["station_two"]
    line.write_config()
    assert line.reload() == ""
    wait_for(lambda: "sensors/station_two/+" not in granted(line), "the broker to forget a filter")
    received = line.counters()["", "received"]
    publisher.publish([reading(60, "station_two"), reading(61, "station_one")])
    wait_for(lambda: line.counters()["", "received"] == received + 1, "one of the two")
    line.zerobus.faults(None)
    line.wait_delivered([*range(50), 61])
    line.wait_drained()
    assert 60 not in line.zerobus.ids()
    line.check_balances()


def granted(line):
    """Return the filters that the broker has granted, as the spool keeps them."""
    uri = f"file:{line.spool_path}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        return {text for (text,) in connection.execute("SELECT filter FROM granted")}


def test_a_broken_file_changes_nothing_and_says_so_until_it_is_mended(line):
    line.stations["station_one"] = {"topik": "a/#", "table": ONE}
    line.write_config()
    error = line.reload()
    assert "topik" in error
    assert "stations.yaml:" in error
    snapshot = line.status()
    health, reasons = status.health(snapshot)
    assert health == "degraded"
    assert any("not reloaded" in reason and "topik" in reason for reason in reasons)
    assert status.line(snapshot).endswith("not reloaded, see the log")
    shown = run_plain("status", "-c", str(line.config), folder=line.folder)
    assert shown.returncode == 1
    assert "topik" in shown.stdout, "the command must not stumble over the same file"
    assert run_plain("spool", "stats", "-c", str(line.config), folder=line.folder).returncode == 0
    wait_for(lambda: "not reloaded: the collector goes on as it was" in line.daemon.tail(), "a log")
    assert "topik" in line.daemon.tail()
    line.publisher().publish([reading(number) for number in range(20)])
    line.wait_delivered(range(20))
    line.stations = dict(STATIONS)
    line.write_config()
    assert line.reload() == ""
    assert status.health(line.status())[0] == "ok"


def test_what_a_running_daemon_holds_on_to_can_not_be_reloaded(line):
    line.change(spool={"path": "state/other.db"})
    assert "spool.path was" in line.reload()
    assert not (line.folder / "state" / "other.db").exists()


def test_another_endpoint_is_used_after_a_reload_and_each_record_comes_once(line, tmp_path):
    (tmp_path / "other").mkdir()
    other = LocalZerobus(tmp_path / "other").start()
    try:
        load = Load(line.publisher())
        load.start()
        load.published(1_000)
        line.change(
            zerobus={
                "endpoint": f"http://127.0.0.1:{other.grpc}",
                "workspace_url": f"http://127.0.0.1:{other.http}",
            }
        )
        assert line.reload() == ""
        wait_for(other.ids, "records at the other endpoint")
        ids = load.end()
        line.wait_drained()
        assert sorted(line.zerobus.ids() + other.ids()) == sorted(ids)
        line.check_balances()
    finally:
        other.stop()


def test_another_broker_is_used_after_a_reload(line, tmp_path):
    (tmp_path / "other").mkdir()
    other = Broker(tmp_path / "other").start()
    try:
        line.publisher().publish([reading(number) for number in range(10)])
        line.wait_delivered(range(10))
        line.change(mqtt={"url": f"mqtt://127.0.0.1:{other.port}"})
        assert line.reload() == ""
        wait_for(line.is_connected, "the other broker")
        wait_for(lambda: str(other.port) in line.status()["broker"]["url"], "its address")
        publisher = Publisher(other.port)
        publisher.publish([reading(number) for number in range(10, 20)])
        publisher.close()
        line.wait_delivered(range(20))
        line.check_balances()
    finally:
        other.stop()


def test_a_password_that_was_renewed_connects_again_in_the_same_session(line_folder):
    secret = line_folder / "secret"
    secret.write_text("one")
    line = Line(line_folder, mqtt={"username": "u", "password_file": "secret"})
    with line:
        load = Load(line.publisher())
        load.start()
        load.published(200)
        secret.write_text("two")
        assert line.reload() == ""
        wait_for(
            lambda: line.is_connected() and line.status()["broker"]["connects"], "a connection"
        )
        load.published(400)
        ids = load.end()
        line.wait_delivered(ids)
        line.check_balances()
        assert line.daemon.tail().count("connected to") == 2


def test_reloads_of_the_broker_take_no_files_and_count_on(line):
    def files():
        return len(list(Path(f"/proc/{line.daemon.process.pid}/fd").iterdir()))

    line.change(mqtt={"keepalive": "50s"})
    assert line.reload() == ""
    wait_for(lambda: line.status()["broker"]["connects"] == 2, "the second connection")
    before = files()
    for number in range(5):
        line.change(mqtt={"keepalive": f"{51 + number}s"})
        assert line.reload() == ""
        connects = 3 + number
        wait_for(
            lambda connects=connects: (
                line.status()["broker"]["connects"] == connects
                and line.status()["broker"]["connected"]
            ),
            "the next connection",
        )
    assert files() <= before + 2


def test_a_certificate_that_is_none_changes_nothing_and_is_named(line, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    line.change(mqtt={"ca_file": "ca.pem", "url": f"mqtts://localhost:{line.broker.tls_port}"})
    error = line.reload()
    assert "mqtt.ca_file" in error
    assert "ca.pem can't be used" in error
    assert line.is_connected()


def test_limits_of_the_spool_are_changed_by_a_reload(line):
    line.change(spool={"max_bytes": "900MB"})
    assert line.reload() == ""
    wait_for(lambda: line.status()["spool"]["max_bytes"] == 900_000_000, "the limit")


def test_a_reload_while_the_broker_is_away_is_done_when_it_is_back(line):
    line.broker.stop()
    wait_for(lambda: not line.status()["broker"]["connected"], "the loss of the broker")
    line.stations["station_three"] = {"topic": "other/+", "table": ONE, "schema": "station_one"}
    line.write_config()
    assert line.reload() == ""
    line.broker.start()
    wait_for(line.is_connected, "the broker")
    wait_for(lambda: "other/+" in granted(line), "the new filter")
    line.publisher().publish([(5, "other/d", b'{"device_name": "x", "humidity": 5}')])
    line.wait_delivered([5])


def test_a_line_that_speaks_mqtt_3_1_1_gets_new_filters_too(line_folder):
    with Line(line_folder, mqtt={"protocol": "3.1.1"}) as line:
        line.stations["station_three"] = {"topic": "other/+", "table": ONE, "schema": "station_one"}
        line.write_config()
        assert line.reload() == ""
        wait_for(lambda: "other/+" in granted(line), "the new filter")
        line.publisher().publish([(5, "other/d", b'{"device_name": "x", "humidity": 5}')])
        line.wait_delivered([5])


def test_a_held_table_goes_on_when_its_mended_schema_is_reloaded(line):
    tables = line.own_tables()
    schema = tables / "station_one" / "schema.proto"
    text = schema.read_text()
    schema.write_text(text.replace("}", "  optional string colour = 4;\n}"))
    assert line.reload() == ""
    line.zerobus.define(ONE, COLUMNS)
    line.publisher().publish([reading(number) for number in range(10)])
    wait_for(lambda: line.status()["tables"][ONE].get("state") == "held", "the hold", 60)
    schema.write_text(text)
    assert line.reload() == ""
    line.wait_delivered(range(10), 20)
    line.check_balances()
