"""Preflight of the cloud: each fault of the local Zerobus is named, with what mends it.

Goal: of everything that a workspace, an endpoint or a table can have against the collector, the
right thing is said. Method: the real SDK against the local Zerobus with each of its faults that a
preflight can meet; a workspace that answers as it is told; and bare sockets for what is no service.
"""

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from support.certificates import make_certificates
from support.preflight import CANARY, TABLE, Box, levels
from support.waiting import free_port
from support.workspace import TOKEN, serving

from collector.doctor import proxies
from collector.doctor.refused import refused
from collector.emulator import Emulator, EmulatorOptions
from collector.emulator.faults import KINDS
from collector.emulator.wire import STATUSES

COLUMNS = [{"name": "device", "type": "string"}, {"name": "temp", "type": "int"}]
GRANTS = (
    "GRANT USE CATALOG ON CATALOG main TO `the-id`;",
    "GRANT USE SCHEMA ON SCHEMA main.iot TO `the-id`;",
    f"GRANT SELECT ON TABLE {TABLE} TO `the-id`;",
    f"GRANT MODIFY ON TABLE {TABLE} TO `the-id`;",
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in proxies.VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    lake = tmp_path_factory.mktemp("lake")
    options = EmulatorOptions(lake=lake, client_id="the-id", client_secret=CANARY, tables={})
    with Emulator(options) as one:
        one.define_table(TABLE, COLUMNS)
        yield one


@pytest.fixture
def emulator(running):
    yield running
    running.set_faults({})


@pytest.fixture
def box(tmp_path, emulator):
    return box_at(tmp_path, emulator.endpoint, emulator.workspace_url)


def box_at(folder, endpoint, workspace_url, **more):
    addresses = {"endpoint": endpoint, "workspace_url": workspace_url}
    return Box(folder / "box", zerobus={**addresses, **more})


def the(findings, level):
    """The only finding of a level."""
    (one,) = [finding for finding in findings if finding.level == level]
    return one


def test_a_cloud_that_is_well_gives_ok_throughout(box, emulator):
    before = emulator.stats()["tables"].get(TABLE, {}).get("streams_opened", 0)
    found = box.look("cloud")
    assert set(levels(found).values()) == {"ok"}
    assert set(found) >= {"proxy", "workspace", "endpoint", "token", "table", "grants", "schema"}
    assert "closed again, nothing was sent" in found["stream"][0].found
    figures = emulator.stats()["tables"][TABLE]
    assert (figures["streams_opened"] - before, figures["messages"]) == (1, 0)


# --- every fault of the local Zerobus that a preflight can meet: fault, check, words, fix

LATER = "the collector tries again"
FAULTS = [
    ({"fault": "token_error", "status": 400}, "token", "HTTP 400", "zerobus.client_id"),
    ({"fault": "token_error", "status": 401}, "token", "HTTP 401", "zerobus.client_id"),
    ({"fault": "token_error", "status": 403}, "token", "HTTP 403", "zerobus.client_id"),
    ({"fault": "token_error", "status": 404}, "token", "HTTP 404", "zerobus.workspace_url"),
    ({"fault": "token_error", "status": 429}, "token", "HTTP 429", "limits how often"),
    ({"fault": "token_error", "status": 500}, "token", "HTTP 500", "it is down"),
    ({"fault": "token_error", "status": 503}, "token", "HTTP 503", "it is down"),
    ({"fault": "token_expiry", "seconds": 0}, "table", "expired token", "see clock"),
    ({"fault": "refuse_connections"}, "endpoint", "nothing listens", "zerobus.endpoint"),
    ({"fault": "refuse_open", "status": "UNAUTHENTICATED"}, "stream", "the token", "workspace"),
    ({"fault": "refuse_open", "status": "PERMISSION_DENIED"}, "stream", "permission", "run:"),
    ({"fault": "refuse_open", "status": "NOT_FOUND"}, "stream", "no such table", "endpoint"),
    ({"fault": "refuse_open", "status": "INVALID_ARGUMENT"}, "stream", "schema", "tables diff"),
    ({"fault": "refuse_open", "status": "UNIMPLEMENTED"}, "stream", "not support", "clustering"),
    ({"fault": "refuse_open", "status": "OUT_OF_RANGE"}, "stream", "out of range", "2,000"),
    ({"fault": "refuse_open", "status": "RESOURCE_EXHAUSTED"}, "stream", "quota", "raised"),
    ({"fault": "refuse_open", "status": "UNAVAILABLE"}, "stream", "unavailable", LATER),
    *(
        ({"fault": "refuse_open", "status": status}, "stream", "no stream", LATER)
        for status in (
            "ABORTED", "ALREADY_EXISTS", "CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED",
            "FAILED_PRECONDITION", "INTERNAL", "UNKNOWN",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "check", "words", "fix"),
    FAULTS,
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_each_fault_is_named_where_it_is_met(box, emulator, fault, check, words, fix):
    emulator.set_faults({"faults": [fault]})
    found = box.look("cloud")
    wrong = the(found[check], "error")
    assert words in wrong.found
    assert fix in wrong.fix
    # One fault is one error: what follows from it is skipped.
    assert [name for name, level in levels(found).items() if level == "error"] == [check]
    if "PERMISSION_DENIED" in fault.values():
        assert wrong.lines == GRANTS


def test_a_workspace_that_is_too_slow_is_named(box, emulator):
    emulator.set_faults({"faults": [{"fault": "token_slow", "seconds": 30}]})
    found = box.look("cloud", answer_s=1)
    assert "timed out" in the(found["token"], "error").found


NO_MATTER = [
    {"fault": "silence"},
    {"fault": "max_age", "seconds": 60},
    {"fault": "close_signal", "after": 1, "seconds": 1},
    {"fault": "abort", "after": 1},
    {"fault": "poison", "column": "temp", "equals": 1},
    {"fault": "wrong_ack"},
    {"fault": "late_ack", "seconds": 30},
    {"fault": "duplicate_ack"},
    {"fault": "slow_link", "bytes_per_second": 100_000},
]


@pytest.mark.parametrize("fault", NO_MATTER, ids=lambda fault: fault["fault"])
def test_what_only_records_meet_is_no_matter_of_a_preflight(box, emulator, fault):
    emulator.set_faults({"faults": [fault]})
    assert set(levels(box.look("cloud")).values()) == {"ok"}


def test_no_fault_of_the_local_zerobus_is_left_out():
    known = {fault["fault"] for fault, *_ in FAULTS} | {one["fault"] for one in NO_MATTER}
    assert known | {"token_slow"} == set(KINDS)
    assert {one.get("status") for one, *_ in FAULTS if one["fault"] == "refuse_open"} == set(
        STATUSES
    ) - {"OK"}


def test_a_table_that_is_not_there_comes_with_the_sql_that_makes_it(box):
    box.sections["stations"]["climate"]["table"] = "main.iot.other"
    box.change()
    found = box.look("cloud")
    missing = the(found["table"], "error")
    assert "does not exist" in missing.found
    sql = "\n".join(missing.lines)
    assert "CREATE TABLE IF NOT EXISTS main.iot.other (" in sql
    assert "GRANT MODIFY ON TABLE main.iot.other TO `the-id`;" in sql
    assert levels(found)["stream"] == "skipped"


def test_a_schema_that_does_not_fit_comes_with_the_lines_that_mend_it(box, emulator):
    emulator.define_table("main.iot.narrow", COLUMNS[:1])
    box.sections["stations"]["climate"]["table"] = "main.iot.narrow"
    box.change()
    wrong = the(box.look("cloud")["schema"], "error")
    assert "temp" in wrong.found
    assert wrong.lines[0] == "ALTER TABLE main.iot.narrow ADD COLUMN temp INT;"
    assert "tables/climate/schema.proto:4: remove temp" in wrong.lines[1]


def test_a_secret_that_is_wrong_is_named_and_not_shown(box):
    (box.folder / "client-secret").write_text("another-word")
    found = box.look("cloud")
    refused_token = the(found["token"], "error")
    assert "HTTP 401" in refused_token.found
    assert "a wrong secret" in refused_token.fix
    assert "another-word" not in repr(found)


# --- a workspace that answers as it is told


@pytest.fixture
def workspace():
    with serving() as one:
        yield one


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        ((401, {"error": "invalid_client", "error_description": "Secret expired"}), "has expired"),
        ((401, {"error": "invalid_client", "error_description": "Bad secret"}), "secret is wrong"),
        ((401, {"error": "invalid_client", "error_description": "Client not found"}), "no such"),
        ((401, {"error": "invalid_client"}), "Unknown zerobus.client_id"),
        ((400, {"error": "invalid_scope"}), "scope all-apis"),
        ((403, {"error": "access_denied", "error_description": "not in workspace"}), "add it"),
        ((502, b"<html>bad gateway</html>"), "HTTP 502"),
        ((200, b"<html>sign in</html>"), "that of the workspace itself"),
        ((200, {}), "zerobus.client_id"),
    ],
    ids=["expired", "secret", "client", "either", "scope", "workspace", "502", "portal", "none"],
)
def test_what_a_workspace_says_to_a_token_is_decoded(workspace, tmp_path, answer, fix):
    workspace.tokens = [answer]
    found = box_at(tmp_path, "http://127.0.0.1:1", workspace.url).look("cloud")
    assert fix in the(found["token"], "error").fix


CLIMATE = {
    "catalog_name": "main", "schema_name": "iot", "name": "climate",
    "columns": [
        {"name": "device", "type_text": "string", "nullable": True, "position": 0},
        {"name": "temp", "type_text": "int", "nullable": True, "position": 1},
    ],
}  # fmt: skip


def test_a_token_that_is_given_but_not_to_write_means_missing_grants(workspace, tmp_path):
    workspace.tokens = [(200, TOKEN), (200, TOKEN), (401, {"error": "invalid_request"})]
    workspace.answers = [(200, CLIMATE)]
    found = box_at(tmp_path, "http://127.0.0.1:1", workspace.url).look("cloud")
    missing = the(found["grants"], "error")
    assert "none to write here" in missing.found
    assert missing.lines == GRANTS
    (*_, asked) = [body for _, path, _, body in workspace.asked if path == "/oidc/v1/token"]
    assert "zerobusDirectWriteApi" in asked
    assert "zerobuswrite" in asked


def test_a_table_that_may_not_be_seen_means_missing_grants(workspace, tmp_path):
    workspace.answers = [(403, {"message": "no USE SCHEMA"})]
    found = box_at(tmp_path, "http://127.0.0.1:1", workspace.url).look("cloud")
    missing = the(found["table"], "error")
    assert "no USE SCHEMA" in missing.found
    assert missing.lines == GRANTS


def test_a_table_of_another_kind_is_named(workspace, tmp_path):
    workspace.answers = [(200, {**CLIMATE, "table_type": "EXTERNAL"})]
    found = box_at(tmp_path, "http://127.0.0.1:1", workspace.url).look("cloud")
    assert "is EXTERNAL" in the(found["table"], "error").found
    assert "managed Delta" in found["table"][0].fix


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"clusteringColumns": '[["device"]]'}, "liquid clustering"),
        ({"delta.feature.catalogManaged": "supported"}, "commits that the catalog manages"),
    ],
)
def test_what_zerobus_may_not_write_to_is_a_warning(workspace, tmp_path, properties, words):
    workspace.answers = [(200, {**CLIMATE, "properties": properties})]
    found = box_at(tmp_path, "http://127.0.0.1:1", workspace.url).look("cloud")
    assert words in the(found["table"], "warning").found
    assert levels(found)["schema"] == "ok"


# --- what answers at the endpoint is no service


@contextlib.contextmanager
def answering(reply):
    """A port where everyone is told the same, whatever they say; nothing at all when it is None."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                held.append(sock)
                if reply is None:
                    continue
                with contextlib.suppress(OSError):
                    sock.recv(4096)
                    sock.sendall(reply)
                    sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    for sock in (listener, *held):
        sock.close()


SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
GOAWAY = SETTINGS + b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(7) + b"\x0b"
HTML = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>Bad gateway</html>"


@pytest.mark.parametrize(
    ("reply", "answer_s", "check", "words"),
    [
        (HTML, 10, "endpoint", "no HTTP/2: it says HTTP/1.1 502 Bad Gateway"),
        (None, 1, "endpoint", "no HTTP/2: no answer within 1 s"),
        (GOAWAY, 10, "stream", "GOAWAY"),
    ],
    ids=["HTML 502", "silence", "GOAWAY"],
)
def test_what_is_no_zerobus_is_named(emulator, tmp_path, reply, answer_s, check, words):
    with answering(reply) as endpoint:
        box = box_at(tmp_path, endpoint, emulator.workspace_url)
        found = box.look("cloud", answer_s=answer_s)
    assert words in the(found[check], "error").found
    assert "firewall" in found[check][0].fix
    assert levels(found)["stream"] == ("error" if check == "stream" else "skipped")


def test_a_stream_that_opens_too_late_is_named(emulator, tmp_path):
    with answering(SETTINGS) as endpoint:
        box = box_at(tmp_path, endpoint, emulator.workspace_url)
        found = box.look("cloud", opening_s=0.0)
    assert "no answer" in the(found["stream"], "error").found


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Client error (401): no grants", "no token for a stream"),
        ("Client error (429): slow down", "limits tokens"),
        ("Token fetch failed: Network error", "gives no token"),
        ('message: "unsuccessful tunnel (HTTP/1.1 407)"', "the proxy"),
        ('message: "Stream creation timed out"', "no answer"),
        ("something nobody has seen yet", "no stream: something nobody has seen yet"),
    ],
)  # fmt: skip
def test_what_the_sdk_says_is_put_into_words(reason, words):
    assert words in refused(reason, GRANTS).found


# --- addresses and proxies


@pytest.mark.parametrize(
    ("endpoint", "workspace_url", "level", "words"),
    [
        ("1234567.zerobus.eu-west-1.cloud.databricks.com", "dbc-1.cloud.databricks.com", "ok",
         "workspace 1234567 in eu-west-1"),
        ("1234567.zerobus.westeurope.azuredatabricks.net", "adb-1234567.8.azuredatabricks.net",
         "ok", "both of workspace 1234567"),
        ("1234567.zerobus.westeurope.azuredatabricks.net", "adb-7654321.8.azuredatabricks.net",
         "error", "1234567, zerobus.workspace_url of 7654321"),
        ("1234567.zerobus.eu-west-1.cloud.databricks.com", "adb-1234567.8.azuredatabricks.net",
         "error", "two clouds"),
        ("dbc-1.cloud.databricks.com", "dbc-1.cloud.databricks.com", "error",
         "is no Zerobus endpoint"),
    ],
)  # fmt: skip
def test_two_addresses_of_different_workspaces_are_named(endpoint, workspace_url, level, words):
    from collector.config import Zerobus
    from collector.doctor.cloud import _pair

    secret = {"client_id": "x", "client_secret": "y"}
    addresses = {"endpoint": endpoint, "workspace_url": workspace_url}
    (finding,) = _pair(Zerobus.model_validate({**addresses, **secret}))
    assert (finding.level, words in finding.found) == (level, True)


def test_loopback_by_a_proxy_is_an_error_with_the_variable_that_mends_it(box, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{CANARY}@127.0.0.1:{free_port()}")
    found = box.look("cloud")
    wrong = the(found["proxy"], "error")
    assert wrong.lines == ("no_proxy=127.0.0.1",)
    assert "nothing listens" in the(found["endpoint"], "error").found
    monkeypatch.setenv("no_proxy", "127.0.0.1,.example")
    assert set(levels(box.look("cloud")).values()) == {"ok"}


def test_a_proxy_that_lets_nothing_through_is_named(tmp_path, monkeypatch):
    box = box_at(tmp_path, "https://1.zerobus.x.cloud.databricks.com", "https://w.example")
    with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        found = box.look("cloud")
    for check in ("workspace", "endpoint"):
        assert "407" in the(found[check], "error").found
        assert "no_proxy" in found[check][0].fix


def test_the_certificates_of_the_cloud_are_looked_at(tmp_path):
    folder = tmp_path / "certificates"
    folder.mkdir()
    files = make_certificates(folder, days=90)
    options = EmulatorOptions(
        lake=tmp_path / "lake", cert=Path(files["cert"]), key=Path(files["key"])
    )
    with Emulator(options) as emulator:
        box = box_at(tmp_path, emulator.endpoint, emulator.workspace_url)
        found = box.look("cloud")
        for check in ("workspace", "endpoint"):
            assert "does not know" in the(found[check], "error").found
            assert "zerobus.ca_file" in found[check][0].fix
        box.change(zerobus={"ca_file": files["ca"]})
        found = box.look("cloud", until="endpoint")
        assert "is good for 89 days" in found["endpoint"][1].found
