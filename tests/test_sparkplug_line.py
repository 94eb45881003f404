"""Sparkplug through the whole line: aliases outlive a restart, and a birth is asked for."""

import contextlib
import signal
import subprocess
import threading

import pytest
from support.columns import schema_text
from support.line import Line
from support.terminal import run_plain
from support.waiting import wait_for

from collector.formats.shared.sparkplug_wire import payload_class

Payload = payload_class()
TABLE = "main.iot.metrics"
STATION = {
    "topic": "spBv1.0/{group}/{type=NBIRTH|NDATA}/{node}",
    "table": TABLE,
    "format": "sparkplug",
    "sparkplug": {"rebirth": True},
    "columns": {"node": "$node", "metric": "metric", "value": "number"},
}
COLUMNS = "node STRING NOT NULL, metric STRING NOT NULL, value DOUBLE"
BIRTH = Payload(
    timestamp=1_000,
    seq=0,
    metrics=[
        {"name": "Line/Speed", "alias": 10, "datatype": 10, "timestamp": 1_000, "double_value": 1.5}
    ],
).SerializeToString()


def speed(value, alias=10, time=2_000):
    metric = {"alias": alias, "double_value": value}
    return Payload(timestamp=time, seq=1, metrics=[metric]).SerializeToString()


@pytest.fixture
def line(tmp_path):
    tables = {"metrics": schema_text(COLUMNS)}
    with Line(tmp_path, stations={"metrics": STATION}, tables=tables) as line:
        yield line


@contextlib.contextmanager
def commands(line):
    """What is published to the nodes: topic and payload in hex, one a line."""
    heard = []
    process = subprocess.Popen(
        ["mosquitto_sub", "-p", str(line.broker.port), "-t", "spBv1.0/+/NCMD/#", "-F", "%t %x"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    thread = threading.Thread(target=lambda: heard.extend(process.stdout))
    thread.start()
    try:
        yield heard
    finally:
        process.terminate()
        process.wait()
        thread.join()
        process.stdout.close()


def send(line, *messages, node="edge"):
    publisher = line.publisher()
    publisher.publish(
        [(number, f"spBv1.0/P/{type_}/{node}", raw) for number, (type_, raw) in enumerate(messages)]
    )


def values(line):
    return [(row["metric"], row["value"]) for row in line.zerobus.rows(TABLE)]


def test_aliases_are_known_after_a_kill_and_only_those_that_a_commit_has_stored(line):
    send(line, ("NBIRTH", BIRTH), ("NDATA", speed(2.5)))
    wait_for(lambda: values(line) == [("Line/Speed", 1.5), ("Line/Speed", 2.5)], "the rows")
    line.daemon.kill()
    send(line, ("NDATA", speed(3.5)))
    line.start_daemon()
    wait_for(lambda: ("Line/Speed", 3.5) in values(line), "the row after the restart")
    assert not line.dead_letters()


def test_a_birth_is_asked_for_once_a_minute_and_node_and_what_it_lacked_can_be_replayed(line):
    with commands(line) as heard:
        # A subscription is there when a message of our own comes back by it.
        wait_for(
            lambda: send(line, ("NCMD", b"there")) or any("746865" in one for one in heard),
            "the subscription", 30,
        )  # fmt: skip
        heard.clear()
        send(line, ("NDATA", speed(7.5)), ("NDATA", speed(8.5)))
        send(line, ("NDATA", speed(9.5)), node="other")
        wait_for(lambda: len(line.dead_letters()) == 3, "the dead letters")
        asked = lambda: [one for one in heard if "746865" not in one]  # noqa: E731
        wait_for(lambda: len(asked()) == 2, "two pleas")
    assert [letter["kind"] for letter in line.dead_letters()] == ["unknown_alias"] * 3
    topics = {line.split()[0] for line in asked()}
    assert topics == {"spBv1.0/P/NCMD/edge", "spBv1.0/P/NCMD/other"}
    (metric,) = Payload.FromString(bytes.fromhex(asked()[0].split()[1])).metrics
    assert (metric.name, metric.boolean_value) == ("Node Control/Rebirth", True)
    send(line, ("NBIRTH", BIRTH))
    wait_for(lambda: values(line), "the birth")
    done = run_plain("dead", "replay", "--all", folder=line.folder)
    assert done.returncode == 1, done
    assert "2 records" in done.stdout
    wait_for(lambda: {v for _, v in values(line)} == {1.5, 7.5, 8.5}, "the replayed rows")
    assert [letter["topic"] for letter in line.dead_letters()] == ["spBv1.0/P/NDATA/other"]


def test_a_stop_in_order_keeps_the_aliases_too(line):
    send(line, ("NBIRTH", BIRTH))
    wait_for(lambda: values(line), "the birth")
    assert line.daemon.stop(signal.SIGTERM) == 0
    payload = line.folder / "payload"
    payload.write_bytes(speed(4.5))
    with payload.open() as file:
        shown = run_plain("route", "spBv1.0/P/NDATA/edge", "-", folder=line.folder, stdin=file)
    assert '"metric": "Line/Speed", "value": 4.5' in shown.stdout
