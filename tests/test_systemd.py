"""The units, under a real systemd: what it does to the collector, and what it is told by it.

One systemd is booted for all of these tests (`support/booted.py`), with a broker and a local
Zerobus in it, and no other network than that. Each test begins with the plain unit running on the
sample's configuration.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.booted import COLLECTOR, ROOT, Booted, refusal
from support.waiting import wait_for

from collector.clock import is_kernel_synchronised
from collector.config.loading import SECRETS

UNITS = ("collector.service", "collector@.service")
CONFIG = "/etc/collector/stations.yaml"
SPOOL = "/var/lib/collector/spool.db"
ACKNOWLEDGED = "/var/tmp/acknowledged"
DROP_IN = "/run/systemd/system/collector.service.d/test.conf"
CANARY = "canary-5ecret"
EXPOSURE_MAX = "15"  # Of 100: redis has 12, mosquitto 96.
BROKER = """
user root
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
listener 1884 127.0.0.1
allow_anonymous false
password_file /etc/broker.passwords
"""


@pytest.fixture(scope="module", autouse=True)
def systemd():
    if shutil.which("systemd-analyze") is None or not Path("/lib/systemd/systemd").exists():
        message = "systemd is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    if reason := refusal():
        pytest.skip(reason)
    with Booted(tmp_path_factory.mktemp("systemd")) as booted:
        booted.write("/etc/broker.conf", BROKER)
        booted.run("mosquitto_passwd", "-c", "-b", "/etc/broker.passwords", "gateway", CANARY)
        booted.start("broker", "mosquitto", "-c", "/etc/broker.conf")
        start_zerobus(booted)
        wait_for(lambda: listens(booted, 1883), "the broker")
        configure(booted)
        yield booted


@pytest.fixture
def collector(box):
    """The box with the plain unit running; afterwards it is as it was installed."""
    box.forget_journal()
    box.run("systemctl", "start", "collector")
    wait_for(lambda: is_connected(box), "the connection to the broker")
    yield box
    configure(box)
    box.file(DROP_IN).unlink(missing_ok=True)
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "stop", "collector", "collector@*")
    box.run("systemctl", "reset-failed")


def configure(box, folder="/etc/collector", change=lambda text: text):
    shutil.copytree(ROOT / "tables", box.file(f"{folder}/tables"), dirs_exist_ok=True)
    box.write(f"{folder}/stations.yaml", change((ROOT / "stations.yaml").read_text()))


def start_zerobus(box):
    box.start("zerobus", COLLECTOR, "emulate", "--log", ACKNOWLEDGED)
    for port in (15051, 15052):
        wait_for(lambda port=port: listens(box, port), "the local Zerobus", 90)


def listens(box, port):
    return box.succeeds("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}")


def drop_in(box, text):
    """Change the plain unit as `systemctl edit` does, and start it anew."""
    box.write(DROP_IN, f"[Service]\n{text}\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", "collector")


def publish(box, humidity, topic="sensors/station_one/d"):
    payload = json.dumps({"device_name": "d", "humidity": humidity})
    box.run("mosquitto_pub", "-q", "1", "-t", topic, "-m", payload)


def is_delivered(box, humidity):
    file = box.file(ACKNOWLEDGED)
    return file.exists() and f'"humidity": {humidity}' in file.read_text()


def status_of(box, config=CONFIG):
    """What an operator is told, who has none of the variables that systemd sets."""
    said = box.collector("status", "--json", "--config", config)
    return json.loads(said) if said else {}


def is_connected(box, config=CONFIG):
    return status_of(box, config).get("broker", {}).get("connected")


def modes(box, folder):
    """The owner and the mode of a folder, and of all that is in it."""
    # A file that is being replaced may go meanwhile, which find calls a failure.
    listed = box.run("find", folder, "-printf", "%P %u %m\n", check=False).splitlines()
    return {name: (user, mode) for name, user, mode in (line.split(" ") for line in listed)}


def verify(file, text):
    file.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", file]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


# -- the units by themselves --------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path, unit):
    text = (ROOT / "systemd" / unit).read_text()
    # The program itself need not be installed for that.
    verify(tmp_path / unit, text.replace(COLLECTOR, "/bin/true"))


def test_systemd_finds_nothing_wrong_with_the_drop_ins_of_the_documents(tmp_path):
    text = (ROOT / "docs" / "operations.md").read_text()
    examples = re.findall(r"^```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    unit = (ROOT / "systemd" / "collector.service").read_text().replace(COLLECTOR, "/bin/true")
    verify(tmp_path / "collector.service", "\n".join([unit, *examples]))


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_exposed_to_little(unit):
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         f"--threshold={EXPOSURE_MAX}", ROOT / "systemd" / unit],
        capture_output=True, check=True,
    )  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_every_secret_may_come_as_a_credential_and_may_be_missing(unit):
    text = (ROOT / "systemd" / unit).read_text()
    assert len(SECRETS) >= 3
    for _, _, credential in SECRETS:
        assert f"\nSetCredential={credential}:\\n\n" in text
        assert re.search(rf"\nLoadCredential={credential}:/etc/\S+/{credential}\n", text)


def test_an_instance_differs_from_the_plain_unit_in_names_alone():
    plain, template = ((ROOT / "systemd" / unit).read_text() for unit in UNITS)
    named = {
        "Description=Collector:": "Description=Collector %i:",
        "/etc/collector/": "/etc/collector/%i/",
        "StateDirectory=collector": "StateDirectory=collector-%i",
        "RuntimeDirectory=collector": "RuntimeDirectory=collector-%i",
        "ConfigurationDirectory=collector": "ConfigurationDirectory=collector/%i",
    }
    plain, template = (text[text.index("[Unit]") :] for text in (plain, template))
    for own, of_instance in named.items():
        plain = plain.replace(own, of_instance)
    assert template == plain


# -- the beginning and the end ------------------------------------------------------------------


def test_it_carries_a_message_and_says_how_it_is(collector):
    publish(collector, 1001)
    wait_for(lambda: is_delivered(collector, 1001), "the record", 90)
    online = r"online · \d[\d,]* spooled.* · \d[\d,]* msg/s"
    wait_for(lambda: re.fullmatch(online, collector.show("collector", "StatusText")), "the line")
    # What hardens the unit must not keep it from asking.
    knows = lambda: status_of(collector)["clock_ok"] == is_kernel_synchronised()  # noqa: E731
    wait_for(knows, "the state of the clock")
    seen = collector.run("systemctl", "status", "collector")
    assert "Active: active (running)" in seen
    assert 'Status: "' in seen


def test_it_is_active_only_when_the_spool_is_open(collector):
    collector.run("systemctl", "stop", "collector")
    held = "/run/held"
    sign = f"touch {held}; exec sleep 600"
    collector.start("holder", "flock", f"{SPOOL}.lock", "sh", "-c", sign)
    wait_for(lambda: collector.file(held).exists(), "the lock to be held")
    collector.run("systemctl", "start", "--no-block", "collector")
    waits = {"ActiveState": "activating", "StatusText": "opening the spool"}
    wait_for(lambda: collector.shown("collector", **waits), "the start to wait")
    collector.run("systemctl", "stop", "holder")
    wait_for(lambda: collector.shown("collector", ActiveState="active", NRestarts=0), "the start")


def test_what_it_writes_is_its_own(collector):
    wait_for(lambda: collector.file("/run/collector/status.json").exists(), "the status file")
    for folder, mode in (("/var/lib/collector", "700"), ("/run/collector", "750")):
        found = modes(collector, folder)
        assert found.pop("") == ("collector", mode)
        assert set(found.values()) == {("collector", "600")}
    assert collector.file(SPOOL).exists()


def test_a_stop_ends_in_order_and_in_time(collector):
    publish(collector, 1002)
    collector.run("systemctl", "stop", "collector")
    # Past the deadline it would be killed, and the result another one.
    ended = {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": 0}
    assert collector.shown("collector", **ended)
    assert "stopped" in collector.journal("collector")
    assert status_of(collector)["health"] == "not running"


def test_it_is_started_again_after_a_kill_and_sends_what_it_had(collector):
    collector.run("systemctl", "stop", "zerobus")
    publish(collector, 1003)
    pid = collector.show("collector", "MainPID")
    collector.run("systemctl", "kill", "--signal=KILL", "collector")
    again = {"ActiveState": "active", "NRestarts": 1}
    wait_for(lambda: collector.shown("collector", **again), "the restart")
    assert collector.show("collector", "MainPID") != pid
    start_zerobus(collector)
    wait_for(lambda: is_delivered(collector, 1003), "what was in the spool", 90)


def test_a_broken_configuration_is_not_tried_again(collector):
    configure(collector, change=lambda text: text.replace("stations:", "stationz:"))
    collector.run("systemctl", "restart", "collector", check=False)
    ended = {"ActiveState": "failed", "SubState": "failed", "ExecMainStatus": 78, "NRestarts": 0}
    wait_for(lambda: collector.shown("collector", **ended), "the end")
    assert "stationz: unknown key" in collector.journal("collector")


def test_it_starts_and_is_ready_without_any_network(collector):
    def far(text):
        text = text.replace("mqtt://localhost:1883", "mqtts://broker.example")
        for port in ("15051", "15052"):
            text = text.replace(f"http://127.0.0.1:{port}", f"https://zerobus{port}.example")
        return text

    assert len(Path(collector.file("/proc/1/net/route")).read_text().splitlines()) == 1
    configure(collector, "/etc/collector/far", far)
    collector.run("systemctl", "start", "collector@far")
    assert collector.shown("collector@far", ActiveState="active")
    offline = lambda: collector.show("collector@far", "StatusText").startswith("offline")  # noqa: E731
    wait_for(offline, "the line")
    assert collector.file("/var/lib/collector-far/spool.db").exists()


# -- the watchdog -------------------------------------------------------------------------------


def test_a_loop_that_stands_still_is_started_again_and_nothing_is_lost(collector):
    wrong = "/opt/collector/bin/python /opt/collector/source/tests/support/wrong.py"
    drop_in(
        collector,
        "WatchdogSec=8\nEnvironment=PYTHONPATH=/opt/collector/source\n"
        f"ExecStart=\nExecStart={wrong} drain-stands-still --config {CONFIG}",
    )
    wait_for(lambda: is_connected(collector), "the connection of the wrong one")
    publish(collector, 1004)
    restarted = lambda: collector.show("collector", "NRestarts") != "0"  # noqa: E731
    wait_for(restarted, "the watchdog", 120)
    said = collector.journal("collector")
    assert "standing still" in said
    assert "Watchdog timeout" in said
    assert not is_delivered(collector, 1004)
    drop_in(collector, "")
    wait_for(lambda: is_delivered(collector, 1004), "what the loop had kept", 90)


def test_a_process_that_stands_still_is_started_again(collector):
    drop_in(collector, "WatchdogSec=8")
    collector.run("systemctl", "kill", "--signal=STOP", "collector")
    again = {"ActiveState": "active", "NRestarts": 1}
    wait_for(lambda: collector.shown("collector", **again), "the watchdog", 120)
    assert "Watchdog timeout" in collector.journal("collector")


# -- secrets, instances, reload -----------------------------------------------------------------


def test_a_secret_comes_from_its_credential_and_is_seen_nowhere_else(collector):
    def locked(text):
        text = text.replace("mqtt://localhost:1883", "mqtt://localhost:1884")
        return text.replace("  # username: collector", "  username: gateway")

    config, unit = "/etc/collector/locked/stations.yaml", "collector@locked"
    configure(collector, "/etc/collector/locked", locked)
    collector.run("systemctl", "start", unit)
    refused = lambda: "uthor" in str(status_of(collector, config).get("broker"))  # noqa: E731
    wait_for(refused, "the refusal without a password")
    secret = "/etc/collector/locked/credentials/mqtt_password"
    collector.write(secret, f"{CANARY}\n", 0o600)
    collector.run("systemctl", "restart", unit)
    wait_for(lambda: is_connected(collector, config), "the connection with the password")
    process = f"/proc/{collector.show(unit, 'MainPID')}"
    places = [
        collector.run("systemctl", "show", unit),
        collector.journal(unit),
        collector.run("cat", "/run/collector-locked/status.json"),
        collector.run("cat", f"{process}/cmdline"),
        collector.run("cat", f"{process}/environ"),
    ]
    assert all(places)
    assert not [place for place in places if CANARY in place]
    as_collector = ("runuser", "-u", "collector", "--", "cat")
    assert CANARY in collector.run("cat", secret)
    assert collector.run(*as_collector, secret, check=False) == ""


def test_an_instance_has_all_of_its_own_beside_the_plain_unit(collector):
    configure(collector, "/etc/collector/line1")
    collector.run("systemctl", "start", "collector@line1")
    config = "/etc/collector/line1/stations.yaml"
    wait_for(lambda: is_connected(collector, config), "the connection of the instance")
    for unit, folder in (("collector", "collector"), ("collector@line1", "collector-line1")):
        own = CONFIG if unit == "collector" else config
        assert status_of(collector, own)["pid"] == int(collector.show(unit, "MainPID"))
        assert collector.file(f"/var/lib/{folder}/spool.db").exists()
        # Of two with one name the broker would send one away.
        assert status_of(collector, own)["broker"]["disconnects"] == 0
    collector.run("systemctl", "stop", "collector@line1")
    assert status_of(collector)["pid"] == int(collector.show("collector", "MainPID"))


def test_a_reload_takes_what_the_file_says_and_a_broken_file_changes_nothing(collector):
    pid = collector.show("collector", "MainPID")
    configure(collector, change=lambda text: text.replace("sensors/station_one/+", "other/+"))
    collector.run("systemctl", "reload", "collector")
    reloaded = lambda: status_of(collector)["configuration"]["reloads"] == 1  # noqa: E731
    wait_for(reloaded, "the reload")

    def arrives():
        publish(collector, 1005, "other/d")
        return is_delivered(collector, 1005)

    wait_for(arrives, "a record by the other filter", 90)
    configure(collector, change=lambda text: text.replace("stations:", "stationz:"))
    collector.run("systemctl", "reload", "collector")
    told = lambda: "not reloaded" in collector.show("collector", "StatusText")  # noqa: E731
    wait_for(told, "systemd to be told")
    assert "stationz: unknown key" in collector.journal("collector")
    assert collector.shown("collector", ActiveState="active", MainPID=pid, NRestarts=0)
