"""`collector emulate` as a process of its own: readiness, signals, kill -9, TLS."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable
from support.waiting import wait_for
from support.zerobus_client import KEPT, TABLE, Acks, close, encoded, open_stream
from zerobus.sdk.shared import ZerobusException

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "RUST_LOG": "off"}


class Process:
    """The command on ports that the operating system chose; known once it says it is ready."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "collector", "emulate"]
        ports = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            [*command, *ports, *map(str, arguments)],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )
        line = self.process.stdout.readline().split()
        assert line[0] == "ready:"
        self.endpoint, self.workspace_url = line[2], line[4]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL)

    def end(self, number):
        self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(20)


def lying(lake):
    return DeltaTable(str(lake.joinpath(*TABLE.split(".")))).to_pyarrow_table()["seq"].to_pylist()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_it_has_acknowledged_what_it_took(tmp_path, number):
    lake, acks = tmp_path / "lake", Acks()
    with Process("--lake", lake, "--ack-delay", 60, "--commit-interval", 60) as emulator:
        one = open_stream(emulator, ack_callback=acks)
        one.ingest_record_offset(encoded([0])[0])
        wait_for(lambda: (lake / "main").exists() and lying(lake) == [0], "the first commit")
        one.ingest_records_offset(encoded(range(1, 50)))
        assert emulator.end(number) == 0
    wait_for(lambda: acks.offsets, "the ack of what was taken")
    assert set(encoded_up_to(acks.offsets[-1])) <= set(lying(lake))
    close(one)


def encoded_up_to(offset):
    """The seqs of the first message, and of the second."""
    return range(1) if offset == 0 else range(50)


def test_what_was_acked_is_in_the_delta_table_after_kill_9(tmp_path):
    """Kill the emulator under load several times; every acked record must lie in the table, and in
    the log. What was not acked may lie there too."""
    lake, log = tmp_path / "lake", tmp_path / "log"
    acked, sent = set(), 0
    for _ in range(4):
        with Process("--lake", lake, "--log", log, "--ack-delay", 0.02) as emulator:
            acks = Acks()
            one = open_stream(emulator, ack_callback=acks, max_inflight_records=200)
            first = sent
            ends = time.monotonic() + random.uniform(0.6, 1.2)
            killer = threading.Timer(ends - time.monotonic(), emulator.process.kill)
            killer.start()
            try:
                while True:
                    one.ingest_record_offset(encoded([sent])[0])
                    sent += 1
            except ZerobusException:
                pass
            killer.join()
            close(one)
            KEPT.append(one)
            acked |= {first + offset for offset in acks.offsets}
    assert len(acked) > 100
    assert acked <= set(lying(lake))
    lines = log.read_text().splitlines()
    rows = [json.loads(line)["row"]["seq"] for line in lines if line.endswith("}}")]
    assert acked <= set(rows)


CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from types import SimpleNamespace
from support.zerobus_client import send
emulator = SimpleNamespace(endpoint=sys.argv[2], workspace_url=sys.argv[3])
send(emulator, range(10))
print("delivered")
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A private CA and a certificate for loopback, made by openssl."""
    folder = tmp_path_factory.mktemp("ca")
    san = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    (folder / "extension").write_text(f"{san}\nextendedKeyUsage=serverAuth\n")
    new = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    sign = "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
    for words in (
        f"{new} -x509 -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem",
        f"{new} -subj /CN=localhost -keyout leaf.key -out leaf.csr",
        f"{sign} -extfile extension -out leaf.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_tls_on_both_ports_with_a_private_ca(tmp_path, authority):
    files = ("--cert", authority / "leaf.pem", "--key", authority / "leaf.key")
    with Process("--lake", tmp_path / "lake", *files) as emulator:
        assert emulator.endpoint.startswith("https://")
        client = [sys.executable, "-c", CLIENT, str(ROOT / "tests")]
        for trusted, works in ((authority / "ca.pem", True), (None, False)):
            environment = {**ENVIRONMENT, **({"SSL_CERT_FILE": str(trusted)} if trusted else {})}
            done = subprocess.run(
                [*client, emulator.endpoint, emulator.workspace_url],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert (done.stdout == "delivered\n") == works, done.stderr
        assert sorted(lying(tmp_path / "lake")) == list(range(10))


def run(*arguments, environment=ENVIRONMENT):
    return subprocess.run(
        [sys.executable, "-m", "collector", "emulate", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tables_of_a_folder_exist_under_their_catalog(tmp_path):
    for name in ("one", "two"):
        (tmp_path / "tables" / name).mkdir(parents=True)
        (tmp_path / "tables" / name / "schema.proto").write_text(
            f'syntax = "proto2"; package {name}; message Row {{ optional int32 temp = 1; }}'
        )
    tables = tmp_path / "tables"
    other = f"main.lab.other={tables / 'two'}"
    lake = tmp_path / "lake"
    with Process("--lake", lake, "--tables", tables, "--catalog", "main.iot", "--table", other):
        made = {str(log.parent.relative_to(lake)) for log in lake.glob("*/*/*/_delta_log")}
        assert made == {"main/iot/one", "main/lab/other"}


def test_mistakes_in_the_arguments_end_with_code_2(tmp_path):
    (tmp_path / "plan.json").write_text('{"faults": [{"fault": "silense"}]}')
    lake = ("--lake", tmp_path / "lake")
    for arguments, words in (
        ((*lake, "--faults", tmp_path / "plan.json"), "did you mean 'silence'"),
        ((*lake, "--faults", tmp_path / "missing.json"), "missing.json"),
        ((*lake, "--tables", tmp_path), "--catalog"),
        ((*lake, "--grpc", "nowhere"), "is no address"),
        ((*lake, "--client-id", "alone"), "--client-secret-file"),
        ((*lake, "--count-only"), "stores nothing"),
    ):
        done = run(*arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_a_schema_that_cannot_be_used_ends_with_code_78(tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "schema.proto").write_text("nonsense")
    done = run("--lake", tmp_path / "lake", "--table", f"main.iot.bad={tmp_path / 'bad'}")
    assert done.returncode == 78
    assert "schema.proto" in done.stderr


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    arguments = ("--lake", tmp_path / "lake", "--client-id", "client")
    with Process(*arguments, "--client-secret-file", tmp_path / "secret") as emulator:
        close(open_stream(emulator))


def test_the_help_has_an_example_and_ends_with_the_exit_codes():
    done = run("--help")
    assert "Example: collector emulate" in done.stdout
    assert done.stdout.rstrip().rpartition("Exit codes:")[2].split()[:2] == ["0", "stopped"]
