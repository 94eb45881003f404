"""What strangers do to the station over HTTP: they are many, slow, or send what makes no sense.

A real daemon with few places. Whoever has something to ask finds one all the time.
"""

import json
from contextlib import ExitStack

import pytest
from support.asking import ask, figure
from support.client import measured
from support.line import Line
from support.waiting import answers, free_port, wait_for
from support.web import connect, is_ended, read_answer, request, said

PLACES = 16
WAITERS = PLACES // 2
VIEWERS = PLACES // 4
OUTAGE = {"faults": [{"fault": "refuse_connections"}]}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    port = free_port()
    limits = {"listen": f"127.0.0.1:{port}", "connections_max": PLACES, "body_timeout": "10min"}
    one = Line(tmp_path_factory.mktemp("strangers"), http=limits)
    with one:
        wait_for(lambda: answers(port), "the station over HTTP", 60)
        one.port = port
        yield one
        one.check_balances()


@pytest.fixture
def opened(line):
    """Opens connections that have sent something; they are closed at the end."""
    with ExitStack() as stack:

        def open_one(sent):
            client = stack.enter_context(connect(line, 60))
            client.sendall(sent)
            return client

        yield open_one


def post(number, parameters="", **headers):
    body = json.dumps(measured(number)).encode()
    return request(
        "POST", f"/ingest/station_one{parameters}", body, Content_Type="application/json", **headers
    )


def slow_body():
    return post(0, Content_Length=1_000)


def figures(line):
    return line.status()["http"]


def test_neither_slow_bodies_nor_those_who_wait_keep_others_out(line, opened):
    line.zerobus.faults(OUTAGE)
    waiting = [opened(post(one, "?wait_for_ack=true&timeout=600s")) for one in range(WAITERS)]
    wait_for(lambda: figures(line)["awaiting"] == WAITERS, "those who wait")
    late = said(line, post(100, "?wait_for_ack=true&timeout=600s"))
    answer = json.loads(late[2])
    assert (late[0], answer["acknowledged"], answer["status"]) == (202, False, "stored")
    assert f"{WAITERS} requests wait already" in answer["message"]
    status, _, body = said(line, request("POST", "/flush/station_one?timeout=600s"))
    answer = json.loads(body)
    assert (status, answer["flushed"], answer["left"]) == (202, False, WAITERS + 1)
    assert f"{WAITERS} requests wait already" in answer["message"]
    assert figure(line.port, "http_requests_not_awaited_total") == 2
    assert figure(line.port, "http_awaiting_requests") == WAITERS
    viewers = [opened(request(path="/ui/events")) for _ in range(VIEWERS)]
    assert [read_answer(one)[0] for one in viewers] == [200] * VIEWERS
    assert said(line, request(path="/ui/events"))[0] == 503
    numbers = range(200, 230)
    for number in numbers:
        slow = [opened(slow_body()) for _ in range(PLACES)]
        # As many as there are places came after it.
        assert is_ended(slow[0])
        assert said(line, post(number))[0] == 202
        for path in ("/livez", "/health", "/ui"):
            assert ask(line.port, path).status == 200, path
    assert figures(line)["turned_away"] == 0
    line.zerobus.faults(None)
    assert [read_answer(one)[0] for one in waiting] == [200] * WAITERS
    line.wait_delivered([*range(WAITERS), 100, *numbers])


LONG = "9" * 5_000
ODD = [
    ("OPTIONS *", {}, b"", 404),
    ("POST *?timeout=1s", {}, b"", 404),
    ("GET *h", {}, b"", 404),
    ("CONNECT box:443", {}, b"", 400),
    ("GET http://localhost", {}, b"", 400),
    ("GET http://localhost/livez", {}, b"", 200),
    ("GET livez", {}, b"", 400),
    ("GET //evil.example/", {}, b"", 404),
    ("GET //[/", {}, b"", 404),
    ("GET /health/", {"Host": "[::1]:99999"}, b"", 307),
    ("GET /health/", {"Host": "[::1"}, b"", 421),
    ("GET /nowhere", {"Host": "["}, b"", 421),
    ("GET /\xe9", {}, b"", 400),
    ("GET /%ff%00%0d%0a", {}, b"", 404),
    ("GET /%zz", {}, b"", 404),
    ("GET /health/%ed%a0%80", {}, b"", 404),
    ("POST /ingest/%00", {}, b"{}", 404),
    ("POST /ingest/station_one/", {}, b"{}", 404),
    ("GET /docs/..%2fapp.py", {}, b"", 404),
    ("GET /ui/%2e%2e", {}, b"", 404),
    ("PROPFIND /livez", {}, b"", 405),
    ("QUERY /ingest/station_one", {}, b"", 405),
    ("get /livez", {}, b"", 400),
    ("GET /metrics", {"Accept": f"text/plain;q={LONG}"}, b"", 200),
    ("GET /health", {"Accept": "\xe9;q=nan,,;"}, b"", 200),
    ("GET /livez", {"Authorization": "Basic \xe9"}, b"", 200),
    ("GET /livez", {"Range": "bytes=9-0", "If_Modified_Since": "never"}, b"", 200),
    ("POST /ingest/station_one?timeout=\xb2", {}, b"{}", 400),
    ("POST /ingest/station_one?timeout=%c2%b2s", {}, b"{}", 400),
    ("POST /ingest/station_one?timeout=1e-999999&wait_for_ack=true", {}, b"{}", 202),
    ("POST /ingest/station_one?timeout=nan", {}, b"{}", 400),
    (f"POST /flush/station_one?timeout={LONG}", {}, b"", 400),
    ("POST /ingest/station_one?" + "&" * 1_000, {}, b"{}", 400),
    ("POST /ingest/station_one?topic=%ed%a0%80", {}, b"{}", 400),
    ("POST /ingest/station_one?topic=%00", {}, b"{}", 400),
    ("POST /ingest/station_one?wait_for_ack=%c4%b0", {}, b"{}", 400),
    ("POST /ingest/station_one", {"Content_Type": "application/json; charset=\xe9"}, b"{}", 202),
    ("POST /ingest/station_one", {"Content_Type": ";"}, b"{}", 202),
    ("POST /ingest/station_one", {"Content_Encoding": "\xe9"}, b"{}", 415),
    ("POST /ingest/station_one", {"Idempotency_Key": "k\xe9y"}, b"{}", 400),
    ("POST /ingest/station_one", {"Origin": "http://["}, b"{}", 403),
    ("POST /ingest/station_one", {}, b"\xff\xfe", 400),
    ("POST /ingest/station_one", {}, b"[" * 5_000, 400),
    ("POST /ingest/station_one", {}, b'{"a":' * 5_000, 400),
    ("POST /ingest/station_one", {}, b'{"temp": %b}' % LONG.encode(), 400),
    ("POST /ingest/station_one", {}, b'{"device_name": "\\ud800", "temp": 1e999}', 400),
]


@pytest.mark.parametrize(("asked", "headers", "body", "status"), ODD)
def test_what_makes_no_sense_is_no_mistake_of_ours(line, asked, headers, body, status):
    sent = request(*asked.split(" ", 1), body=body, Connection="close", **headers)
    with connect(line) as client:
        client.sendall(sent)
        assert read_answer(client)[0] == status
    log = line.daemon.tail()
    assert "Traceback" not in log
    assert "can't be answered" not in log
