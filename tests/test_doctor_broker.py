"""Preflight of the broker: every way in which real brokers say no is named, with what mends it.

Goal: an operator who reads one line knows what to change. Method: a real mosquitto for each setting
that it has; for what it never does, a broker that answers as it is told, or a bare socket.
"""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from support.broker import Broker
from support.certificates import make_certificates
from support.preflight import CANARY, Box, levels
from support.scripted_broker import ACCEPTED_3, ScriptedBroker
from support.waiting import free_port

WELL = {
    "broker address", "broker connection", "broker TLS", "broker login", "broker session",
    "broker filters", "broker queue", "broker echo",
}  # fmt: skip


@pytest.fixture
def mosquitto(line_folder):
    started = []

    def start(extra="", **more):
        started.append(Broker(line_folder, extra=extra, **more).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


def box_at(folder, port, scheme="mqtt", host="127.0.0.1", **mqtt):
    box = Box(folder / "box", mqtt={"url": f"{scheme}://{host}:{port}", **mqtt})
    if "username" in mqtt:
        (box.folder / "mqtt-password").write_text(CANARY)
        (box.folder / "mqtt-password").chmod(0o600)
        box.change(mqtt={"password_file": "mqtt-password"})
    return box


def the(findings, level):
    """The only finding of a level."""
    (one,) = [finding for finding in findings if finding.level == level]
    return one


def test_a_broker_that_is_well_gives_ok_throughout(mosquitto, tmp_path):
    found = box_at(tmp_path, mosquitto().port).look("broker")
    assert {name for name, level in levels(found).items() if level == "ok"} >= WELL
    assert "MQTT 5" in found["broker login"][0].found
    assert "mosquitto version" in found["broker queue"][0].found
    assert "came back" in found["broker echo"][0].found


def test_the_probe_takes_nothing_from_a_group_and_leaves_no_session(mosquitto, tmp_path):
    broker = mosquitto("log_type subscribe\nlog_type notice\nlog_type debug\n")
    box_at(tmp_path, broker.port).look("broker")
    broker.stop()
    log = (broker.folder / "mosquitto.log").read_text()
    assert "more/#" in log
    assert "$share" not in log
    assert "collector-doctor-" in log
    database = broker.folder / "mosquitto.db"
    assert not database.exists() or b"collector-doctor-" not in database.read_bytes()


def test_nothing_that_listens_is_named_and_the_rest_is_skipped(tmp_path):
    found = Box(tmp_path / "box").look("broker")
    assert "nothing listens there" in the(found["broker connection"], "error").found
    assert "mqtt.url" in found["broker connection"][0].fix
    assert {levels(found)[name] for name in WELL - {"broker address", "broker connection"}} == {
        "skipped"
    }
    assert "broker login" in found["broker filters"][0].found


def test_a_name_without_an_address_is_named(tmp_path):
    found = box_at(tmp_path, 1883, host="no-such-host.invalid").look("broker")
    # A name server that is out of reach says the same later.
    assert "no-such-host.invalid" in the(found["broker address"], "error").found
    assert "name server" in found["broker address"][0].fix


def test_a_port_that_is_no_broker_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        box = box_at(tmp_path, listener.getsockname()[1])
        found = box.look("broker", answer_s=1)
    assert "no answer to CONNECT" in the(found["broker login"], "error").found
    assert "Is it an MQTT broker" in found["broker login"][0].fix


@pytest.fixture
def with_password(line_folder):
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not here")
    file = line_folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", file, "box", "right"], check=True)
    return f"allow_anonymous false\npassword_file {file}\n"


@pytest.mark.parametrize(
    ("login", "fix"),
    [
        ({"username": "box"}, "Check mqtt.username and mqtt.password_file"),
        ({}, "The broker wants a login: set mqtt.username"),
    ],
    ids=["a wrong password", "no password"],
)
def test_a_login_that_mosquitto_refuses_is_named(mosquitto, with_password, tmp_path, login, fix):
    found = box_at(tmp_path, mosquitto(with_password).port, **login).look("broker")
    refused = the(found["broker login"], "error")
    assert "refused" in refused.found
    assert "Not authorized" in refused.found
    assert fix in refused.fix


@pytest.mark.parametrize(
    ("code", "words", "fix"),
    [
        (0x86, "Bad user name or password", "does not know this pair"),
        (0x87, "Not authorized", "have its access list let box in"),
        (0x85, "Client identifier not valid", "another mqtt.client_id"),
        (0x88, "Server unavailable", "not ready"),
        (0x8A, "Banned", "lift that"),
        (0x97, "Quota exceeded", "quota"),
    ],
)
def test_each_reason_of_a_broker_has_its_own_fix(tmp_path, code, words, fix):
    with ScriptedBroker(bytes([0x20, 3, 0, code, 0])) as broker:
        found = box_at(tmp_path, broker.port, username="box").look("broker")
    refused = the(found["broker login"], "error")
    assert words in refused.found
    assert fix in refused.fix
    assert "box" in refused.found


def test_a_broker_that_knows_3_1_1_only_is_a_warning_and_the_filters_are_still_looked_at(tmp_path):
    with ScriptedBroker(b"\x20\x03\x00\x84\x00", ACCEPTED_3) as broker:
        found = box_at(tmp_path, broker.port).look("broker", until="broker filters")
    assert "MQTT 3.1.1" in the(found["broker login"], "warning").found
    assert levels(found)["broker filters"] == "ok"


def test_a_broker_that_knows_no_5_is_an_error_where_5_is_wanted(tmp_path):
    with ScriptedBroker(b"\x20\x03\x00\x84\x00") as broker:
        found = box_at(tmp_path, broker.port, protocol="5").look("broker")
    assert "does not know MQTT 5" in the(found["broker login"], "error").found
    assert "mqtt.protocol" in found["broker login"][0].fix


def test_a_session_that_is_kept_for_a_shorter_time_is_a_warning(tmp_path):
    hour = b"\x11\x00\x00\x0e\x10"
    with ScriptedBroker(bytes([0x20, 3 + len(hour), 0, 0, len(hour)]) + hour) as broker:
        found = box_at(tmp_path, broker.port).look("broker", until="broker filters")
    short = the(found["broker session"], "warning")
    assert "for 3,600 s only" in short.found
    assert "session expiry" in short.fix


def test_filters_that_get_qos_0_only_are_named_with_their_station(mosquitto, tmp_path):
    port = free_port()
    mosquitto(f"listener {port} 127.0.0.1\nmax_qos 0\n")
    found = box_at(tmp_path, port).look("broker")
    names = [finding.found for finding in found["broker filters"]]
    assert all("of climate is granted with QoS 0 only" in text for text in names)
    assert {text.split()[0] for text in names} == {"sensors/+", "$share/g/more/#"}
    assert "max_qos" in found["broker filters"][0].fix
    assert "QoS 0 at most" in the(found["broker session"], "error").found


def test_a_filter_that_a_broker_refuses_is_named_with_its_station(tmp_path):
    with ScriptedBroker(b"\x20\x03\x00\x00\x00") as broker:
        broker.refused.add("sensors/+")
        found = box_at(tmp_path, broker.port).look("broker", until="broker filters")
    refused = the(found["broker filters"], "error")
    assert "sensors/+ of climate is refused (code 0x87)" in refused.found
    assert "access list" in refused.fix


def test_a_filter_that_mosquitto_refuses_by_its_roles_is_named(mosquitto, line_folder, tmp_path):
    plugins = list(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    if not plugins:
        pytest.skip("mosquitto's plug-in for roles is not here")
    allowed = [
        {"acltype": "subscribePattern", "topic": topic, "allow": True}
        for topic in ("more/#", "collector/#", "$SYS/#")
    ]
    roles = {
        "defaultACLAccess": {
            "publishClientSend": True, "publishClientReceive": True,
            "subscribe": False, "unsubscribe": True,
        },
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "some"}], "clients": []}],
        "roles": [{"rolename": "some", "acls": allowed}],
        "anonymousGroup": "all",
    }  # fmt: skip
    file = line_folder / "roles.json"
    file.write_text(json.dumps(roles))
    broker = mosquitto(f"plugin {plugins[0]}\nplugin_opt_config_file {file}\n")
    found = box_at(tmp_path, broker.port).look("broker")
    refused = the(found["broker filters"], "error")
    assert "sensors/+ of climate is refused" in refused.found


def test_an_access_list_without_the_test_topic_is_no_fault(mosquitto, line_folder, tmp_path):
    file = line_folder / "access"
    file.write_text("topic readwrite sensors/#\ntopic read $SYS/#\n")
    found = box_at(tmp_path, mosquitto(f"acl_file {file}\n").port).look("broker")
    assert "may not publish" in the(found["broker echo"], "ok").found


def test_no_message_is_sent_where_a_station_would_take_it(mosquitto, tmp_path):
    box = box_at(tmp_path, mosquitto().port)
    box.sections["stations"]["climate"]["topic"] = "#"
    box.change()
    found = box.look("broker")
    assert "a station would take" in the(found["broker echo"], "skipped").found


# --- TLS


@pytest.fixture
def encrypted(mosquitto, tmp_path):
    """A mosquitto with a certificate, and a box that connects to it."""

    def make(host="127.0.0.1", *, known=True, self_signed=False, **of_certificate):
        folder = tmp_path / "certificates"
        folder.mkdir()
        files = make_certificates(folder, **of_certificate)
        if self_signed:
            files |= {"cert": files["ca"], "key": files["ca_key"]}
        broker = mosquitto(certificates=files)
        box = box_at(tmp_path, broker.tls_port, "mqtts", host)
        if known:
            box.change(mqtt={"ca_file": files["ca"]})
        return box.look("broker")

    return make


def test_the_days_that_a_certificate_is_good_for_are_said(encrypted):
    found = encrypted(days=400)
    assert "TLSv1.3, the certificate of 127.0.0.1 is good for 39" in found["broker TLS"][0].found
    assert levels(found)["broker login"] == "ok"


@pytest.mark.parametrize(
    ("certificate", "level", "words", "fix"),
    [
        ({"days": 20}, "warning", "is good for 19 days", "Have it renewed before"),
        ({"days": -1}, "error", "has expired", "Renew it"),
        ({"names_in_it": "DNS:other"}, "error", "for another host", "Write the name"),
        ({"known": False}, "error", "authority that this box does not know", "mqtt.ca_file"),
        ({"self_signed": True, "known": False}, "error", "is self-signed", "mqtt.ca_file"),
    ],
    ids=["ends soon", "expired", "another host", "unknown authority", "self-signed"],
)
def test_what_is_wrong_with_a_certificate_is_named(encrypted, certificate, level, words, fix):
    found = encrypted(**certificate)
    wrong = the(found["broker TLS"], level)
    assert words in wrong.found
    assert fix in wrong.fix
    assert levels(found)["broker login"] == ("ok" if level == "warning" else "skipped")


def test_a_listener_that_wants_a_certificate_of_this_box_is_named(
    mosquitto, tmp_path, certificates
):
    port = free_port()
    files = "".join(f"{key}file {certificates[key]}\n" for key in ("ca", "cert", "key"))
    mosquitto(f"listener {port} 127.0.0.1\n{files}require_certificate true\n")
    box = box_at(tmp_path, port, "mqtts", ca_file=certificates["ca"])
    wrong = [f for all_ in box.look("broker").values() for f in all_ if f.level == "error"]
    assert len(wrong) == 1
    assert "mqtt.cert_file and mqtt.key_file" in wrong[0].fix
    box.change(mqtt={"cert_file": certificates["cert"], "key_file": certificates["key"]})
    assert levels(box.look("broker"))["broker login"] == "ok"


def test_a_port_without_tls_is_named(mosquitto, tmp_path):
    found = box_at(tmp_path, mosquitto().port, "mqtts").look("broker")
    assert "no TLS" in the(found["broker TLS"], "error").found
    assert "speaks TLS" in found["broker TLS"][0].fix


def test_plain_text_to_another_host_is_a_warning():
    from collector.config import Mqtt
    from collector.doctor.broker import _plain

    far = _plain(Mqtt.model_validate({"url": "mqtt://broker.example", "client_id": "x"}))
    assert far.level == "warning"
    assert "mqtts://" in far.fix
    assert _plain(Mqtt.model_validate({"url": "mqtt://[::1]", "client_id": "x"})).level == "ok"
