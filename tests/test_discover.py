"""`collector discover` as a new user has it: real broker, real emulator, real daemon.

Devices of five families that no code knows publish all the time. What is written must pass `check`,
and `run` must bring rows of all of them into Delta tables.
"""

import json
import signal
import subprocess
import sys
import time

import pytest
from deltalake import DeltaTable
from support.broker import Broker
from support.corpus import ENTRIES, payload_of
from support.devices import TABLES, Devices
from support.line import ROOT, LocalZerobus, Process
from support.publisher import Publisher
from support.terminal import ENVIRONMENT, Terminal, run_plain
from support.waiting import wait_for

from collector.config import load
from collector.plan import plan
from collector.samples import Samples

SIXTY_S = 60


@pytest.fixture
def broker(line_folder):
    broker = Broker(line_folder).start()
    yield broker
    broker.stop()


def discover(folder, broker, *options, for_="2s"):
    done = run_plain(
        "discover", "--url", f"mqtt://127.0.0.1:{broker.port}", "--for", for_, *options,
        folder=folder,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def found(folder, broker, *options, **more):
    """The report of a discovery that went well."""
    done = discover(folder, broker, "--json", *options, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def retain(broker, messages):
    """Publish messages that stay, so that who listens later hears them."""
    publisher = Publisher(broker.port, retain=True)
    publisher.publish([(number, *message) for number, message in enumerate(messages)])
    publisher.close()


def is_sound(folder, into="discovered"):
    """Whether what was written passes `check`, with its samples."""
    compiled = plan(load(folder / into / "stations.yaml", {}))
    samples = Samples(compiled)
    samples.run()
    assert samples.problems == []
    return samples.checked


def test_five_unknown_families_are_rows_in_delta_within_sixty_seconds(line_folder, broker):
    zerobus = LocalZerobus(line_folder).start()
    environment = {
        "ZEROBUS_ENDPOINT": f"http://127.0.0.1:{zerobus.grpc}",
        "ZEROBUS_WORKSPACE_URL": f"http://127.0.0.1:{zerobus.http}",
        "no_proxy": "127.0.0.1",
    }
    config = line_folder / "discovered" / "stations.yaml"
    daemon = Process(
        "daemon", line_folder, [sys.executable, "-m", "collector", "run", "-c", str(config)],
        environment,
    )  # fmt: skip
    try:
        with Devices(broker.port):
            started = time.monotonic()
            report = found(line_folder, broker, for_="5s")
            assert run_plain("check", "-c", config, folder=line_folder).returncode == 0
            daemon.start()
            wait_for(lambda: all(rows(zerobus, name) for name in TABLES), "rows of all", SIXTY_S)
            took_s = time.monotonic() - started
        print(f"from discover to rows in Delta: {took_s:.1f} s")
        assert took_s < SIXTY_S
        assert sorted(one["station"] for one in report["stations"]) == sorted(TABLES)
        for one in report["stations"]:
            assert one["messages"] == one["messages_with_rows"] > 0, one
        assert report["not_written"] == []
        assert report["messages_with_rows"] == report["looked_at"] == report["messages"]
    finally:
        for part in (daemon, zerobus):
            part.stop()
    (weather, *_) = rows(zerobus, "orchard_weather_obs")
    assert {"row", "mast", "epoch", "air_temp_c", "soil_temp_c", "leaf_wet", "serial"} < set(
        weather
    )
    assert weather["serial"] == "004711"
    assert isinstance(weather["leaf_wet"], bool)
    assert all(row["soil_temp_c"] != -999 for row in rows(zerobus, "orchard_weather_obs"))
    assert {row["plug"] for row in rows(zerobus, "depot_charger")} == {1, 2, 3}
    assert {row["path"] for row in rows(zerobus, "harbour")} >= {"level", "crane/brake"}
    assert all(row["gateway"] and row["seq"] for row in rows(zerobus, "kiln_log"))


def rows(zerobus, table):
    folder = zerobus.lake / "main" / "iot" / table
    # Its folder is there a moment before the first file of its log.
    if not DeltaTable.is_deltatable(str(folder)):
        return []
    return DeltaTable(str(folder)).to_pyarrow_table().to_pylist()


def test_the_corpus_is_discovered_and_the_report_is_honest(line_folder, broker):
    """Broken messages are in it on purpose: each is named, and all else gives rows."""
    sent = [
        (sample["topic"], payload_of(sample))
        for entry in ENTRIES.values()
        for sample in entry["samples"]
    ]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "collector", "discover", "--json", "--for", "4s",
            "--url", f"mqtt://127.0.0.1:{broker.port}",
        ],
        cwd=line_folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = process.stderr.readline()
    assert said.startswith("listening"), said
    publisher = Publisher(broker.port)
    publisher.publish([(number, *message) for number, message in enumerate(sent)])
    publisher.close()
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 0, talk
    report = json.loads(out)
    with_payload = sum(bool(payload) for _, payload in sent)
    assert report["messages"] == len(sent)
    assert report["without_payload"] == len(sent) - with_payload
    assert is_sound(line_folder) > 20
    formats = {one["format"] for one in report["stations"]}
    assert formats >= {"json", "cbor", "influx", "senml", "sparkplug", "text", "csv"}
    (unwritten,) = report["not_written"]
    assert all(topic.startswith("pb/") for topic in unwritten["topics"])
    assert "protobuf" in unwritten["reason"]
    kinds = {text.split(":")[0] for one in report["stations"] for text in one["dead_letters"]}
    assert kinds == {"undecodable", "unknown_alias"}


def test_retained_messages_are_heard_and_samples_hold_what_was_sent(line_folder, broker):
    payload = b'{"level": 1.5, "note": "M\xc3\xbcller\'s: #1"}'
    retain(broker, [("tanks/t-1/state", payload), ("tanks/t-2/state", payload)])
    found(line_folder, broker, for_="500ms")
    folder = line_folder / "discovered" / "tables" / "tanks_state"
    assert payload.decode().replace("'", "''") in (folder / "samples/discovered.yaml").read_text()
    assert "// 2 of 2, always 1.5" in (folder / "schema.proto").read_text()
    station = (line_folder / "discovered" / "stations.yaml").read_text()
    assert "level:" in station
    assert "# 2 of 2, always 1.5" in station
    assert (
        "CREATE TABLE IF NOT EXISTS main.iot.tanks_state"
        in (line_folder / "discovered" / "tables.sql").read_text()
    )
    assert is_sound(line_folder) == 2


def test_nothing_is_ever_overwritten(line_folder, broker):
    retain(broker, [("a/b", b"1")])
    (line_folder / "discovered").mkdir()
    (line_folder / "discovered" / "mine.txt").write_text("mine")
    done = discover(line_folder, broker, for_="20s")
    assert done.returncode == 1
    assert "nothing is overwritten" in done.stderr
    assert "listening" not in done.stderr
    assert names_in(line_folder / "discovered") == ["mine.txt"]
    (line_folder / "empty").mkdir()
    assert discover(line_folder, broker, "--into", "empty", for_="300ms").returncode == 0
    before = (line_folder / "empty" / "stations.yaml").read_bytes()
    assert discover(line_folder, broker, "--into", "empty", for_="300ms").returncode == 1
    assert (line_folder / "empty" / "stations.yaml").read_bytes() == before
    assert [name for name in names_in(line_folder) if name.startswith(".")] == []


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def test_hearing_nothing_ends_with_one_and_writes_nothing(line_folder, broker):
    done = discover(line_folder, broker, for_="300ms")
    assert done.returncode == 1
    assert "0 messages" in done.stderr
    assert not (line_folder / "discovered").exists()


def test_a_broker_that_is_away_is_said_and_wrong_options_are_usage(line_folder, broker):
    broker.stop()
    done = discover(line_folder, broker, for_="300ms")
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    for options in (["--catalog", "main"], ["--topic", "a/#/b"], ["--for", "0s"]):
        assert run_plain("discover", *options, folder=line_folder).returncode == 2
    assert run_plain("discover", "--url", "http://x", folder=line_folder).returncode == 2
    assert run_plain("discover", "-c", "no.yaml", folder=line_folder).returncode == 78


def test_what_is_collected_already_is_left_out_and_the_login_is_that_of_the_file(line_folder):
    passwords = line_folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "box", "geheim"], check=True)
    passwords.chmod(0o644)
    login = f"allow_anonymous false\npassword_file {passwords}\n"
    broker = Broker(line_folder, extra=login)
    text = broker.config.read_text().replace("allow_anonymous true\n", "")
    broker.config.write_text(text)
    broker.start()
    try:
        config = line_folder / "stations.yaml"
        text = (ROOT / "stations.yaml").read_text().replace(
            "  # username: collector\n  # password: ${MQTT_PASSWORD}",
            "  username: box\n  password: geheim",
        )  # fmt: skip
        config.write_text(text.replace("localhost:1883", f"127.0.0.1:{broker.port}"))
        (line_folder / "tables").symlink_to(ROOT / "tables")
        for topic, message in (("sensors/station_one/a", "{}"), ("sensors/roof/b", '{"w": 1}')):
            subprocess.run(
                ["mosquitto_pub", "-p", str(broker.port), "-u", "box", "-P", "geheim", "-r",
                 "-q", "1", "-t", topic, "-m", message],
                check=True,
            )  # fmt: skip
        done = run_plain("discover", "--for", "500ms", "--json", folder=line_folder)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["already_collected"] == 1
        assert [one["topic"] for one in report["stations"]] == ["sensors/roof/b"]
        written = (line_folder / "discovered" / "stations.yaml").read_text()
        assert 'username: "box"' in written
        assert "geheim" not in written
        assert is_sound(line_folder) == 1
    finally:
        broker.stop()


def test_ctrl_c_ends_listening_and_still_writes(line_folder, broker):
    retain(broker, [("a/b/c", b'{"x": 1}')])
    process = subprocess.Popen(
        [
            sys.executable, "-m", "collector", "discover", "--for", "1h",
            "--url", f"mqtt://127.0.0.1:{broker.port}",
        ],
        cwd=line_folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline().startswith("listening")
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=30)
    assert "listening was ended" in talk
    assert process.returncode == 0, out + talk
    assert is_sound(line_folder) == 1


def test_a_terminal_shows_what_is_found_while_it_comes(line_folder, broker):
    with (
        Devices(broker.port),
        Terminal(
            "discover", "--url", f"mqtt://127.0.0.1:{broker.port}", "--for", "1h",
            folder=line_folder, LANG="C.UTF-8",
        ) as terminal,
    ):  # fmt: skip
        lines = terminal.shows("orchard/{row}/{mast}/weather/obs", "msgpack", "Ctrl-C")
        assert max(map(len, lines)) <= 80
        terminal.type(b"\x03")
        terminal.shows("GIVE ROWS", "collector check -c discovered/stations.yaml")
        assert terminal.ends() == 0


HOSTILE = [
    ("weird/ünïcode/温度", b'{"temp": 1}'),
    ("weird/a b/'quote\"", b'{"temp": 1}'),
    ("weird/{brace}/x", b'{"temp": 1}'),
    ("weird/${HOME}/x", b'{"temp": 1}'),
    ("weird//empty", b'{"temp": 1}'),
    ("/leading", b'{"temp": 1}'),
    ("weird/#hash: yes/x".replace("#", "%23"), b'{"temp": 1}'),
    ("weird/control/x", b'{"temp": "\\u001b[2J"}'),
    ("same/a-b", b'{"a b": 1, "a-b": "x", "a_b": true, "A_B": null, "A.B": 2.5}'),
    ("same/a_b", b'{"received": 1, "seq": "x", "gateway": [1], "select": 1, "self": 2, "": 3}'),
    ("same/A-B", b'{"..": 1, "*": 2, "a/b": 3, "~": 4, "$x": 5, "${y}": 6, "message": 7}'),
    ("deep/one", b'{"a":' * 90 + b"1" + b"}" * 90),
    ("deep/list", b"[" * 90 + b"1" + b"]" * 90),
    ("deep/wide", json.dumps({f"k{n}": n for n in range(1500)}).encode()),
    ("deep/empty", b'{"o": {}, "l": [], "n": null}'),
    ("deep/nothing", b"{}"),
    ("deep/null", b"null"),
    ("junk/bytes", bytes(range(256))),
    ("junk/huge", b"x" * 300_000),
    ("junk/over", b"y" * 2_000_000),
    ("junk/number", b"9" * 4_000),
    ("junk/float", b'{"a": 1e999, "b": 123456789012345678901234567890}'),
    ("junk/half", b'{"a": 1'),
    ("junk/newlines", b"\n\n\r\n"),
    ("junk/mixed", b'[1, "a", {"b": [[1]]}, null]'),
    ("tree/a/b/c/d/e/f/g/h/i/j/k/l/m", b"1"),
    ("spBv1.0/g/NDATA/n", b"\xff\xff\xff"),
    ("spBv1.0/", b"x"),
]


def test_hostile_topics_and_payloads_break_nothing(line_folder, broker):
    retain(broker, HOSTILE)
    report = found(line_folder, broker, for_="2s")
    assert is_sound(line_folder) > 10
    assert report["messages"] == len(HOSTILE)
    named = sum(len(one["topics"]) for one in report["not_written"])
    looked_at = sum(one["messages"] for one in report["stations"]) + named
    assert looked_at + sum(report["not_looked_at"].values()) >= len(HOSTILE)
    done = run_plain("check", "-c", "discovered/stations.yaml", folder=line_folder)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout


def test_thousands_of_topics_are_one_station(line_folder, broker):
    messages = [(f"swarm/bee{n}/honey", b'{"grams": %d}' % n) for n in range(2_000)]
    messages += [(f"words/{chr(97 + n % 26)}{chr(97 + n // 26)}", b"on") for n in range(600)]
    retain(broker, messages)
    report = found(line_folder, broker, for_="3s")
    assert [(one["topic"], one["topics"]) for one in report["stations"]] == [
        ("swarm/{bee}/honey", 2_000),
        ("words/{property}", 600),
    ]
    assert is_sound(line_folder) > 1
