"""The server of figures and probes: who may ask, and what a client can't do to it.

Real sockets; what is asked about is a small fake with the interface of `collector.http.Vitals`.
"""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from pydantic import SecretStr
from support.asking import ask
from support.line import ROOT
from support.waiting import free_port, wait_for

from collector.config import Metrics
from collector.errors import SpoolError
from collector.http import Server, VitalSigns
from collector.http.plain.places import CONNECTIONS_MAX


class Vitals:
    still = ()
    unstored = ()
    name = "ok"

    def standing_still(self):
        return list(self.still)

    def not_storing(self):
        return list(self.unstored)

    def health(self):
        return self.name, [] if self.name == "ok" else ["a reason"]

    def figures(self):
        raise SpoolError("the spool can't be read")


class Broken(Vitals):
    def health(self):
        return {}["canary"]


@contextmanager
def serving(listen=None, vitals=None, token=None):
    listen = listen or f"127.0.0.1:{free_port()}"
    server = Server()
    options = Metrics(listen=listen, token=SecretStr(token) if token else None)
    server.start(options, VitalSigns(vitals or Vitals()))
    try:
        yield server, options
    finally:
        server.stop()


@contextmanager
def port_of(**more):
    with serving(**more) as (_, options):
        port = options.address[1]
        wait_for(lambda: is_open(port), "the server")
        yield port


def is_open(port):
    try:
        return ask(port, "/livez").status
    except OSError:
        return None


@pytest.mark.parametrize(
    ("vitals", "codes"),
    [
        ({}, (200, 200, 200)),
        ({"still": ["intake"]}, (503, 200, 200)),
        ({"unstored": ["the disk is full"]}, (200, 503, 200)),
        ({"name": "degraded"}, (200, 200, 200)),
        ({"name": "offline"}, (200, 200, 200)),
        ({"name": "failing"}, (200, 200, 503)),
    ],
)
def test_each_probe_answers_its_own_question(vitals, codes):
    with port_of(vitals=type("Those", (Vitals,), vitals)()) as port:
        said = [ask(port, path) for path in ("/livez", "/readyz", "/health")]
        assert tuple(one.status for one in said) == codes
        assert json.loads(said[2].text)["health"] == vitals.get("name", "ok")
        for probe, key in ((said[0], "still"), (said[1], "unstored")):
            assert vitals.get(key, ["ok"])[0] in probe.text


def test_people_get_text_and_programs_json():
    with port_of(vitals=type("Those", (Vitals,), {"name": "degraded"})()) as port:
        assert ask(port).content_type == "application/json"
        shown = ask(port, Accept="text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        assert shown.content_type.startswith("text/plain")
        assert shown.text == "degraded\n  a reason\n"


def test_what_can_not_be_told_is_an_error_with_its_reason():
    with port_of() as port:
        said = ask(port, "/metrics")
        assert (said.status, said.text) == (503, "the spool can't be read\n")


def test_a_page_that_fails_is_an_error_and_stands_in_the_log(caplog):
    with port_of(vitals=Broken()) as port:
        said = ask(port)
        assert said.status == 500
        assert "its log says how" in said.text
        assert "canary" not in said.text
        wait_for(lambda: "KeyError: 'canary'" in caplog.text, "the log")
        assert ask(port, "/livez").status == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 404), ("/metrics/../livez", "GET", 404), ("/livez?x=1", "GET", 200),
     ("http://127.0.0.1:9464/livez", "GET", 200), ("HTTP://localhost/livez?x=1", "GET", 200),
     ("http://evil.example/livez", "GET", 421), ("http://localhost", "GET", 404),
     ("/livez?x=http://evil.example/", "GET", 200),
     ("/livez", "HEAD", 200), ("/livez", "POST", 405), ("/livez", "DELETE", 405)],
)  # fmt: skip
def test_only_get_and_head_of_what_is_there_are_answered(path, method, status):
    with port_of() as port:
        said = ask(port, path, method)
        assert said.status == status
        assert bool(said.text) == (method != "HEAD")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:9464", 200), ("localhost", 200), ("[::1]:9464", 200), ("", 200),
     ("evil.example", 421), ("127.0.0.1.evil.example:9464", 421), ("[::1].evil.example", 421)],
)  # fmt: skip
def test_a_web_page_can_not_ask_by_a_name_of_its_own(host, status):
    with port_of() as port:
        assert ask(port, "/livez", Host=host).status == status


def test_with_a_token_every_path_needs_it():
    with serving(token="canary-token") as (_, options):
        port = options.address[1]
        wait_for(lambda: is_open(port), "the server")
        for path in ("/livez", "/readyz", "/health", "/metrics", "/nowhere"):
            assert ask(port, path).status == 401
        for wrong in ("Bearer x", "Bearer canary-token2", "canary-token", "Basic Y2FuYXJ5"):
            refused = ask(port, Authorization=wrong)
            assert refused.status == 401
            assert "canary" not in refused.text
        for scheme in ("Bearer", "bearer", "BEARER "):
            good = ask(port, Authorization=f"{scheme} canary-token", Host="greenhouse-7.example")
            assert good.status == 200


def test_a_unix_socket_is_for_the_group_and_is_taken_away_at_the_end(tmp_path):
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    with serving(f"unix:{path}"):
        wait_for(lambda: is_served(path), "the socket")
        assert ask(None, "/livez", unix=path).status == 200
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with serving(f"unix:{path}") as (second, _):
            wait_for(lambda: second.problem, "the second to find it taken")
        assert ask(None, "/livez", unix=path).status == 200
    assert not path.exists()


def is_served(path):
    try:
        return ask(None, "/livez", unix=path).status
    except OSError:
        return None


def test_a_port_that_is_taken_is_said_and_tried_again(caplog):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with serving(f"127.0.0.1:{port}") as (server, _):
            wait_for(lambda: server.problem, "the problem")
            assert f"127.0.0.1:{port}" in server.problem
            assert "metrics.listen" in server.problem
            assert [record.levelname for record in caplog.records] == ["ERROR"]
            other.close()
            wait_for(lambda: is_open(port), "the port")
            wait_for(lambda: not server.problem, "the end of the problem")


def test_clients_that_say_nothing_or_too_much_keep_nobody_out():
    with port_of(token="canary-token") as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS_MAX)]
        for one in silent[1:]:
            one.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        assert ask(port, "/livez", Authorization="Bearer canary-token").status == 200
        # The oldest has given its place away.
        silent[0].settimeout(10)
        assert received(silent[0]) == b""
        for one in silent:
            one.close()
    with port_of() as port:
        with socket.create_connection(("127.0.0.1", port), 10) as long:
            try:
                long.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * 100_000)
                assert received(long) == b""
            except ConnectionError:
                pass
        assert ask(port, "/livez").status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"GET /livez HTTP/1.0\r\n\r\n", b"200"), (b"nonsense\r\n\r\n", b"400"),
     (b"GET /livez HTTP/9.9\r\n\r\n", b"505"), (b"GET\r\n\r\n", b"400"),
     (b"\xff\xfe\x00 / HTTP/1.1\r\n\r\n", b"405"), (b"\r\n\r\n", b"")],
)  # fmt: skip
def test_whatever_a_client_sends_the_server_goes_on(raw, status):
    with port_of() as port:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(raw)
            answer = received(client)
        assert answer.split(b" ")[1:2] == ([status] if status else [])
        assert ask(port, "/livez").status == 200


class Slow(Vitals):
    """Asks to be let go on, so that every place is taken by a request."""

    def __init__(self):
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()

    def not_storing(self):
        self.asked.release()
        assert self.go_on.wait(30)
        return []


def test_a_request_keeps_its_place_until_it_is_answered():
    slow = Slow()
    with (
        serving(vitals=slow) as (server, options),
        ThreadPoolExecutor(CONNECTIONS_MAX) as clients,
    ):
        port = options.address[1]
        wait_for(lambda: is_open(port), "the server")
        # A client has its answer a moment before its place is free.
        wait_for(lambda: not server._places._open, "all places to be free")
        said = [clients.submit(ask, port, "/readyz") for _ in range(CONNECTIONS_MAX)]
        for _ in said:
            assert slow.asked.acquire(timeout=30)
        with socket.create_connection(("127.0.0.1", port), 30) as turned_away:
            # It is closed at once: an answer, or waiting, would take what there is not.
            assert received(turned_away) == b""
        slow.go_on.set()
        assert [one.result(30).status for one in said] == [200] * CONNECTIONS_MAX
        wait_for(lambda: is_open(port) == 200, "a place")


LIMITED = """
import sys, threading
from collector.config import Metrics
from collector.http import VitalSigns, Server
from support.asking import ask
from support.waiting import wait_for
from test_http import Vitals, is_open

threading.excepthook = lambda died: print("died:", died.exc_value)
port = int(sys.argv[1])
server = Server()
server.start(Metrics(listen=f"127.0.0.1:{port}"), VitalSigns(Vitals()))
wait_for(lambda: is_open(port), "the server")
# No room for the stack of another thread.
threading.stack_size(1 << 47)
wait_for(lambda: is_open(port) is None, "a client that is turned away")
threading.stack_size(0)
wait_for(lambda: is_open(port) == 200, "the server to go on")
print("served")
"""


def test_a_thread_that_can_not_be_started_turns_one_client_away():
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(free_port())], cwd=ROOT / "tests", check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "served\n", done.stderr
    assert "a client is turned away: can't start new thread" in done.stderr


def received(connection):
    answer = b""
    try:
        while chunk := connection.recv(65_536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer
