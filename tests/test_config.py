"""stations.yaml: what it becomes, every mistake with file, line and key, and what stays secret."""

import doctest
import re
import socket
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from collector.config import (
    Config,
    Mqtt,
    SpoolLimits,
    Station,
    Zerobus,
    across,
    format_duration,
    format_size,
    load,
    parse_duration,
    parse_size,
    quantities,
)
from collector.config.document import Document
from collector.config.environment import instance_of, runtime_folder, spool_file
from collector.config.listening import Http, Metrics
from collector.config.models import Box, DeadLetters, Heartbeat
from collector.errors import ConfigError

REPO = Path(__file__).resolve().parent.parent
CANARY = "canary-5ecret"

MINIMAL = """\
mqtt:
  url: mqtt://localhost
zerobus:
  endpoint: 123.zerobus.eu-west-1.cloud.databricks.com
  workspace_url: dbc-1.cloud.databricks.com/
  client_id: principal
  client_secret: hush
stations:
  one:
    topic: sensors/+
    table: main.iot.one
"""


@pytest.fixture
def read(tmp_path):
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123456789abcdef0123456789abcdef\n")

    def _read(text: str, **environment: str) -> Config:
        file = tmp_path / "stations.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(file, environment, machine_id)

    return _read


@pytest.fixture
def problems(read):
    """The problems of a file, as (line, key, text, hint)."""

    def _problems(text: str, **environment: str) -> list[tuple[int, str, str, str]]:
        with pytest.raises(ConfigError) as caught:
            read(text, **environment)
        return [(one.line, one.key, one.text, one.hint) for one in caught.value.problems]

    return _problems


def changed(section: str, line: str) -> str:
    """The minimal file with a line set in a section; an old line of the same key goes."""
    key = line.partition(":")[0]
    if not section:
        return f"{line}\n{MINIMAL}"
    kept = []
    for old in MINIMAL.splitlines():
        inside = next((top for top in reversed(kept) if top and not top[0].isspace()), "")
        if inside != f"{section}:" or old.split(":")[0].strip() != key:
            kept.append(old)
        if old == f"{section}:":
            kept.append(f"  {line}")
    text = "\n".join(kept) + "\n"
    return text if f"{section}:" in kept else f"{text}{section}:\n  {line}\n"


def station(*lines: str) -> str:
    """The minimal file with other lines for its station; they start in line 10."""
    head = MINIMAL.partition("    topic")[0]
    return head + "".join(f"    {line}\n" for line in lines)


# --- What a good file becomes


def test_the_minimal_file_takes_every_default(read, tmp_path):
    config = read(MINIMAL)
    name = f"{socket.gethostname()}-3eb1bd"
    assert config.path == tmp_path / "stations.yaml"
    assert config.gateway == name
    assert config.runtime_dir == tmp_path / "state"
    assert config.warnings == ()
    assert config.mqtt.model_dump() == {
        "url": "mqtt://localhost",
        "client_id": name,
        "username": None,
        "password": None,
        "password_file": None,
        "ca_file": None,
        "cert_file": None,
        "key_file": None,
        "protocol": "auto",
        "qos": 1,
        "keepalive": 60.0,
        "receive_maximum": 5000,
        "session_expiry": 7 * 24 * 3600.0,
        "message_max_bytes": 2**20,
        "maximum_packet_size": 16 * 2**20,
        "inbox_max_bytes": 16 * 2**20,
        "status_topic": None,
    }
    secret = config.zerobus.client_secret
    assert secret.get_secret_value() == "hush"
    assert config.zerobus.model_dump() == {
        "endpoint": "https://123.zerobus.eu-west-1.cloud.databricks.com",
        "workspace_url": "https://dbc-1.cloud.databricks.com",
        "client_id": "principal",
        "client_secret": secret,
        "client_secret_file": None,
        "ca_file": None,
        "ack_timeout": 60.0,
        "window_max_bytes": 8 * 2**20,
        "in_flight_max_bytes": 64 * 2**20,
        "rotate_after": 600.0,
        "idle_after": 300.0,
        "drain": "oldest",
        "max_records_per_second": None,
        "max_bytes_per_second": None,
    }
    assert config.http is None
    assert config.dead_letters.model_dump() == {"max_bytes": 64 * 2**20, "max_count": 100_000}
    assert config.spool.model_dump() == {
        "path": tmp_path / "state" / "spool.db",
        "max_bytes": 2**30,
        "min_free_bytes": 256 * 2**20,
        "commit_interval": 0.1,
        "commit_max_bytes": 4 * 2**20,
        "when_full": "pause",
        "table_share": 0.5,
    }
    assert [one.model_dump() for one in config.stations] == [
        {
            "name": "one",
            "topics": ("sensors/+",),
            "table": "main.iot.one",
            "schema_dir": tmp_path / "tables" / "one",
            "excepts": (),
            "format": "json",
            "options": {},
            "each": None,
            "when": {},
            "columns": None,
            "rest": None,
            "zone": None,
            "decimal": None,
            "null_if": (),
            "time_window": None,
            "retained": "keep",
            "when_full": None,
            "max_age": None,
            "expired": "bury",
            "silent_after": None,
            "is_heartbeat": False,
            "line": 9,
            "lines": {"topic": 10, "table": 11},
        }
    ]


# Section, line, field and value; every key of the file that has a free value.
SETTINGS = [
    ("", "gateway: greenhouse", "gateway", "greenhouse"),
    ("", "gateway: '7'", "gateway", "7"),
    ("", "runtime_dir: /run/x", "runtime_dir", Path("/run/x")),
    ("mqtt", "client_id: box", "client_id", "box"),
    ("mqtt", "username: on", "username", "on"),
    ("mqtt", "username: YES", "username", "YES"),
    ("mqtt", "protocol: 5", "protocol", "5"),
    ("mqtt", "protocol: 3.1.1", "protocol", "3.1.1"),
    ("mqtt", "protocol: '5'", "protocol", "5"),
    ("mqtt", "qos: 0", "qos", 0),
    ("mqtt", "keepalive: 1.5 min", "keepalive", 90.0),
    ("mqtt", "keepalive:", "keepalive", 60.0),
    ("mqtt", "keepalive: ~", "keepalive", 60.0),
    ("mqtt", "receive_maximum: 65535", "receive_maximum", 65535),
    ("mqtt", "receive_maximum: 0x10", "receive_maximum", 16),
    ("mqtt", "session_expiry: 30d", "session_expiry", 30 * 86400.0),
    ("mqtt", "message_max_bytes: 512 KiB", "message_max_bytes", 2**19),
    ("mqtt", "maximum_packet_size: 2MB", "maximum_packet_size", 2_000_000),
    ("mqtt", "inbox_max_bytes: 8388608", "inbox_max_bytes", 2**23),
    ("mqtt", "status_topic: x/{gateway}/y", "status_topic", f"x/{socket.gethostname()}-3eb1bd/y"),
    ("metrics", "listen: off", "listen", "off"),
    ("metrics", "listen: '[::1]:1'", "address", ("::1", 1)),
    ("metrics", "listen: localhost:1", "address", ("localhost", 1)),
    ("metrics", "listen: unix:/run/x/m.sock", "socket", Path("/run/x/m.sock")),
    ("http", "listen: '[::1]:1'", "address", ("::1", 1)),
    ("http", "token: abc", "token", SecretStr("abc")),
    ("http", "body_max_bytes: 16MiB", "body_max_bytes", 2**24),
    ("http", "inbox_max_bytes: 4MiB", "inbox_max_bytes", 2**22),
    ("http", "body_timeout: 1s", "body_timeout", 1.0),
    ("http", "connections_max: 10000", "connections_max", 10_000),
    ("http", "commit_interval: 1ms", "commit_interval", 0.001),
    ("http", "timeout: 100ms", "timeout", 0.1),
    ("http", "idempotency_window: 30d", "idempotency_window", 30 * 86400.0),
    ("zerobus", "endpoint: http://127.0.0.1:50051/", "endpoint", "http://127.0.0.1:50051"),
    ("zerobus", "endpoint: http://[::1]:1", "endpoint", "http://[::1]:1"),
    ("zerobus", "endpoint: https://x.example:8443", "endpoint", "https://x.example:8443"),
    ("zerobus", "workspace_url: http://localhost:80", "workspace_url", "http://localhost:80"),
    ("zerobus", "ack_timeout: 1500ms", "ack_timeout", 1.5),
    ("zerobus", "window_max_bytes: 1MiB", "window_max_bytes", 2**20),
    ("zerobus", "rotate_after: 300 s", "rotate_after", 300.0),
    ("zerobus", "idle_after: 1h", "idle_after", 3600.0),
    ("spool", "path: /var/lib/x/spool.db", "path", Path("/var/lib/x/spool.db")),
    ("spool", "max_bytes: 1.5GiB", "max_bytes", 3 * 2**29),
    ("spool", "min_free_bytes: 0", "min_free_bytes", 0),
    ("spool", "commit_interval: 1ms", "commit_interval", 0.001),
    ("spool", "commit_max_bytes: 64KiB", "commit_max_bytes", 2**16),
]


@pytest.mark.parametrize(("section", "line", "field", "value"), SETTINGS)
def test_a_key_is_read_as_people_write_it(read, section, line, field, value):
    config = read(changed(section, line))
    found = getattr(getattr(config, section) if section else config, field)
    assert found == value
    assert type(found) is type(value) or isinstance(value, Path)


def test_a_station_may_have_many_topics_a_schema_and_columns(read, tmp_path):
    text = station(
        "topic: ['a/{x}/b', $share/group/c/#]",
        "table: main.iot.one",
        "schema: plant/readings",
        "columns: {x: $x, 'on': /on}",
    )
    [one] = read(text).stations
    assert one.topics == ("a/{x}/b", "$share/group/c/#")
    assert one.schema_dir == tmp_path / "tables" / "plant" / "readings"
    assert {name: words.sources for name, words in one.columns.items()} == {
        "x": ("$x",),
        "on": ("/on",),
    }
    assert one.lines["columns.on"] == 13


@pytest.mark.parametrize(("written", "seconds"), [("2h", 7200.0), ("off", 0.0)])
def test_a_station_may_be_silent_for_a_time_or_for_ever(read, written, seconds):
    [one] = read(station("topic: a", "table: a.b.c", f"silent_after: {written}")).stations
    assert one.silent_after == seconds


def test_the_models_are_frozen(read):
    with pytest.raises(ValidationError, match="frozen"):
        read(MINIMAL).mqtt.qos = 0


def test_two_stations_may_feed_one_table_with_one_schema(read):
    more = "  two:\n    topic: b/+\n    table: main.iot.one\n    schema: one\n"
    assert [one.name for one in read(MINIMAL + more).stations] == ["one", "two"]


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "path"),
    [
        ("mqtt://broker", "mqtt", "broker", 1883, "/mqtt"),
        ("mqtt://10.0.0.1:1884/", "mqtt", "10.0.0.1", 1884, "/mqtt"),
        ("mqtts://Broker.Example", "mqtts", "broker.example", 8883, "/mqtt"),
        ("ws://[::1]", "ws", "::1", 80, "/mqtt"),
        ("ws://broker:9001/", "ws", "broker", 9001, "/mqtt"),
        ("wss://broker/some/path?key=1", "wss", "broker", 443, "/some/path?key=1"),
        ("MQTT://broker", "mqtt", "broker", 1883, "/mqtt"),
    ],
)
def test_the_parts_of_the_broker_address(read, url, scheme, host, port, path):
    mqtt = read(changed("mqtt", f"url: {url}")).mqtt
    assert (mqtt.scheme, mqtt.host, mqtt.port, mqtt.path) == (scheme, host, port, path)
    assert mqtt.encrypted == (scheme in {"mqtts", "wss"})


# --- Folders and names that this box gives


def test_systemd_says_where_state_and_runtime_files_go(read):
    config = read(MINIMAL, STATE_DIRECTORY="/var/lib/c:/var/lib/d", RUNTIME_DIRECTORY="/run/c")
    assert config.spool.path == Path("/var/lib/c/spool.db")
    assert config.runtime_dir == Path("/run/c")


@pytest.mark.parametrize(
    ("folder", "state", "runtime", "instance"),
    [
        ("/etc/collector", "/var/lib/collector", "/run/collector", ""),
        ("/etc/collector/tables/..", "/var/lib/collector", "/run/collector", ""),
        ("/etc/collector/line1", "/var/lib/collector-line1", "/run/collector-line1", "line1"),
        ("/etc/collector/line1/more", "state", "", ""),
        ("/srv/collector", "state", "", ""),
    ],
)
def test_a_command_finds_the_folders_of_the_unit_by_the_place_of_the_file(
    folder, state, runtime, instance
):
    # Who runs a command has none of the variables that systemd sets for the daemon.
    place = Path(folder)
    assert spool_file({}, place) == f"{state}/spool.db"
    assert runtime_folder({}, place) == runtime
    assert instance_of(place) == instance
    told = {"STATE_DIRECTORY": "/a", "RUNTIME_DIRECTORY": "/b:/c"}
    assert (spool_file(told, place), runtime_folder(told, place)) == ("/a/spool.db", "/b")


def test_relative_paths_start_at_the_folder_of_the_file(read, tmp_path, monkeypatch, certificates):
    (tmp_path / "ca.pem").write_text(Path(certificates["ca"]).read_text())
    monkeypatch.chdir("/")
    config = read(changed("zerobus", "ca_file: ca.pem") + "spool:\n  path: keep/x.db\n")
    assert config.zerobus.ca_file == tmp_path / "ca.pem"
    assert config.spool.path == tmp_path / "keep" / "x.db"
    assert config.runtime_dir == tmp_path / "keep"


@pytest.mark.parametrize("content", ["", "uninitialized\n", None])
def test_a_box_without_machine_id_is_warned_of_names_that_may_clash(read, tmp_path, content):
    file = tmp_path / "machine-id"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    config = read(MINIMAL)
    assert config.gateway == config.mqtt.client_id == socket.gethostname()
    [warning] = config.warnings
    assert "set both, two boxes must never share them" in warning
    own = changed("mqtt", "client_id: a").replace("mqtt:", "gateway: a\nmqtt:", 1)
    assert read(own).warnings == ()


# --- Durations and sizes


@given(st.integers(0, 10**9))
def test_a_duration_reads_back_as_it_prints(milliseconds):
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 2**60))
def test_a_size_reads_back_as_it_prints(size):
    assert parse_size(format_size(size)) == size


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader_of_durations(text):
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert str(error)  # noqa: PT017 — either outcome is right, another exception is not.


@given(st.text(alphabet="0123456789.kKmMgGiIbB ", max_size=30))
def test_no_text_breaks_the_reader_of_sizes(text):
    try:
        assert parse_size(text) >= 0
    except ValueError as error:
        assert str(error)  # noqa: PT017 — either outcome is right, another exception is not.


def test_the_examples_of_durations_and_sizes_are_true():
    outcome = doctest.testmod(quantities)
    assert (outcome.failed, outcome.attempted) == (0, 4)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("100ms", 0.1),
        ("1.5s", 1.5),
        ("10 min", 600.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("7d", 604800.0),
        (" 3 S ", 3.0),
    ],
)
def test_durations_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("60", "60 has no unit: write 60s or 60ms"),
        ("5 weeks", "'weeks' is no unit of time: use ms, s, min, h or d"),
        ("soon", "'soon' is no duration"),
        ("-1s", "'-1s' is no duration"),
        ("1s 2ms", "'1s 2ms' is no duration"),
        ("", "'' is no duration"),
        ("\u0661s", "is no duration"),
    ],
)
def test_what_is_no_duration(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("17 B", 17),
        ("1kB", 1000),
        ("4MB", 4_000_000),
        ("512 KiB", 524_288),
        ("2GiB", 2**31),
        ("1.5gib", 3 * 2**29),
        ("1TiB", 2**40),
    ],
)
def test_sizes_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1.5", "1.5 is not a whole number of bytes"),
        ("5 apples", "'apples' is no unit of size: use B, kB, MB"),
        ("much", "'much' is no size"),
        ("1G", "'G' is no unit of size"),
    ],
)
def test_what_is_no_size(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_size(text)


# --- Variables and .env


def test_variables_come_from_the_environment_then_from_dotenv(read, tmp_path):
    (tmp_path / ".env").write_text("A=file\nB='from file' # said so\n")
    text = "gateway: ${A}-${B}-${C:-none}-${D:-}x\n" + MINIMAL
    assert read(text, A="environment", D="").gateway == "environment-from file-none-x"


def test_a_variable_gives_text_to_text_and_a_number_to_a_number(read):
    text = changed("mqtt", "client_id: ${ID}").replace("mqtt:\n", "mqtt:\n  qos: ${QOS:-0}\n")
    config = read(text, ID="007")
    assert config.mqtt.client_id == "007"
    assert config.mqtt.qos == 0


def test_a_dollar_sign_can_be_written(read):
    text = changed("mqtt", "client_id: a$b$${NAME}$")
    assert read(text).mqtt.client_id == "a$b${NAME}$"


def test_a_value_that_looks_like_a_variable_is_not_expanded_again(read):
    assert read(changed("mqtt", "client_id: ${A}"), A="${B}").mqtt.client_id == "${B}"


def test_lines_of_dotenv(read, tmp_path):
    lines = [
        "# comment",
        "",
        "export A=a",
        " B = b b # comment",
        'C="x # \\"y\\"\\n" # comment',
        "D='$x \\n'",
        "E=#nothing",
        "F=a#b",
    ]
    (tmp_path / ".env").write_text("\n".join(lines))
    topics = "[" + ", ".join(f"'{name}${{{name}:-empty}}'" for name in "ABCDEF") + "]"
    [one] = read(station(f"topic: {topics}", "table: main.iot.one")).stations
    assert one.topics == ("Aa", "Bb b", 'Cx # "y"\n', "D$x \\n", "Eempty", "Fa#b")


def test_bad_lines_of_dotenv_are_named_without_their_values(read, tmp_path):
    (tmp_path / ".env").write_text(f"A=1\n{CANARY}\nB='{CANARY}\n")
    with pytest.raises(ConfigError) as caught:
        read(MINIMAL)
    assert str(caught.value) == (
        f"{tmp_path / '.env'}:2: is not of the form NAME=VALUE\n"
        f"{tmp_path / '.env'}:3: B: has a quote that is not closed"
    )


def test_every_unset_variable_is_named(problems):
    text = MINIMAL.replace("principal", "${NOBODY}").replace("sensors/+", "${NOWHERE}/+")
    assert problems(text) == [
        (
            6,
            "zerobus.client_id",
            "the variable NOBODY is not set in the environment nor in .env",
            "",
        ),
        (
            10,
            "stations.one.topic",
            "the variable NOWHERE is not set in the environment nor in .env",
            "",
        ),
    ]


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${1}", "${A-b}", "x ${A B}"])
def test_a_broken_reference_is_named(problems, text):
    [(line, key, words, _)] = problems(changed("mqtt", f"client_id: '{text}'"), A="x")
    assert (line, key) == (2, "mqtt.client_id")
    assert words.startswith("`${` must be followed by NAME} or NAME:-default}")


# --- Secrets


@pytest.fixture
def credentials(tmp_path):
    """The folder in which systemd hands them on."""
    folder = tmp_path / "handed-on"
    folder.mkdir()
    return folder


def test_a_secret_comes_from_the_credential_then_the_file_then_the_value(
    read, tmp_path, credentials
):
    text = changed("zerobus", "client_secret_file: secret.txt").replace("hush", "${VALUE}")
    assert read(MINIMAL, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret == (
        read(MINIMAL).zerobus.client_secret
    )
    (tmp_path / "secret.txt").write_text("from file\n")
    found = read(text, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret
    assert found.get_secret_value() == "from file"
    (credentials / "client_secret").write_text("${from} credential\r\n")
    found = read(text, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret
    assert found.get_secret_value() == "${from} credential"


def test_the_password_of_the_broker_comes_from_the_same_places(read, tmp_path, credentials):
    (tmp_path / "p").write_text("of file")
    text = changed("mqtt", "username: u").replace("mqtt:\n", "mqtt:\n  password_file: p\n")
    assert read(text).mqtt.password.get_secret_value() == "of file"
    (credentials / "mqtt_password").write_text("of systemd")
    config = read(text, CREDENTIALS_DIRECTORY=str(credentials))
    assert config.mqtt.password.get_secret_value() == "of systemd"


def test_a_secret_need_not_be_in_the_file_when_systemd_gives_it(read, credentials):
    (credentials / "client_secret").write_text("x")
    text = MINIMAL.replace("  client_secret: hush\n", "")
    assert read(text, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret


@pytest.mark.parametrize("content", ["", "\n"])
def test_a_credential_that_is_empty_is_none(read, credentials, content):
    # The unit sets one where there is no file, so that it starts without.
    (credentials / "client_secret").write_text(content)
    config = read(MINIMAL, CREDENTIALS_DIRECTORY=str(credentials))
    assert config.zerobus.client_secret.get_secret_value() == "hush"


def test_a_command_finds_the_credentials_beside_the_file(read, tmp_path, credentials):
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "client_secret").write_text("kept")
    assert read(MINIMAL).zerobus.client_secret.get_secret_value() == "kept"
    # The daemon may not read those of root: it has what systemd handed on, or none.
    kept = read(MINIMAL, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret
    assert kept.get_secret_value() == "hush"
    (credentials / "client_secret").write_text("handed on")
    given = read(MINIMAL, CREDENTIALS_DIRECTORY=str(credentials)).zerobus.client_secret
    assert given.get_secret_value() == "handed on"


def test_what_needs_no_secret_reads_none(tmp_path):
    file = tmp_path / "stations.yaml"
    text = MINIMAL.replace("client_secret: hush", "client_secret_file: not-there")
    text = text.replace("mqtt:\n", "mqtt:\n  username: u\n  password: ${NOT_SET}\n")
    file.write_text(text)
    assert load(file, {}, secrets=False).zerobus.client_secret.get_secret_value() == "not read"
    file.write_text(MINIMAL.replace("  client_secret: hush\n", ""))
    config = load(file, {}, secrets=False)
    assert (config.zerobus.client_secret, config.mqtt.password) == (SecretStr("not read"), None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "can't be read: No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff" + CANARY.encode(), "is not UTF-8 text"),
        (b"x" * 70_000, "is larger than 64 KiB"),
    ],
)
def test_a_secret_file_that_is_none_is_named(problems, tmp_path, content, words):
    if content is not None:
        (tmp_path / "s").write_bytes(content)
    [(line, key, text, _)] = problems(changed("zerobus", "client_secret_file: s"))
    assert (line, key) == (4, "zerobus.client_secret_file")
    assert text.startswith(str(tmp_path / "s"))
    assert words in text


# Every way to get a secret wrong that could bring it into a message.
LEAKS = [
    changed("zerobus", f"client_secret: [{CANARY}]"),
    changed("zerobus", f"client_secret: {{a: {CANARY}}}"),
    changed("zerobus", f"client_secret: *{CANARY}"),
    changed("zerobus", f"client_secret: &{CANARY} x"),
    changed("zerobus", f"client_secret: !{CANARY} x"),
    changed("zerobus", f"client_secret: !a!{CANARY} x"),
    changed("zerobus", f"client_secret: '{CANARY}"),
    changed("zerobus", f'client_secret: "{CANARY}\\q"'),
    changed("zerobus", f"client_secret: a: {CANARY}"),
    changed("zerobus", f"client_secret: @{CANARY}"),
    changed("zerobus", f"client_secret: %{CANARY}"),
    changed("zerobus", f"client_secret: |{CANARY}"),
    changed("zerobus", f"client_secret: ${{{CANARY}"),
    changed("zerobus", f"client_secret: '{CANARY}' {CANARY}"),
    changed("zerobus", f'client_secret: "{CANARY}\\0"'),
    changed("mqtt", f"password: {CANARY}"),
    changed("mqtt", f"url: mqtt://me:{CANARY}@broker"),
    changed("mqtt", f"url: https://me:{CANARY}@broker"),
    changed("mqtt", f"url: mqtt://broker:{CANARY}"),
    changed("zerobus", f"endpoint: https://me:{CANARY}@host"),
    changed("zerobus", f"workspace_url: http://me:{CANARY}@[host"),
    changed("http", f"token: ü{CANARY}"),
    changed("http", f"token: [{CANARY}]"),
    changed("http", f"listen: me:{CANARY}@localhost:1"),
    MINIMAL.replace("client_secret: hush", f"client_secret: {CANARY}\n  client_secret: {CANARY}"),
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_error_ever_shows_a_secret(read, text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.problems)


@pytest.mark.parametrize("value", ["12345", "true", "1.5", "''"])
def test_a_secret_must_be_text(problems, value):
    [(line, key, text, _)] = problems(changed("zerobus", f"client_secret: {value}"))
    assert (line, key) == (4, "zerobus.client_secret")
    assert text in {"must be text: put it in quotes", "is empty"}


def test_a_config_prints_without_its_secrets(read):
    text = changed("mqtt", "username: u").replace("mqtt:\n", f"mqtt:\n  password: {CANARY}\n")
    text = text.replace("hush", CANARY) + f"http:\n  token: {CANARY}\n"
    config = read(text)
    assert config.http.token.get_secret_value() == CANARY
    assert CANARY not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"


# --- Mistakes

BAD = [
    # Section, line, key that is named, words.
    ("", "gatway: x", "gatway", "unknown key|did you mean gateway?"),
    ("", "keepalive: 60s", "keepalive", "unknown key|it is a key of mqtt"),
    ("", "path: x", "path", "unknown key|it is a key of spool"),
    ("", "warnings: x", "warnings", "unknown key|known are gateway, runtime_dir, mqtt, zerobus"),
    ("", "gateway: 7", "gateway", "must be text: put it in quotes"),
    ("", "gateway: ''", "gateway", "is empty"),
    ("", "runtime_dir: 7", "runtime_dir", "must be text: put it in quotes"),
    ("mqtt", "protocl: 5", "mqtt.protocl", "unknown key|did you mean protocol?"),
    ("mqtt", "endpoint: x", "mqtt.endpoint", "unknown key|it is a key of zerobus"),
    ("mqtt", "table: x", "mqtt.table", "unknown key|it is a key of heartbeat and of a station"),
    ("mqtt", "url: broker", "mqtt.url", "must start with mqtt://, mqtts://, ws://, wss://"),
    ("mqtt", "url: localhost:1883", "mqtt.url", "must start with mqtt://"),
    ("mqtt", "url: mqtt:broker", "mqtt.url", "must start with mqtt://"),
    ("mqtt", "url: mqtt://", "mqtt.url", "names no host"),
    ("mqtt", "url: mqtt://:1883", "mqtt.url", "names no host"),
    ("mqtt", "url: mqtt://a b", "mqtt.url", "names no host"),
    ("mqtt", "url: mqtt://broker:99999", "mqtt.url", "is no valid address"),
    ("mqtt", "url: mqtt://broker:0", "mqtt.url", "names port 0"),
    ("mqtt", "url: mqtt://[::1", "mqtt.url", "is no valid address"),
    ("mqtt", "url: mqtt://broker/topic", "mqtt.url", "must not have a path"),
    ("mqtt", "password: x", "mqtt.password", "needs a username"),
    ("mqtt", "ca_file: nowhere.pem", "mqtt.ca_file", "there is no file /"),
    ("mqtt", "cert_file: stations.yaml", "mqtt.cert_file", "needs key_file as well"),
    ("mqtt", "key_file: stations.yaml", "mqtt.key_file", "needs cert_file as well"),
    ("mqtt", "protocol: 4", "mqtt.protocol", "must be 'auto', '5' or '3.1.1'"),
    ("mqtt", "qos: 2", "mqtt.qos", "must be 0 or 1"),
    ("mqtt", "qos: true", "mqtt.qos", "must be a whole number"),
    ("mqtt", "keepalive: 60", "mqtt.keepalive", "60 has no unit: write 60s or 60ms"),
    ("mqtt", "keepalive: 10ms", "mqtt.keepalive", "must lie between 1s and 18h"),
    ("mqtt", "keepalive: [1s]", "mqtt.keepalive", "must be a duration such as"),
    ("mqtt", "keepalive: true", "mqtt.keepalive", "must be a duration such as"),
    ("mqtt", "session_expiry: 0", "mqtt.session_expiry", "must lie between 1s and 49710d"),
    ("mqtt", "receive_maximum: 0", "mqtt.receive_maximum", "greater than or equal to 1"),
    ("mqtt", "receive_maximum: 65536", "mqtt.receive_maximum", "less than or equal to 65535"),
    ("mqtt", "receive_maximum: 1.0", "mqtt.receive_maximum", "must be a whole number"),
    ("mqtt", "receive_maximum: .inf", "mqtt.receive_maximum", "must be a whole number"),
    ("mqtt", "receive_maximum: many", "mqtt.receive_maximum", "must be a whole number"),
    ("mqtt", "message_max_bytes: 11MB", "mqtt.message_max_bytes", "between 1KiB and 10MB"),
    ("mqtt", "message_max_bytes: [1]", "mqtt.message_max_bytes", "must be a size such as"),
    (
        "mqtt",
        "maximum_packet_size: 1000KiB",
        "mqtt.maximum_packet_size",
        "must not be less than message_max_bytes (1MiB)",
    ),
    (
        "mqtt",
        "inbox_max_bytes: 512KiB",
        "mqtt.inbox_max_bytes",
        "must not be less than message_max_bytes (1MiB)",
    ),
    ("mqtt", "status_topic: a/#", "mqtt.status_topic", "must be a topic: of {gateway} and words"),
    ("mqtt", "status_topic: a/{box}", "mqtt.status_topic", "must be a topic: of {gateway}"),
    ("mqtt", "status_topic: $SYS/x", "mqtt.status_topic", "must be a topic: of {gateway}"),
    ("metrics", "listen: 0.0.0.0:9464", "metrics.listen", "needs a token"),
    ("metrics", "listen: greenhouse-7:9464", "metrics.listen", "needs a token"),
    ("metrics", "listen: 127.0.0.1", "metrics.listen", "must be HOST:PORT, unix:PATH or off"),
    ("metrics", "listen: :9464", "metrics.listen", "must be HOST:PORT, unix:PATH or off"),
    ("metrics", "listen: 'unix:'", "metrics.listen", "must be HOST:PORT, unix:PATH or off"),
    ("metrics", "listen: 9464", "metrics.listen", "must be text: put it in quotes"),
    ("metrics", "listen: unix:" + "x" * 108, "metrics.listen", "at most 107 bytes"),
    ("metrics", "token: hüsch", "metrics.token", "must be ASCII without spaces"),
    ("metrics", "token: a b", "metrics.token", "must be ASCII without spaces"),
    ("mqtt", f"status_topic: {'ü' * 32_768}", "mqtt.status_topic", "at most 65,535 bytes"),
    ("http", "listen: 0.0.0.0:8000", "http.listen", "needs a token or a client_ca_file"),
    ("http", "listen: unix:/x", "http.listen", "must be HOST:PORT"),
    ("http", "listen: off", "http.listen", "must be HOST:PORT"),
    ("http", "listen: 8000", "http.listen", "must be text: put it in quotes"),
    ("http", "listen: localhost:9464", "http.listen", "is that of metrics already|choose another"),
    ("http", "token: a b", "http.token", "must be ASCII without spaces"),
    ("http", "token_file: nowhere", "http.token_file", "can't be read"),
    ("http", "cert_file: stations.yaml", "http.cert_file", "needs key_file as well"),
    ("http", "key_file: stations.yaml", "http.key_file", "needs cert_file as well"),
    ("http", "client_ca_file: stations.yaml", "http.client_ca_file", "needs cert_file as well"),
    ("http", "body_max_bytes: 65MiB", "http.body_max_bytes", "between 1KiB and 64MiB"),
    ("http", "inbox_max_bytes: 1MiB", "http.inbox_max_bytes", "less than body_max_bytes (4MiB)"),
    ("http", "body_timeout: 10", "http.body_timeout", "10 has no unit"),
    ("http", "connections_max: 0", "http.connections_max", "greater than or equal to 1"),
    ("http", "commit_interval: 11s", "http.commit_interval", "between 1ms and 10s"),
    ("http", "timeout: 0", "http.timeout", "between 100ms and 10min"),
    ("http", "idempotency_window: 31d", "http.idempotency_window", "between 1s and 30d"),
    ("http", "url: x", "http.url", "unknown key|it is a key of mqtt"),
    ("metrics", "token_file: nowhere", "metrics.token_file", "can't be read"),
    ("zerobus", "endpoint: http://host", "zerobus.endpoint", "must be https"),
    ("zerobus", "endpoint: ftp://host", "zerobus.endpoint", "must start with https://, http://"),
    ("zerobus", "endpoint: https://host/x", "zerobus.endpoint", "must name a host only"),
    ("zerobus", "endpoint: https://host?x=1", "zerobus.endpoint", "must name a host only"),
    ("zerobus", "workspace_url: http://10.0.0.1", "zerobus.workspace_url", "must be https"),
    ("zerobus", "client_id: 12", "zerobus.client_id", "must be text: put it in quotes"),
    ("zerobus", "ack_timeout: 1ms", "zerobus.ack_timeout", "must lie between 100ms and 10min"),
    ("zerobus", "rotate_after: 15min", "zerobus.rotate_after", "must lie between 1s and 13min"),
    ("zerobus", "window_max_bytes: 1", "zerobus.window_max_bytes", "between 256KiB and 256MiB"),
    ("spool", "max_bytes: 1MiB", "spool.max_bytes", "must lie between 8MiB and 1TiB"),
    ("spool", "max_bytes: 32MiB", "spool.max_bytes", "room for twice mqtt.inbox_max_bytes (16MiB)"),
    ("spool", "commit_interval: 0", "spool.commit_interval", "must lie between 1ms and 10s"),
    (
        "spool",
        "commit_max_bytes: 17MiB",
        "spool.commit_max_bytes",
        "must not be more than mqtt.inbox_max_bytes (16MiB)",
    ),
]


@pytest.mark.parametrize(("section", "line", "key", "words"), BAD)
def test_a_mistake_is_named_with_line_and_key(problems, section, line, key, words):
    text = changed(section, line)
    [(number, found, problem, hint)] = problems(text)
    assert found == key
    assert text.splitlines()[number - 1].strip() == line
    for part, where in zip(words.split("|"), (problem, hint), strict=False):
        assert part in where


BAD_STATIONS = [
    (["table: main.iot.one"], 9, "stations.one.topic", "is missing"),
    (["topic: a"], 9, "stations.one.table", "is missing"),
    (["topic: []", "table: main.iot.one"], 10, "stations.one.topic", "must be a topic filter or"),
    (["topic: {}", "table: main.iot.one"], 10, "stations.one.topic", "must be a topic filter or"),
    (["topic:", "- a", "- 5", "table: a.b.c"], 12, "stations.one.topic[1]", "must be text"),
    (["topic:", "- a", "- ''", "table: a.b.c"], 12, "stations.one.topic[1]", "is empty"),
    (["topic: [a, b, a]", "table: a.b.c"], 10, "stations.one.topic", "holds 'a' twice"),
    (["topic: a", "table: iot.one"], 11, "stations.one.table", "must be catalog.schema.table"),
    (["topic: a", "table: a.b.c.d"], 11, "stations.one.table", "must be catalog.schema.table"),
    (["topic: a", "table: a.b.c-d"], 11, "stations.one.table", "must be catalog.schema.table"),
    (["topic: a", "table: a.b.ö"], 11, "stations.one.table", "must be catalog.schema.table"),
    (["topic: a", 'table: "a.b.c\\n"'], 11, "stations.one.table", "must be catalog.schema.table"),
    (["topic: a", "table: a.b.c", "tabel: x"], 12, "stations.one.tabel", "unknown key"),
    (["topic: a", "table: a.b.c", "name: x"], 12, "stations.one.name", "unknown key"),
    (["topic: a", "table: a.b.c", "line: 4"], 12, "stations.one.line", "unknown key"),
    (["topic: a", "table: a.b.c", "topics: a"], 12, "stations.one.topics", "unknown key"),
    (["topic: a", "table: a.b.c", "schema: ../x"], 12, "stations.one.schema", "under tables/"),
    (["topic: a", "table: a.b.c", "schema: /etc"], 12, "stations.one.schema", "under tables/"),
    (["topic: a", "table: a.b.c", "schema: 5"], 12, "stations.one.schema", "must be text"),
    (["topic: a", "table: a.b.c", "silent_after: 10ms"], 12, "stations.one.silent_after", "1s and"),
    (["topic: a", "table: a.b.c", "silent_after: of"], 12, "stations.one.silent_after", "'of' is"),
    (["topic: a", "table: a.b.c", "format: ../x"], 12, "stations.one.format", "no format"),
    (["topic: a", "table: a.b.c", "format: xml"], 12, "stations.one.format", "known are "),
    (["topic: a", "table: a.b.c", "json: {x: 1}"], 12, "stations.one.json.x", "unknown key"),
    (["topic: a", "table: a.b.c", "columns: x"], 12, "stations.one.columns", "mapping"),
    (
        ["topic: a", "table: a.b.c", "columns: {a: 5.5}"],
        12,
        "stations.one.columns.a",
        "a source such",
    ),
    (["topic: a", "table: a.b.c", "columns: {a: }"], 12, "stations.one.columns.a", "a source such"),
]


@pytest.mark.parametrize(("lines", "line", "key", "words"), BAD_STATIONS)
def test_a_mistake_in_a_station_is_named_with_line_and_key(problems, lines, line, key, words):
    [(number, found, text, _)] = problems(station(*lines))
    assert (number, found) == (line, key)
    assert words in text


def test_a_topic_that_yaml_takes_for_a_comment_is_explained(problems):
    [(_, key, text, hint)] = problems(station("topic: #", "table: main.iot.one"))
    assert (key, text) == ("stations.one.topic", "is missing")
    assert hint == "a filter that starts with # must be quoted"


@pytest.mark.parametrize("name", ["a b", "../x", "ö", "a/b", "-"])
def test_a_station_has_a_plain_name(problems, name):
    [(line, key, text, _)] = problems(MINIMAL.replace("  one:", f"  {name}:") + "    schema: x\n")
    assert (line, key) == (9, f"stations.{name}.name")
    assert "a station's name must be" in text


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        (["table: main.iot.one"], "stations.two.schema", "must be that of one"),
        (["table: main.iot.ONE", "schema: one"], "stations.two.table", "written differently"),
    ],
)
def test_two_stations_of_one_table_must_agree(problems, lines, key, words):
    more = ["  two:", "    topic: b", *(f"    {line}" for line in lines)]
    [(_, found, text, _)] = problems(MINIMAL + "\n".join(more) + "\n")
    assert found == key
    assert words in text


def test_all_mistakes_come_at_once_in_order_of_lines(problems):
    text = """\
gatway: x
mqtt:
  url: broker
  keepalive: 60
  qos: 5
zerobus:
  endpoint: http://host
  workspace_url: ${NOWHERE}
  client_id: 5
  client_id: 6
spool:
  max_bytes: lots
stations:
  one:
    table: x
  two:
    topic: b/+
    table: main.iot.two
    formt: json
"""
    assert [(line, key) for line, key, _, _ in problems(text)] == [
        (1, "gatway"),
        (3, "mqtt.url"),
        (4, "mqtt.keepalive"),
        (5, "mqtt.qos"),
        (6, "zerobus.client_secret"),
        (7, "zerobus.endpoint"),
        (8, "zerobus.workspace_url"),
        (9, "zerobus.client_id"),
        (10, "zerobus.client_id"),
        (12, "spool.max_bytes"),
        (14, "stations.one.topic"),
        (15, "stations.one.table"),
        (19, "stations.two.formt"),
    ]


def test_an_unknown_key_names_file_line_and_nearest_key(read, tmp_path):
    with pytest.raises(ConfigError) as caught:
        read(changed("spool", "comit_interval: 1s"))
    assert str(caught.value) == (
        f"{tmp_path / 'stations.yaml'}:13: spool.comit_interval: unknown key"
        " (did you mean commit_interval?)"
    )
    assert caught.value.exit_code == 78


def test_an_empty_file_names_all_that_it_must_hold(problems):
    assert [(line, key, text.split(":")[0]) for line, key, text, _ in problems("")] == [
        (1, "mqtt.url", "is missing"),
        (1, "zerobus.endpoint", "is missing"),
        (1, "zerobus.workspace_url", "is missing"),
        (1, "zerobus.client_id", "is missing"),
        (1, "zerobus.client_secret", "is missing"),
        (1, "stations", "names no station"),
    ]


@pytest.mark.parametrize("section", ["mqtt", "zerobus", "stations"])
@pytest.mark.parametrize("value", ["5", "text", "[a]"])
def test_a_section_must_be_a_mapping(problems, section, value):
    text = re.sub(rf"(?m)^{section}:\n(  .*\n)+", f"{section}: {value}\n", MINIMAL)
    found = problems(text)
    line = text.splitlines().index(f"{section}: {value}") + 1
    assert (line, section, "must be a mapping of keys to values", "") in found


@pytest.mark.parametrize("text", ["5", "text", "- a"])
def test_the_file_must_be_a_mapping(problems, text):
    assert problems(text)[0][:3] == (1, "", "must be a mapping of keys to values")


# --- YAML


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("mqtt: [", 2, "is no valid YAML"),
        ("a: b\n\tc: d\n", 2, "is no valid YAML"),
        ("a: 1\n b: 2\n", 2, "is no valid YAML"),
        ("a: \x07\n", 1, "is no valid YAML"),
        (b"a: 1\nb: \xff\n", 1, "is not UTF-8 text (line 2)"),
        ("a: " + "x" * 2**20, 1, "is larger than 1 MiB"),
        ("a: " + "[" * 40 + "]" * 40, 1, "nested deeper than 32 levels"),
        ("[" * 100_000, 1, "nested deeper than 32 levels"),
        ("{a: " * 100_000, 1, "nested deeper than 32 levels"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_line(problems, text, line, words):
    [(found, key, problem, _)] = problems(text)
    assert (found, key) == (line, "" if "nested" not in words else key)
    assert words in problem


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("mqtt: &x\n  url: mqtt://h\n", 1, "anchors and aliases are not supported"),
        ("a: 1\nmqtt: *x\n", 2, "anchors and aliases are not supported"),
        ("gateway: !!python/object:os.system x\n", 1, "tags are not supported"),
        ("gateway: !x y\n", 1, "tags are not supported"),
        ("a: 1\n? [b, c]\n: 2\n", 2, "a key must be plain text"),
        ("gateway: a\n---\ngateway: b\n", 2, "holds a second document"),
        ("gateway: a\nmqtt: {}\ngateway: b\n", 3, "stands twice: first in line 1"),
    ],
)
def test_what_no_operator_could_follow_is_refused(problems, text, line, words):
    found = problems(text)
    assert any(one[0] == line and words in one[2] for one in found), found


def test_aliases_that_multiply_are_refused_at_once(problems):
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    start = time.monotonic()
    found = problems("a0: &a0 [x]\n" + "\n".join(levels))
    assert time.monotonic() - start < 2
    assert any("anchors" in text for _, _, text, _ in found)


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "ON", "Off", "y", "n", "1:30", "<<"])
def test_words_that_yaml_1_1_would_change_stay_text(read, word):
    text = station("topic: a", "table: a.b.c", f"columns: {{{word}: {word}}}")
    columns = read(text).stations[0].columns
    assert {name: words.sources for name, words in columns.items()} == {word: (word,)}


def test_a_file_may_begin_with_a_byte_order_mark_and_end_lines_like_windows(read):
    assert read("\ufeff" + MINIMAL.replace("\n", "\r\n")).mqtt.url == "mqtt://localhost"


def test_a_file_that_is_not_there_is_a_problem_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})
    assert str(caught.value).startswith(f"{tmp_path / 'none.yaml'}:1: can't be read: No such file")
    assert len(caught.value.problems) == 1


def test_ten_thousand_stations_are_read_in_seconds(read):
    stations = "".join(f"  s{n}: {{topic: a/{n}, table: a.b.t{n}}}\n" for n in range(10_000))
    start = time.monotonic()
    config = read(MINIMAL.partition("  one:")[0] + stations)
    assert len(config.stations) == 10_000
    assert time.monotonic() - start < 15


@given(st.text(max_size=200))
def test_no_text_gives_anything_but_a_config_or_its_problems(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(text, "utf-8", errors="replace")
    with pytest.raises(ConfigError):
        load(file, {})


# --- The station over HTTP


HTTP_ONLY = (
    MINIMAL.replace("    topic: sensors/+\n", "").replace("  url: mqtt://localhost\n", "")
    + "http:\n"
)


def test_an_empty_section_turns_http_on_with_its_defaults(read):
    http = read(MINIMAL + "http:\n").http
    assert http.model_dump() == {
        "listen": "127.0.0.1:8000",
        "token": None,
        "token_file": None,
        "cert_file": None,
        "key_file": None,
        "client_ca_file": None,
        "body_max_bytes": 4 * 2**20,
        "inbox_max_bytes": 16 * 2**20,
        "body_timeout": 30.0,
        "connections_max": 256,
        "commit_interval": 0.01,
        "timeout": 30.0,
        "idempotency_window": 86_400.0,
    }


def test_with_http_a_station_needs_no_topic_and_without_topics_no_broker_is_needed(read):
    config = read(HTTP_ONLY)
    assert [(one.name, one.topics) for one in config.stations] == [("one", ())]
    assert (config.mqtt.url, config.mqtt.encrypted, config.mqtt.message_max_bytes) == (
        "", False, 2**20
    )  # fmt: skip
    limit = HTTP_ONLY.replace("mqtt:\n", "mqtt:\n  message_max_bytes: 1KiB\n")
    assert read(limit).mqtt.message_max_bytes == 1024
    assert read(HTTP_ONLY.replace("mqtt:\n", "")).mqtt.url == ""
    certificate = HTTP_ONLY.replace("mqtt:\n", "mqtt:\n  username: u\n  password: p\n")
    assert read(certificate).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        HTTP_ONLY.replace("    table:", "    topic: a\n    table:"),
        MINIMAL.replace("  url: mqtt://localhost\n", ""),
    ],
)
def test_a_station_with_a_topic_needs_a_broker(problems, text):
    assert problems(text) == [(1, "mqtt.url", "is missing", "")]


def test_a_mistake_in_http_does_not_make_topics_missing(problems):
    [(_, key, _, _)] = problems(HTTP_ONLY.replace("http:\n", "http:\n  timeout: 1\n"))
    assert key == "http.timeout"


def test_an_instance_must_choose_its_port(tmp_path):
    document = Document(tmp_path / "stations.yaml")
    across.check_port(document, {"listen": "127.0.0.1:8001"})
    assert document.problems == []
    across.check_port(document, {"token": "a"})
    [problem] = document.problems
    assert (problem.key, problem.hint) == ("http.listen", "choose a port, such as 127.0.0.1:8001")


@pytest.mark.parametrize(
    ("metrics", "http", "is_taken"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000", True),
        ("127.0.0.1:8000", "localhost:8000", True),
        ("127.0.0.1:8001", "127.0.0.1:8000", False),
        ("off", "127.0.0.1:8000", False),
        ("unix:/run/m.sock", "127.0.0.1:8000", False),
        ("0.0.0.0:8000", "0.0.0.0:8000", True),
        ("127.0.0.1:8000", "0.0.0.0:8000", True),
        ("192.0.2.1:8000", "192.0.2.2:8000", False),
        ("192.0.2.1:8000", "127.0.0.1:8000", False),
        ("'[::]:8000'", "127.0.0.1:8000", True),
    ],
)
def test_figures_and_records_have_a_port_each(read, metrics, http, is_taken):
    sections = f"metrics:\n  listen: {metrics}\n  token: a\nhttp:\n  listen: {http}\n  token: a\n"
    if is_taken:
        with pytest.raises(ConfigError, match="is that of metrics already"):
            read(MINIMAL + sections)
    else:
        assert read(MINIMAL + sections).http.listen == http


def test_the_token_comes_from_the_credential_then_the_file_then_the_value(
    read, tmp_path, credentials
):
    text = MINIMAL + "http:\n  token: of-file\n  token_file: t\n"
    (tmp_path / "t").write_text("of-its-own\n")
    assert read(text).http.token.get_secret_value() == "of-its-own"
    (credentials / "http_token").write_text("of-systemd")
    given = read(MINIMAL + "http:\n", CREDENTIALS_DIRECTORY=str(credentials)).http.token
    assert given.get_secret_value() == "of-systemd"
    # A credential alone does not switch it on.
    assert read(MINIMAL, CREDENTIALS_DIRECTORY=str(credentials)).http is None


def test_clients_with_certificates_need_no_token_and_encrypted_tokens_no_warning(
    read, certificates
):
    listen = "http:\n  listen: 0.0.0.0:8000\n"
    token = "  token: 0123456789abcdef\n"
    [warning] = read(f"{MINIMAL}{listen}{token}").warnings
    assert warning.startswith("http.listen: what is sent to 0.0.0.0:8000, and the token, go there")
    pair = f"  cert_file: {certificates['cert']}\n  key_file: {certificates['key']}\n"
    assert read(f"{MINIMAL}{listen}{token}{pair}").warnings == ()
    mutual = f"{MINIMAL}{listen}{pair}  client_ca_file: {certificates['ca']}\n"
    assert read(mutual).http.token is None
    assert read(mutual).warnings == ()


@pytest.mark.parametrize("section", ["http", "metrics"])
def test_a_token_that_can_be_guessed_is_warned_about_and_not_shown(read, section):
    given, short = f"{MINIMAL}{section}:\n  token: ", f"{CANARY}-x"
    [warning] = read(f"{given}{short}\n").warnings
    assert warning.startswith(f"{section}.token: it has fewer than 16 characters")
    assert CANARY not in warning
    assert read(f"{given}{short}x\n").warnings == ()


@pytest.mark.parametrize("key", ["cert_file", "client_ca_file"])
def test_a_certificate_that_tls_cannot_use_is_named(problems, tmp_path, certificates, key):
    (tmp_path / "wrong.pem").write_text("nothing")
    files = {"cert_file": certificates["cert"], "key_file": certificates["key"], key: "wrong.pem"}
    section = "".join(f"  {name}: {file}\n" for name, file in files.items())
    [(_, found, text, _)] = problems(f"{MINIMAL}http:\n{section}")
    assert found == f"http.{key}"
    assert f"{tmp_path / 'wrong.pem'} can't be used: " in text


def test_without_the_extra_the_section_says_what_to_install(problems, monkeypatch):
    # What Python itself takes for a module that can't be imported.
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    [(line, key, text, hint)] = problems(MINIMAL + "http:\n")
    assert (line, key, text) == (12, "http", "needs what is not installed: uvicorn")
    assert hint == "install zerobus-collector[http], or take the section out"


def test_the_sample_can_be_switched_to_http(tmp_path):
    (tmp_path / "stations.yaml").write_text(sample_with_http())
    assert load(tmp_path / "stations.yaml", {}).http == Http()


# --- Warnings


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("mqtt://broker", True),
        ("ws://10.0.0.1", True),
        ("mqtts://broker", False),
        ("wss://broker", False),
        ("mqtt://localhost", False),
        ("mqtt://127.0.0.2:1884", False),
        ("mqtt://[::1]", False),
    ],
)
def test_a_password_that_goes_out_in_the_clear_is_warned_about(read, url, warned):
    text = f"mqtt:\n  url: {url}\n  username: u\n  password: {CANARY}\n"
    warnings = read(text + MINIMAL.partition("localhost\n")[2]).warnings
    assert len(warnings) == warned
    assert CANARY not in "".join(warnings)
    if warned:
        assert "unencrypted; use mqtts:// or wss://" in warnings[0]


def test_a_certificate_without_encryption_is_warned_about(read, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    [warning] = read(changed("mqtt", "ca_file: ca.pem")).warnings
    assert warning == "mqtt.ca_file and mqtt.cert_file have no effect with mqtt://"


# --- The sample and the documents


MODELS = {
    "": Box,
    "mqtt": Mqtt,
    "zerobus": Zerobus,
    "spool": SpoolLimits,
    "dead_letters": DeadLetters,
    "heartbeat": Heartbeat,
    "metrics": Metrics,
    "http": Http,
    "stations": Station,
}


def test_the_sample_runs_as_it_is():
    config = load(REPO / "stations.yaml", {})
    assert config.mqtt.url == "mqtt://localhost:1883"
    assert config.zerobus.endpoint == "http://127.0.0.1:15051"
    assert config.zerobus.workspace_url == "http://127.0.0.1:15052"
    assert [(one.name, one.topics, one.table) for one in config.stations] == [
        ("station_one", ("sensors/station_one/+",), "main.iot.station_one"),
        ("station_two", ("sensors/station_two/+",), "main.iot.station_two"),
    ]
    assert all((one.schema_dir / "schema.proto").is_file() for one in config.stations)


def sample_with_http():
    """The sample, whose section for HTTP is there to be switched on."""
    off = (REPO / "stations.yaml").read_text()
    on = off.replace("\n# http:\n", "\nhttp:\n")
    assert on != off
    return on


@pytest.mark.parametrize("section", MODELS)
def test_the_sample_shows_every_key(section):
    text = sample_with_http()
    part = text if not section else text.partition(f"\n{section}:\n")[2]
    part = re.split(r"(?m)^\w", part)[0] if section else part
    shown = set(re.findall(r"(?m)^\s*(?:# )?([a-z_]+):", part))
    assert set(MODELS[section].keys()) <= shown


@pytest.mark.parametrize("section", ["mqtt", "zerobus", "spool", "dead_letters", "http"])
def test_the_defaults_that_the_sample_shows_are_the_defaults(section):
    text = sample_with_http().partition(f"\n{section}:\n")[2]
    part = re.split(r"(?m)^\w", text)[0]
    fields = MODELS[section].model_fields
    compared = 0
    for key, written in re.findall(r"(?m)^  # ([a-z_]+): (\S+)$", part):
        default = fields[key].default
        if isinstance(default, bool) or not isinstance(default, int | float | str):
            continue
        value = yaml.safe_load(written)
        if written.endswith("%") or key == "table_share":
            continue
        if isinstance(default, float):
            value = parse_duration(written)
        elif isinstance(default, int) and isinstance(value, str):
            value = parse_size(written)
        assert str(value) == str(default), key
        compared += 1
    assert compared >= 2


def test_the_sample_of_dotenv_is_one_and_names_the_variables(tmp_path):
    text = (REPO / "stations.yaml").read_text()
    example = (REPO / ".env.example").read_text()
    for name in set(re.findall(r"(?m)^  [a-z_]+: \$\{([A-Z_]+)", text)):
        assert f"{name}=" in example
    (tmp_path / "stations.yaml").write_text(text)
    (tmp_path / ".env").write_text(example)
    assert load(tmp_path / "stations.yaml", {}).zerobus.client_id == "emulator"


@pytest.mark.parametrize("section", MODELS)
def test_every_key_is_explained_in_the_documents(section):
    text = (REPO / "docs" / "configuration.md").read_text()
    rows = set(re.findall(r"(?m)^\| `([a-z_]+)` \|", text))
    assert set(MODELS[section].keys()) <= rows


@pytest.mark.parametrize("section", ["mqtt", "zerobus", "spool", "dead_letters", "http"])
def test_the_defaults_in_the_documents_are_the_defaults(section):
    text = (REPO / "docs" / "configuration.md").read_text().partition(f"\n## {section}\n")[2]
    rows = dict(re.findall(r"(?m)^\| `([a-z_]+)` \| ([^|]+) \|", text.partition("\n## ")[0]))
    for name, field in MODELS[section].model_fields.items():
        default = field.default
        if rows[name].endswith("%"):
            assert int(rows[name].rstrip(" %")) == default * 100
        elif isinstance(default, float):
            assert parse_duration(rows[name]) == default
        elif isinstance(default, int) and default >= 2**10 * 2**10:
            assert parse_size(rows[name]) == default
        elif isinstance(default, int | str) and not rows[name].startswith("required"):
            assert rows[name].replace(",", "") == str(default)
