"""Health tells the truth: each cause changes what is said in every place, as the documents say.

One real line takes one trouble after the other and gets well in between; what ends a line, or would
be remembered by it, has a line of its own. The table is that of `docs/operations.md`.
"""

import contextlib
import json
import resource
import socket
import sqlite3
import subprocess

import pytest
from support.asking import ask, figure
from support.client import measured
from support.line import ROOT, STATIONS, Line, reading
from support.terminal import run_plain
from support.waiting import answers, free_port, wait_for
from support.web import request

from collector import status

ONE = "main.iot.station_one"
WRONG = ROOT / "tests" / "support" / "wrong.py"
DISK_BYTES = 64 << 20
FREE_BYTES = 16 << 20


class Cause:
    """What goes wrong, and what it makes of the answers: health, a word of the reason, the status
    codes of /health, /readyz and /livez, and a figure with its value."""

    def __init__(self, row, health, word, codes, name, value, /, **labels):
        self.row, self.health, self.word, self.codes = row, health, word, codes
        self.name, self.value, self.labels = name, value, labels

    def shows(self, line, port):
        """What is not yet as it should be; empty when all of it is."""
        done = run_plain("status", "--json", "-c", str(line.config), folder=line.folder)
        document = json.loads(done.stdout)
        said = json.loads(ask(port, "/health").text)
        found = {
            "status": (document["health"], done.returncode),
            "health": said["health"],
            "codes": tuple(ask(port, path).status for path in ("/health", "/readyz", "/livez")),
            "figure": figure(port, self.name, **self.labels),
            "health figure": figure(port, "health", health=self.health),
        }
        wanted = {
            "status": (self.health, status.EXIT_CODES[self.health]),
            "health": self.health,
            "codes": self.codes,
            "figure": self.value,
            "health figure": 1.0,
        }
        wrong = {key: value for key, value in found.items() if value != wanted[key]}
        for place, reasons in (("status", document["reasons"]), ("health", said["reasons"])):
            if not any(self.word in reason for reason in reasons):
                wrong[f"reasons of {place}"] = reasons
        return wrong


OK, FAILS, STANDS = (200, 200, 200), (503, 503, 200), (503, 503, 503)
CAUSES = {
    "broker down": Cause(
        "the broker is away", "offline", "broker: ", OK, "broker_connected", 0.0
    ),
    "cloud down": Cause(
        "Zerobus is away", "degraded", "is waiting", OK, "stream_state", 1.0,
        table=ONE, state="waiting",
    ),
    "token refused": Cause(
        "the token is refused", "degraded", "zerobus.client_secret", OK, "stream_state", 1.0,
        table=ONE, state="held",
    ),
    "table missing": Cause(
        "a table is missing", "degraded", "create the table", OK, "stream_state", 1.0,
        table=ONE, state="held",
    ),
    "station silent": Cause(
        "a station is silent", "degraded", "station_two: no message for", OK, "station_silent", 1.0,
        station="station_two",
    ),
    "disk full": Cause(
        "the disk, or the spool, is full", "failing", "spool.min_free_bytes", FAILS,
        "spool_paused", 1.0,
    ),
    "spool not written": Cause(
        "the spool can't be written", "failing", "nothing is stored: ", FAILS,
        "spool_failing", 1.0,
    ),
}  # fmt: skip
DAMAGED = Cause(
    "a batch in the spool is damaged", "degraded", "its checksum", OK, "spool_damaged_batches", 1.0
)
TAKEN = Cause("`http.listen` can't be had", "degraded", "http.listen: ", OK, "http_listening", 0.0)
STILL = {
    "impatient": Cause(
        "the intake stands still", "failing", "intake stands still", STANDS,
        "loop_standing_still", 1.0, loop="intake",
    ),
    "requests-stand-still": Cause(
        "the intake of the requests stands still", "failing", "http intake stands still", STANDS,
        "loop_standing_still", 1.0, loop="http intake",
    ),
    "tick-stands-still": Cause(
        "the main thread stands still", "failing", "", (503, 200, 503),
        "loop_standing_still", 1.0, loop="tick",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A folder that is a small disk of its own where that can be mounted, and its line's."""
    folder = tmp_path_factory.mktemp("health")
    state = folder / "state"
    state.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(state))
    is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder, is_mounted
    if is_mounted:
        subprocess.run(("umount", "--lazy", str(state)), check=True)


@pytest.fixture(scope="module")
def running(small_disk):
    folder, is_mounted = small_disk
    port = free_port()
    spool = {"max_bytes": "48MiB", "min_free_bytes": str(FREE_BYTES if is_mounted else 0)}
    stations = {name: dict(one) for name, one in STATIONS.items()}
    with Line(
        folder, stations=stations, spool=spool, metrics={"listen": f"127.0.0.1:{port}"},
        zerobus={"idle_after": "100ms"},
    ) as line:  # fmt: skip
        yield line, port, is_mounted


def is_well(port):
    return (ask(port).status, ask(port, "/readyz").status) == (200, 200) and (
        figure(port, "health", health="ok") == 1.0
    )


@contextlib.contextmanager
def trouble(name, line, port, is_mounted):
    """Bring one cause about, and mend it."""
    if name == "broker down":
        line.broker.stop()
        yield
        line.broker.start()
    elif name == "station silent":
        line.stations["station_two"]["silent_after"] = "1s"
        line.write_config()
        assert line.reload() == ""
        yield
        line.stations["station_two"]["silent_after"] = "off"
        line.write_config()
        assert line.reload() == ""
    elif name == "disk full":
        if not is_mounted:
            pytest.skip("needs root, to mount a small disk")
        hog = line.folder / "state" / "hog"
        with hog.open("wb") as file:
            file.write(b"h" * (DISK_BYTES - FREE_BYTES // 2 - 4 * (1 << 20)))
        yield
        hog.unlink()
    elif name == "spool not written":
        pid = line.daemon.process.pid
        none = resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (20_000, none))
        # One commit of it is longer than that, wherever it begins.
        line.publisher().publish([reading(1, "station_two", description="x" * 30_000)])
        yield
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (none, none))
    else:
        plans = {
            "cloud down": {"fault": "refuse_connections"},
            "token refused": {"fault": "token_error", "status": 401},
            "table missing": {"fault": "refuse_open", "status": "NOT_FOUND"},
        }
        # A stream that is open needs neither a token nor a table.
        wait_for(lambda: figure(port, "stream_state", table=ONE, state="idle") != 0.0, "no stream")
        line.zerobus.faults({"faults": [plans[name]]})
        if name == "token refused":
            # The SDK keeps a token for as long as it is good.
            line.daemon.stop()
            line.start_daemon()
        line.publisher().publish([reading(1)])
        yield
        line.zerobus.faults(None)
        # A held table is tried again within minutes; a reload says that it may be mended.
        assert line.reload() == ""


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_shows_everywhere_as_documented_and_goes_when_it_is_mended(running, name):
    line, port, is_mounted = running
    wait_for(lambda: is_well(port), "a line that is well", 60, 0.2)
    with trouble(name, line, port, is_mounted):
        wait_until_shown(CAUSES[name], line, port)
    wait_for(lambda: is_well(port), f"the end of {name}", 60, 0.2)
    line.check_balances()


def wait_until_shown(cause, line, port):
    missing = [cause]

    def shown():
        missing[0] = cause.shows(line, port)
        return not missing[0]

    try:
        wait_for(shown, "the cause to show", 60, 0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}: {missing[0]}\n{line.daemon.tail()}") from error


def test_a_damaged_batch_shows_everywhere_as_documented(line_folder):
    port = free_port()
    with Line(line_folder, metrics={"listen": f"127.0.0.1:{port}"}) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        line.publisher().publish([reading(n) for n in range(10)])
        wait_for(lambda: line.spooled() == 10, "records that wait")
        with contextlib.closing(sqlite3.connect(line.spool_path)) as connection:
            connection.execute("UPDATE batches SET checksum = checksum + 1 WHERE id = 1")
            connection.commit()
        line.zerobus.faults(None)
        wait_until_shown(DAMAGED, line, port)


def test_a_port_of_http_that_is_taken_shows_everywhere_as_documented(line_folder):
    port = free_port()
    metrics = {"listen": f"127.0.0.1:{port}"}
    with Line(line_folder, metrics=metrics) as line:
        with socket.create_server(("127.0.0.1", line.http_port)):
            line.change(http={"listen": f"127.0.0.1:{line.http_port}"})
            assert line.reload() == ""
            wait_until_shown(TAKEN, line, port)
        wait_for(lambda: is_well(port), "the port", 60, 0.2)
        assert figure(port, "http_listening") == 1.0


@pytest.mark.parametrize("wrong", STILL)
def test_a_loop_that_stands_still_shows_everywhere_as_documented(line_folder, wrong):
    """Also the main thread, which writes the status file: the probes do not depend on it."""
    port = free_port()
    metrics = {"listen": f"127.0.0.1:{port}"}
    with (
        Line(line_folder, main=(WRONG, wrong), metrics=metrics, http={}) as line,
        contextlib.ExitStack() as opened,
    ):
        line.publisher().publish([(1, "sensors/station_one/d1", b"freeze")])
        if wrong == "requests-stand-still":
            wait_for(lambda: answers(line.http_port), "the station over HTTP")
            client = socket.create_connection(("127.0.0.1", line.http_port), 60)
            opened.enter_context(client)
            body = json.dumps(measured(1)).encode()
            client.sendall(request("POST", "/ingest/station_one", body))
        if wrong == "tick-stands-still":
            # What is in it is old by then; that it says so after 15 s is tested with the status.
            old = json.dumps({**line.status(), "updated_us": 0})
            wait_for(lambda: ask(port, "/livez").status == 503, "the main thread to stand still")
            (line.folder / "state" / status.FILE).write_text(old)
        wait_until_shown(STILL[wrong], line, port)
        line.daemon.kill()


def test_the_table_of_the_documents_is_what_was_tested():
    text = (ROOT / "docs" / "operations.md").read_text().partition("\n## Health\n")[2]
    text = text.partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| ")][2:]
    tested = {one.row: one for one in (*CAUSES.values(), DAMAGED, TAKEN, *STILL.values())}
    assert {row[0] for row in rows} == set(tested)
    for row, said, *codes, shown in rows:
        one = tested[row]
        assert said == f"{one.health}, {status.EXIT_CODES[one.health]}"
        assert tuple(map(int, codes)) == one.codes
        assert f"`collector_{one.name}" in shown
        assert str(int(one.value)) in shown.rpartition("`")[2]
