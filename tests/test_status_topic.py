"""The status topic: what the site's own systems hear at the broker, whatever happens."""

import json
import signal

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from support.line import STATIONS, Line, reading
from support.parts import make_plan
from support.waiting import wait_for

from collector import status
from collector.errors import ConfigError

TOPIC = "collector/test/status"


class Site:
    """Another client of the broker, which keeps all that it hears."""

    def __init__(self, port):
        self.heard = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
        self._client.on_message = lambda _client, _userdata, came: self.heard.append(
            (json.loads(came.payload), came.retain)
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def last(self):
        return self.heard[-1][0] if self.heard else {}

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def said_to_a_newcomer(line):
    """What the broker has retained."""
    site = Site(line.broker.port)
    try:
        wait_for(lambda: site.heard, "the retained message")
        return site.heard[0][0]
    finally:
        site.close()


@pytest.fixture
def heard(line_folder):
    mqtt = {"status_topic": "collector/{gateway}/status"}
    with Line(line_folder, mqtt=mqtt, zerobus={"idle_after": "100ms"}) as line:
        site = Site(line.broker.port)
        yield line, site
        site.close()


def test_the_broker_says_whether_the_collector_is_online_degraded_stopped_or_dead(heard):
    line, site = heard
    first = wait_for(lambda: site.last().get("state") == "online" and site.last(), "online")
    assert first["backlog"] == 0
    assert {"time", "version", "reasons"} <= set(first)
    line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
    line.publisher().publish([reading(n) for n in range(5)])
    wait_for(lambda: site.last()["state"] == "degraded", "degraded")
    assert "is waiting" in site.last()["reasons"][0]
    line.zerobus.faults(None)
    wait_for(lambda: site.last()["state"] == "online", "online again")
    line.daemon.stop()
    wait_for(lambda: site.last()["state"] == "offline", "the goodbye")
    assert site.last()["reasons"] == ["stopped"]
    assert site.last()["time"]
    line.start_daemon()
    wait_for(lambda: site.last()["state"] == "online", "online after a restart")
    line.daemon.kill()
    wait_for(lambda: site.last()["state"] == "offline", "the will")
    assert site.last()["reasons"] == ["the connection was lost"]
    assert site.last()["time"] is None
    assert site.last()["connected"]
    assert said_to_a_newcomer(line) == site.last()


def test_the_will_and_the_state_are_there_after_a_reconnect_as_well(heard):
    line, site = heard
    wait_for(lambda: site.last().get("state") == "online", "online")
    line.broker.restart()
    wait_for(lambda: line.status()["broker"]["connects"] == 2 and line.is_connected(), "a connect")
    assert said_to_a_newcomer(line)["state"] in ("online", "offline")
    wait_for(lambda: said_to_a_newcomer(line)["state"] == "online", "online at the broker")
    line.daemon.kill()
    wait_for(lambda: said_to_a_newcomer(line)["state"] == "offline", "the will")
    line.start_daemon()
    wait_for(lambda: said_to_a_newcomer(line)["state"] == "online", "online once more")


REFUSING = {
    "acl": {"extra": "acl_file {folder}/acl\n"},
    "retain": {"extra": "retain_available false\n"},
}


@pytest.mark.parametrize("broker", REFUSING)
def test_a_broker_that_refuses_the_topic_keeps_the_collector_from_nothing(line_folder, broker):
    """By its access list mosquitto closes the connection at the message; without retained messages
    it refuses the connection for its will."""
    line = Line(line_folder, mqtt={"status_topic": TOPIC}, broker=REFUSING[broker])
    access = line.folder / "broker" / "acl"
    access.write_text("topic readwrite sensors/#\n")
    access.chmod(0o600)

    def said():
        return line.status().get("broker", {}).get("status_topic_problem", "")

    with line:
        wait_for(lambda: said() and line.is_connected(), "the collector to go on without", 60)
        assert f"mqtt.status_topic {TOPIC}" in said()
        assert said() in status.health(line.status())[1]
        wait_for(lambda: said() in line.daemon.tail(), "the log to say so")
        disconnects = line.status()["broker"]["disconnects"]
        line.publisher().publish([reading(n) for n in range(10)])
        line.wait_delivered(range(10))
        assert line.status()["broker"]["disconnects"] == disconnects
        if broker == "acl":
            mend(line, access)


def mend(line, access):
    """Allow it, and reload: the topic and the will are tried again."""
    access.write_text(f"topic readwrite sensors/#\ntopic readwrite {TOPIC}\n")
    line.broker.process.send_signal(signal.SIGHUP)
    log = line.folder / "broker" / "mosquitto.log"
    wait_for(lambda: "Reloading config" in log.read_text(), "mosquitto to read it again")
    assert line.reload() == ""
    wait_for(lambda: said_to_a_newcomer(line)["state"] == "online", "online at the broker")
    line.daemon.kill()
    wait_for(lambda: said_to_a_newcomer(line)["state"] == "offline", "the will")


def test_a_message_of_its_own_is_nothing_that_a_station_may_collect(tmp_path):
    stations = {"all": {"topic": "#", "table": "main.iot.station_one", "schema": "station_one"}}
    mqtt = {"status_topic": TOPIC}
    with pytest.raises(ConfigError) as caught:
        make_plan(tmp_path, stations, mqtt=mqtt)
    (problem,) = caught.value.problems
    assert problem.key == "stations.all.topic"
    assert "mqtt.status_topic" in problem.text
    assert "except" in problem.hint
    stations["all"]["except"] = [TOPIC]
    assert make_plan(tmp_path, stations, mqtt=mqtt).config.mqtt.status_topic == TOPIC


def test_without_a_topic_the_broker_is_told_nothing(line_folder):
    with Line(line_folder, stations=STATIONS) as line:
        site = Site(line.broker.port)
        line.publisher().publish([reading(1)])
        line.wait_delivered([1])
        line.daemon.stop()
        site.close()
        assert site.heard == []
