"""The station over HTTP as a part of the daemon: reloads, stops, a full spool, who may ask."""

import base64
import contextlib
import gzip
import http.client
import itertools
import json
import re
import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.client import Client, measured
from support.line import STATIONS, Line, reading
from support.terminal import run_plain
from support.waiting import answers, free_port, wait_for
from support.web import read_answer, request

ONE, TWO = "main.iot.station_one", "main.iot.station_two"
OUTAGE = {"faults": [{"fault": "refuse_connections"}]}
TOKEN = "canary-of-http"


def serving(folder, **more):
    """Return a line that is to serve, and its port."""
    port = free_port()
    options = {"listen": f"127.0.0.1:{port}", **more.pop("http", {})}
    return Line(folder, http=options, **more), port


@pytest.fixture
def connect():
    """Gives clients, and closes them."""
    with contextlib.ExitStack() as opened:

        def client(port):
            one = Client(port)
            opened.callback(one.close)
            return one

        yield client


def wait_for_server(port):
    wait_for(lambda: answers(port), "the station over HTTP", 60)


class Load(threading.Thread):
    """Posts until it is told to end; `stored` are the ids that were answered as stored."""

    def __init__(self, port, first):
        super().__init__(daemon=True)
        self.port, self._next = port, first
        self.stored, self.statuses = [], set()
        self._ending = threading.Event()

    def run(self):
        client = Client(self.port)
        while not self._ending.is_set():
            number, self._next = self._next, self._next + 1
            try:
                status = client.post("/ingest/station_one", measured(number)).status
            except OSError:
                client.close()
                client = Client(self.port)
                self._ending.wait(0.05)
                continue
            self.statuses.add(status)
            if status in (200, 202):
                self.stored.append(number)
        client.close()

    def has_stored(self, count):
        wait_for(lambda: len(self.stored) >= count, f"{count} records to be stored", 60)

    def end(self):
        self._ending.set()
        self.join(60)


def test_requests_are_no_messages_of_the_broker_in_the_rates(line_folder):
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        load = Load(port, 1)
        load.start()
        found = {}

        def has_rate():
            found.update(line.status())
            return found["received_rate"] > 0

        try:
            wait_for(has_rate, "a rate")
            assert found["broker_rate"] == 0
            publisher, numbers = line.publisher(), itertools.count(1)

            def brings_a_rate():
                publisher.publish([reading(1_000_000 + next(numbers))])
                found.update(line.status())
                return found["broker_rate"] > 0

            wait_for(brings_a_rate, "a rate of the broker")
            assert found["broker_rate"] <= found["received_rate"]
        finally:
            load.end()


def test_http_comes_moves_and_goes_by_a_reload_and_nothing_that_was_answered_is_lost(
    line_folder, connect
):
    line = Line(line_folder)
    with line:
        assert line.status()["http"] is None
        first, second = free_port(), free_port()
        line.change(http={"listen": f"127.0.0.1:{first}"})
        assert line.reload() == ""
        wait_for_server(first)
        load = Load(first, 1)
        load.start()
        load.has_stored(50)
        line.stations["more"] = {"table": ONE, "schema": "station_one"}
        line.write_config()
        assert line.reload() == ""
        load.has_stored(100)
        client = connect(first)
        assert client.post("/ingest/more", measured(1_000_001)).status == 202
        assert "/ingest/more" in client.get("/openapi.json").said["paths"]
        line.change(http={"listen": f"127.0.0.1:{second}"})
        assert line.reload() == ""
        wait_for_server(second)
        wait_for(lambda: not answers(first), "the first port to be free")
        load.port = second
        load.has_stored(len(load.stored) + 50)
        load.end()
        assert load.statuses <= {202, 503}
        del line.stations["more"], line._sections["http"]
        line.write_config()
        assert line.reload() == ""
        wait_for(lambda: not answers(second), "the second port to be free")
        line.wait_delivered([*load.stored, 1_000_001])
        line.check_balances()


def test_a_reload_that_is_refused_changes_nothing_over_http(line_folder, certificates):
    cert = line_folder / "cert.pem"
    cert.write_text(Path(certificates["cert"]).read_text())
    tls = ssl.create_default_context(cafile=certificates["ca"])
    line, port = serving(
        line_folder, http={"cert_file": str(cert), "key_file": certificates["key"]}
    )

    def post(number):
        asked = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=tls)
        with contextlib.closing(asked):
            asked.request("POST", "/ingest/station_one", json.dumps(measured(number)).encode())
            return asked.getresponse().status

    with line:
        wait_for_server(port)
        assert post(1) == 202
        cert.write_text("half of one")
        assert "http.cert_file" in line.reload()
        assert post(2) == 202
        assert line.status()["http"]["problem"] == ""
        cert.write_text(Path(certificates["cert"]).read_text())
        assert line.reload() == ""
        assert post(3) == 202


def test_a_stop_under_load_stores_all_that_it_has_answered(line_folder):
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        loads = [Load(port, 1_000_000 * place) for place in range(1, 9)]
        for load in loads:
            load.start()
        for load in loads:
            load.has_stored(20)
        assert line.daemon.stop(signal.SIGTERM) == 0
        for load in loads:
            load.end()
        line.start_daemon()
        line.wait_delivered([one for load in loads for one in load.stored])
        assert "Traceback" not in line.daemon.tail()
        line.check_balances()


def test_while_the_spool_is_full_nothing_is_taken_and_nothing_that_was_taken_is_lost(
    line_folder, connect
):
    line, port = serving(
        line_folder,
        spool={"max_bytes": "8MiB", "commit_max_bytes": "64KiB"},
        mqtt={"inbox_max_bytes": "64KiB", "message_max_bytes": "64KiB"},
    )
    with line:
        wait_for_server(port)
        line.zerobus.faults(OUTAGE)
        client, taken = connect(port), []
        for number in range(2_000):
            long = {**measured(number), "device_name": "d" * 60_000}
            answered = client.post("/ingest/station_one", long)
            if answered.status != 202:
                break
            taken.append(number)
        assert answered.status == 503
        assert int(answered.headers["retry-after"]) > 0
        assert "max_bytes" in answered.said["error"]
        assert client.get("/readyz").status == 503
        assert client.get("/health").status == 503
        line.zerobus.faults(None)
        line.wait_delivered(taken, 120)
        wait_for(lambda: client.post("/ingest/station_one", measured(-1)).status == 202, "room")
        assert sorted(one for one in set(line.zerobus.ids()) if one >= 0) == taken
        line.check_balances()


def test_what_a_rule_would_drop_of_a_request_is_refused_and_counted_nowhere(line_folder, connect):
    stations = {**STATIONS, "station_one": {**STATIONS["station_one"], "when_full": "drop_newest"}}
    line, port = serving(
        line_folder,
        stations=stations,
        spool={"max_bytes": "8MiB", "commit_max_bytes": "64KiB"},
        mqtt={"inbox_max_bytes": "64KiB", "message_max_bytes": "64KiB"},
    )
    with line:
        wait_for_server(port)
        line.zerobus.faults(OUTAGE)
        client, taken = connect(port), []
        for number in range(2_000):
            long = {**measured(number), "device_name": "d" * 60_000}
            key = f"key-{number}"
            answered = client.post("/ingest/station_one", long, Idempotency_Key=key)
            if answered.status != 202:
                break
            taken.append(number)
        assert answered.status == 503
        # Its client was told: it is no record that was made and dropped.
        counters = line.counters()
        assert counters.get(("table:" + ONE, "dropped"), 0) == 0
        assert counters["", "received"] == counters["table:" + ONE, "made"] == len(taken)
        line.zerobus.faults(None)
        line.wait_delivered(taken, 120)
        # What was dropped is not known by its key: it can be sent again.
        again = wait_for(
            lambda: (
                (one := client.post("/ingest/station_one", long, Idempotency_Key=key)).status == 202
                and one
            ),
            "room",
            60,
        )
        assert "repeated" not in again.said
        line.wait_delivered([number], 60)
        line.check_balances()


def test_a_record_that_zerobus_refuses_is_never_said_to_be_acknowledged(line_folder, connect):
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        line.zerobus.faults(
            {"faults": [{"fault": "poison", "column": "device_name", "equals": "bad"}]}
        )
        client = connect(port)
        bad = {**measured(1), "device_name": "bad"}
        answers_of = {}

        def wait_for_it():
            answers_of["bad"] = connect(port).post(
                "/ingest/station_one?wait_for_ack=true&timeout=120s", [bad, measured(2)]
            )

        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        wait_for(lambda: line.counters().get(("table:" + ONE, "made"), 0) == 2, "the records")
        # Others that are accepted prove that it is the record's own fault.
        for number in range(3, 200):
            client.post("/ingest/station_one?wait_for_ack=true&timeout=1s", measured(number))
            if not waiting.is_alive():
                break
        waiting.join(120)
        said = answers_of["bad"].said
        assert (answers_of["bad"].status, said["acknowledged"]) == (202, False)
        assert "not all of it was delivered" in said["message"]
        assert [row["kind"] for row in line.dead_letters()] == ["refused"]
        line.check_balances()


def flush_and_purge(line, port, connect):
    """Have a flush wait for two records that are purged meanwhile; returns its answer."""
    client, flushing, answered = connect(port), connect(port), []
    assert client.post("/ingest/station_one", [measured(1), measured(2)]).status == 202
    waiting = threading.Thread(
        target=lambda: answered.append(flushing.post("/flush/station_one?timeout=120s"))
    )
    waiting.start()
    # It may have come to its place and not begun to wait yet: then nothing is left for it.
    wait_for(lambda: line.status()["http"]["connections"] >= 2, "the flush")
    config = str(line.config)
    done = run_plain("spool", "purge", ONE, "--all", "--yes", "-c", config, folder=line.folder)
    assert done.returncode == 0, done.stderr
    waiting.join(150)
    return answered[0]


def test_a_flush_does_not_call_delivered_what_was_purged_meanwhile(line_folder, connect):
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        line.zerobus.faults(OUTAGE)
        tries = (flush_and_purge(line, port, connect) for _ in range(10))
        answered = next(one for one in tries if "nothing was waiting" not in one.said["message"])
        said = answered.said
        assert (answered.status, said["status"], said["flushed"]) == (202, "incomplete", False)
        assert (said["left"], said["undelivered"]) == (0, 2)
        assert "without being delivered" in said["message"]


def test_with_a_token_nobody_asks_without_it_and_it_is_shown_nowhere(line_folder, connect):
    (line_folder / "token").write_text(TOKEN + "\n")
    line, port = serving(line_folder, http={"token_file": "token"})
    with line:
        wait_for_server(port)
        client = connect(port)
        basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        for path in ("/", "/ui", "/ui/events", "/docs", "/openapi.json", "/metrics", "/livez"):
            refused = client.get(path)
            assert (refused.status, "needed" in refused.said["error"]) == (401, True), path
            wrong = client.get(path, Authorization=f"Bearer {TOKEN}x")
            assert wrong.status == 401
        assert client.post("/ingest/station_one", measured(1)).status == 401
        for given in (f"Bearer {TOKEN}", f"Basic {basic}"):
            assert client.get("/health", Authorization=given).status == 200
            answered = client.post("/ingest/station_one", measured(2), Authorization=given)
            assert answered.status == 202
        assert TOKEN not in line.daemon.tail()
        assert TOKEN not in json.dumps(line.status())


def test_a_port_that_is_taken_keeps_the_line_from_nothing_and_is_said(line_folder, connect):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = Line(line_folder, http={"listen": f"127.0.0.1:{port}"})
        with line:
            wait_for(lambda: (line.status()["http"] or {}).get("problem"), "the problem to be said")
            done = run_plain("status", "--json", "-c", str(line.config), folder=line.folder)
            document = json.loads(done.stdout)
            assert document["health"] == "degraded"
            assert any("http.listen" in reason for reason in document["reasons"])
            line.publisher().publish(
                [(1, "sensors/station_one/d", json.dumps(measured(1)).encode())]
            )
            line.wait_delivered([1])
            taken.close()
            client = wait_for(lambda: answers(port) and connect(port), "the port", 60)
            wait_for(lambda: client.post("/ingest/station_one", measured(2)).status == 202, "202")
            wait_for(lambda: not line.status()["http"]["problem"], "the problem to be over")


@pytest.fixture
def connect_raw():
    """Gives connections, and closes them."""
    with contextlib.ExitStack() as opened:
        yield lambda port: opened.enter_context(socket.create_connection(("127.0.0.1", port), 60))


@pytest.fixture
def asking(connect):
    """Asks in a thread of its own; the call returns the future of its answer."""
    with ThreadPoolExecutor() as pool:

        def ask(port, *asked, **more):
            return pool.submit(connect(port).post, *asked, **more)

        yield ask


WAITING = "/ingest/station_one?wait_for_ack=true&timeout=300s"
FLUSHING = "/flush/station_one?timeout=300s"


def test_a_stop_tells_those_who_wait_what_is_stored(line_folder, asking, connect_raw):
    """Whoever was told to send it again would have it twice."""
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        line.zerobus.faults(OUTAGE)
        stored = asking(port, WAITING, [measured(1), measured(2)])
        wait_for(lambda: line.counters().get(("table:" + ONE, "made")) == 2, "the records")
        flushing = connect_raw(port)
        flushing.sendall(request("POST", FLUSHING, Expect="100-continue"))
        # It is said by whoever waits for the client to go away.
        assert read_answer(flushing)[0] == 100
        assert line.daemon.stop(signal.SIGTERM, timeout=60) == 0
        said = stored.result(60)
        assert (said.status, said.said["acknowledged"], said.said["count"]) == (202, False, 2)
        status, _, body = read_answer(flushing)
        said = json.loads(body)
        assert (status, said["flushed"], said["left"]) == (202, False, 2)
        line.zerobus.faults(None)
        line.start_daemon()
        line.wait_delivered([1, 2])
        assert sorted(set(line.zerobus.ids())) == [1, 2]
        line.check_balances()


def test_a_stop_does_not_wait_for_who_looks_at_the_page(line_folder, connect_raw):
    line, port = serving(line_folder)
    with line:
        wait_for_server(port)
        viewer = connect_raw(port)
        viewer.sendall(request(path="/ui/events"))
        assert read_answer(viewer)[0] == 200
        assert line.daemon.stop(signal.SIGTERM, timeout=60) == 0


def test_a_station_that_is_full_keeps_no_other_out_and_readiness_is_told(line_folder, connect):
    """One falls to its rule; the probe follows what requests meet, and gets well by itself."""
    stations = {name: {**one, "when_full": "drop_newest"} for name, one in STATIONS.items()}
    line, port = serving(
        line_folder,
        stations=stations,
        spool={"max_bytes": "8MiB", "commit_max_bytes": "64KiB", "table_share": "60 %"},
        mqtt={"inbox_max_bytes": "64KiB", "message_max_bytes": "64KiB"},
    )
    with line:
        wait_for_server(port)
        line.zerobus.faults(OUTAGE)
        client = connect(port)
        long = {**measured(1), "device_name": "d" * 60_000}

        def is_refused(station):
            return client.post(f"/ingest/{station}", long).status == 503

        wait_for(lambda: is_refused("station_one"), "station_one to have its share", 120, 0)
        assert client.post("/ingest/station_two", measured(2)).status == 202
        wait_for(lambda: is_refused("station_two") and is_refused("station_one"), "no room", 120, 0)
        assert client.get("/readyz").status == 503
        line.zerobus.faults(None)
        # No request comes that would tell.
        wait_for(lambda: client.get("/readyz").status == 200, "room", 120)
        line.check_balances()


def test_a_small_request_can_not_cost_much_memory_or_time(line_folder, connect):
    line, port = serving(line_folder)
    bombs = [
        b"[" + b"1," * 2_000_000 + b"1]",
        b"[" + b"{}," * 1_300_000 + b"{}]",
        b"1\n" * 2_000_000,
    ]
    with line:
        wait_for_server(port)
        client = connect(port)
        before = resident_bytes(line)
        for body in bombs:
            for content_type in ("application/json", "application/x-ndjson"):
                answered = client.post(
                    "/ingest/station_one",
                    gzip.compress(body),
                    content_type,
                    Content_Encoding="gzip",
                )
                assert answered.status == 413
                assert "100,000 records" in answered.said["error"]
        nearly = b"[" + b"1," * 400_000 + b"1]"
        answered = client.post("/ingest/station_one", nearly)
        assert (answered.status, answered.said["bad"]) == (400, 400_001)
        assert len(answered.body) < 4 << 20
        assert resident_bytes(line) - before < 150 << 20


def resident_bytes(line):
    """The most that the daemon has ever had."""
    status = Path(f"/proc/{line.daemon.process.pid}/status").read_text()
    (kib,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) * 1024
