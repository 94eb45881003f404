"""`collector tail`: rows as they will be written, directly from a real broker."""

import json
import subprocess
import sys

import pytest
from support.broker import Broker
from support.corpus import ENTRIES, STATIONS, payload_of
from support.line import Line, reading
from support.publisher import Publisher
from support.station import write_stations
from support.terminal import ENVIRONMENT, run_plain
from support.waiting import wait_for

STATION = ("one", "device STRING NOT NULL, temp DOUBLE, seq BIGINT")
WORDS = "topic: {}\ncolumns: {{device: $device, temp: /temp, seq: $seq}}"


@pytest.fixture
def broker(line_folder):
    broker = Broker(line_folder).start()
    yield broker
    broker.stop()


class Tail:
    """The command at work; `lines` are those of its stdout, `talk` of its stderr."""

    def __init__(self, folder, *options):
        self._files = [(folder / name).open("w+") for name in ("out.txt", "talk.txt")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "collector", "tail", *options],
            cwd=folder, env=ENVIRONMENT, stdout=self._files[0], stderr=self._files[1],
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        for file in self._files:
            file.close()

    def text(self, which=0):
        self._files[which].seek(0)
        return self._files[which].read()

    def ends(self):
        return self.process.wait(30)


def publish_until(broker, tail, messages):
    """Publish again and again, because nobody says when a subscription is there."""
    publisher = Publisher(broker.port)

    def has_ended():
        publisher.publish([(number, *message) for number, message in enumerate(messages)])
        return tail.process.poll() is not None

    wait_for(has_ended, "the tail to end", step=0.2)
    publisher.close()


def one_station(folder, broker, topic="t/{device}", *more):
    return write_stations(
        folder, [(*STATION, WORDS.format(topic)), *more], mqtt=broker.port
    )  # fmt: skip


def test_rows_stand_on_stdout_and_dead_letters_with_their_reason_on_stderr(line_folder, broker):
    one_station(line_folder, broker)
    with Tail(line_folder, "--count", "3") as tail:
        publish_until(broker, tail, [("t/a", b'{"temp": "warm"}'), ("t/b", b'{"temp": 2}')])
        assert tail.ends() == 0
        lines = tail.text().splitlines()
        assert [line.split("  ", 1)[0] for line in lines] == ["one"] * 3
        rows = [json.loads(line.split("  ", 1)[1]) for line in lines]
        assert [row["seq"] for row in rows] == [1, 2, 3]
        assert rows[0] == {"device": "b", "temp": 2.0, "seq": 1}
        assert 'one  bad_value: temp: "warm" is not a number  (t/a)' in tail.text(1)


def test_json_has_rows_and_dead_letters_in_their_order(line_folder, broker):
    one_station(line_folder, broker)
    with Tail(line_folder, "--json", "-n", "2") as tail:
        publish_until(broker, tail, [("t/a", b'{"temp": 1}'), ("t/a", b"rubbish")])
        documents = [json.loads(line) for line in tail.text().splitlines()]
    row, letter, _ = documents
    assert (row["station"], row["table"]) == ("one", "main.iot.one")
    assert row["row"] == {"device": "a", "temp": 1.0, "seq": 1}
    assert letter["topic"] == "t/a"
    assert letter["dead_letter"]["kind"] == "undecodable"


def test_only_the_named_stations_are_shown_and_each_message_once(line_folder, broker):
    """The filters of station two overlap, so that the broker sends a copy for each."""
    two = (
        "two",
        "device STRING NOT NULL, temp DOUBLE",
        "topic: [t/+, '#']\ncolumns: {device: $topic}",
    )
    one_station(line_folder, broker, "t/{device}", two)
    with Tail(line_folder, "two", "--for", "2s", "--json") as tail:
        publisher = Publisher(broker.port)
        sent = []

        def is_heard():
            sent.append(len(sent))
            publisher.publish([(len(sent), f"t/{len(sent)}", b"{}")])
            return tail.text()

        wait_for(is_heard, "a row", step=0.2)
        assert tail.ends() == 0
        publisher.close()
        rows = [json.loads(line) for line in tail.text().splitlines()]
    assert {row["station"] for row in rows} == {"two"}
    devices = [row["row"]["device"] for row in rows]
    assert len(devices) == len(set(devices)) > 0
    done = run_plain("tail", "three", folder=line_folder)
    assert done.returncode == 2
    assert "there are one, two" in done.stderr


def test_a_running_collector_loses_nothing_to_a_tail(line_folder):
    with Line(line_folder) as line:
        with Tail(line_folder, "-n", "5", "-c", str(line.config)) as tail:
            publisher = line.publisher()
            sent = []

            def has_ended():
                number = len(sent)
                sent.append(number)
                publisher.publish([reading(number)])
                return tail.process.poll() is not None

            wait_for(has_ended, "the tail to end", step=0.1)
            assert tail.text().count("station_one") == 5
        line.wait_delivered(sent)
        assert sorted(line.zerobus.ids()) == sent
        line.check_balances()


def test_aliases_of_sparkplug_come_from_the_spool_of_the_collector(line_folder):
    """The births were before the tail: only the spool knows what they said."""
    entry = ENTRIES["sparkplug_b_node"]
    stations = {"metrics": {"topic": "spBv1.0/#", "format": "sparkplug", "table": "main.iot.m"}}
    schema = 'syntax = "proto2";\nmessage M { optional string metric = 1; }\n'
    samples = [sample for sample in entry["samples"] if sample.get("expect", {}).get("rows")]
    assert STATIONS.exists()
    (birth, data) = samples[0], next(one for one in samples if "NDATA" in one["topic"])
    assert "NBIRTH" in birth["topic"]
    with Line(line_folder, stations=stations, tables={"metrics": schema}) as line:
        publisher = line.publisher()
        publisher.publish([(0, birth["topic"], payload_of(birth))])
        wait_for(lambda: line.counters().get(("", "recorded")), "the birth")
        with Tail(line_folder, "-n", "1", "-c", str(line.config)) as tail:
            publish_until(line.broker, tail, [(data["topic"], payload_of(data))])
            assert '"metric": "' in tail.text()


def test_a_broker_that_is_away_ends_a_tail_with_one(line_folder, broker):
    one_station(line_folder, broker)
    broker.stop()
    done = run_plain("tail", folder=line_folder)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
