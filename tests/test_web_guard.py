"""Who may ask the station over HTTP, what goes with its answers, and how bodies are read."""

import base64
import gzip
import itertools
import logging
import shutil
import subprocess
import tracemalloc
import zlib
from contextlib import ExitStack

import pytest
from support.waiting import wait_for
from support.web import connect, read_answer, request, said, status_of, web

TOKEN = "canary-7d1f"
MIB = 1024 * 1024


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer   {TOKEN} ", 200),
        (basic("anybody", TOKEN), 200),
        (basic("", TOKEN), 200),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer", 401),
        ("Bearer \xe9", 401),
        (basic(TOKEN, "wrong"), 401),
        (basic(TOKEN, ""), 401),
        ("Basic !", 401),
        ("Basic \xe9", 401),
        (f"Digest {TOKEN}", 401),
        (TOKEN, 401),
        ("", 401),
    ],
)
def test_a_token_is_asked_for(authorization, status):
    with web(token=TOKEN) as server:
        sent = request(Authorization=authorization, Host="box.example")
        assert status_of(server, sent) == status
        assert server.counts.wrong_tokens == (status == 401 and authorization != "")
        assert len(server.app.begun) == (status == 200)


def test_who_has_no_token_is_told_how_to_give_it_and_goes():
    with web(token=TOKEN) as server, connect(server) as client:
        client.sendall(request("POST", "/", body=b"x" * 5 * MIB))
        status, headers, body = read_answer(client)
        assert (status, headers["connection"]) == (401, "close")
        assert headers["www-authenticate"] == ["Bearer", 'Basic realm="collector", charset="UTF-8"']
        assert b"a token is needed" in body


def test_wrong_tokens_are_said_once_a_minute_and_never_shown(caplog):
    with web(token=TOKEN) as server:
        for number in range(9):
            assert status_of(server, request(Authorization=f"Bearer {TOKEN}{number}")) == 401
        assert server.counts.wrong_tokens == 9
    assert [one.getMessage() for one in caplog.records] == [
        "http: 127.0.0.1 sent a wrong token: 1 so far, 1 since this was said last"
    ]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("10.0.0.7:8000", 200),
        ("[::1]:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("127.0.0.1@evil.example", 421),
        ("::1", 421),
    ],
)
def test_without_a_token_only_addresses_are_its_name(host, status):
    with web() as server:
        assert status_of(server, request(Host=host)) == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"Origin": "http://127.0.0.1:8000"}, 200),
        ("POST", {"Origin": "HTTPS://127.0.0.1:8000"}, 200),
        ("POST", {"Sec_Fetch_Site": "same-origin"}, 200),
        ("POST", {"Origin": "http://127.0.0.1"}, 403),
        ("POST", {"Origin": "http://127.0.0.1:9464"}, 403),
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("PUT", {"Origin": "http://evil.example"}, 403),
        ("DELETE", {"Origin": "http://evil.example"}, 403),
        ("GET", {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"}, 200),
        ("HEAD", {"Origin": "http://evil.example"}, 200),
        ("OPTIONS", {"Origin": "http://evil.example"}, 200),
    ],
)
def test_a_page_of_another_origin_writes_nothing(method, headers, status):
    with web() as server:
        sent = request(method, Host="127.0.0.1:8000", Connection="close", **headers)
        assert status_of(server, sent) == status


@pytest.mark.parametrize(
    ("sent", "status", "cache"),
    [
        (request(), 200, "no-store"),
        (request(path="/ignore"), 404, "max-age=1"),
        (request(Host="evil.example"), 421, "no-store"),
        (request(path="/raise"), 500, "no-store"),
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(sent, status, cache):
    with web() as server:
        got, headers, _ = said(server, sent)
        assert got == status
        assert headers["cache-control"] == cache
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "date" in headers
        assert "server" not in headers


def test_a_mistake_of_ours_is_answered_and_logged_with_its_traceback(caplog):
    with web() as server:
        status, headers, body = said(server, request(path="/raise"))
        assert (status, headers["content-type"]) == (500, "application/json")
        assert b"its log says how" in body
        assert b"KeyError" not in body
    (logged,) = caplog.records
    assert logged.getMessage() == "GET /raise can't be answered"
    assert logged.exc_info[0] is KeyError


def test_half_an_answer_is_not_made_to_look_like_a_whole_one(caplog):
    with web() as server, connect(server) as client:
        client.sendall(request(path="/half") + request())
        status, _, body = read_answer(client)
        assert (status, body) == (200, b"")
        assert read_answer(client) is None
    assert [one.getMessage() for one in caplog.records] == ["GET /half can't be answered"]


def test_what_was_asked_is_counted_by_names_that_nobody_makes_up():
    with web() as server:
        for sent in (request(), request(path="/x"), request("PROPFIND"), request(path="/ignore")):
            assert status_of(server, sent)
        assert server.counts.requests == {
            ("GET", "other", 200): 2,
            ("other", "other", 200): 1,
            ("GET", "other", 404): 1,
        }


def post(body, path="/", **headers):
    return request("POST", path, body=body, **headers)


def chunked(*pieces, path="/", **headers):
    head = request("POST", path, Transfer_Encoding="chunked", **headers)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (*pieces, b""))


def packed(size, level=9):
    return gzip.compress(b"x" * size, level)


WHOLE = packed(1_000)
LIMIT = 64 * 1024


@pytest.mark.parametrize(
    ("sent", "status", "size"),
    [
        (post(b""), 200, 0),
        (post(b"x" * LIMIT), 200, LIMIT),
        (post(b"x" * (LIMIT + 1)), 413, None),
        (post(b"x", Content_Length=10**18), 413, None),
        (chunked(b"x" * 10, b"y" * 10), 200, 20),
        (chunked(*[b"x"] * LIMIT), 200, LIMIT),
        (chunked(b"x" * LIMIT, b"y"), 413, None),
        (post(b"x" * 10, Content_Encoding="identity"), 200, 10),
        (post(WHOLE, Content_Encoding="gzip"), 200, 1_000),
        (post(WHOLE, Content_Encoding="X-GZIP"), 200, 1_000),
        (chunked(*(bytes([one]) for one in WHOLE), Content_Encoding="gzip"), 200, 1_000),
        (post(packed(LIMIT), Content_Encoding="gzip"), 200, LIMIT),
        (post(packed(LIMIT + 1), Content_Encoding="gzip"), 413, None),
        (chunked(packed(LIMIT + 1), Content_Encoding="gzip"), 413, None),
        (post(WHOLE * 3, Content_Encoding="gzip"), 200, 3_000),
        (post(packed(0) * 1_000, Content_Encoding="gzip"), 200, 0),
        (post(packed(0) * 1_001, Content_Encoding="gzip"), 400, None),
        (post(WHOLE + b"\0", Content_Encoding="gzip"), 400, None),
        (post(WHOLE + b"more", Content_Encoding="gzip"), 400, None),
        (post(WHOLE[:-1], Content_Encoding="gzip"), 400, None),
        (post(WHOLE[:20], Content_Encoding="gzip"), 400, None),
        (post(WHOLE[:-8] + bytes(8), Content_Encoding="gzip"), 400, None),
        (post(zlib.compress(b"x"), Content_Encoding="gzip"), 400, None),
        (post(b"no gzip", Content_Encoding="gzip"), 400, None),
        (post(b"", Content_Encoding="gzip"), 400, None),
        (post(WHOLE, Content_Encoding="gzip, gzip"), 415, None),
        (post(zlib.compress(b"x"), Content_Encoding="deflate"), 415, None),
        (post(b"x", Content_Encoding="br"), 415, None),
    ],
    ids=itertools.count(),
)
def test_a_body_is_read_up_to_its_limit(sent, status, size):
    with web(body_max_bytes="64KiB") as server:
        got, headers, body = said(server, sent)
        assert got == status
        if status == 200:
            assert f'"size": {size},'.encode() in body
        else:
            assert b'"error": ' in body
        assert ("accept-encoding" in headers) == (status == 415)
        wait_for(lambda: server.app.ended, "the end of the request")
        assert server.app.bodies.held == 0


def test_a_bomb_costs_no_memory():
    bomb = gzip.compress(bytes(128 * MIB), 9)
    assert len(bomb) < MIB
    with web() as server:
        tracemalloc.start()
        try:
            assert status_of(server, post(bomb, Content_Encoding="gzip")) == 413
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


def test_a_body_that_does_not_come_is_not_waited_for():
    with web(body_timeout="1s") as server, connect(server) as client:
        client.sendall(post(b"x", Content_Length=9))
        status, headers, body = read_answer(client)
        assert (status, headers["connection"]) == (408, "close")
        assert b"within 1 s" in body
        assert server.app.bodies.held == 0


def test_bodies_that_wait_are_held_up_to_a_limit():
    with (
        web(inbox_max_bytes="64KiB", body_max_bytes="48KiB") as server,
        connect(server) as first,
    ):
        first.sendall(post(b"x" * 40_000, "/gate"))
        wait_for(lambda: server.app.bodies.held == 40_000, "the first to be held")
        status, headers, body = said(server, post(b"x" * 40_000))
        assert (status, headers["retry-after"]) == (429, "1")
        assert b"http.inbox_max_bytes" in body
        assert status_of(server, post(b"x" * 10_000)) == 200
        server.loop.call_soon_threadsafe(server.app.gate.set)
        assert read_answer(first)[2] == b"x" * 40_000
        wait_for(lambda: server.app.bodies.held == 0, "nothing to be held")
        assert status_of(server, post(b"x" * 40_000)) == 200


def test_large_bodies_that_come_slowly_leave_room_for_small_ones():
    with web(inbox_max_bytes="1MiB", body_max_bytes="512KiB") as server, ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(2)]
        for client in slow:
            client.sendall(post(b"x" * (MIB // 2 - 1), Content_Length=MIB // 2))
        wait_for(lambda: server.counts.requests.total() == 1, "one of them to be refused")
        assert server.counts.requests == {("POST", "other", 429): 1}
        wait_for(lambda: server.app.bodies.held == MIB // 2 - 1, "the rest of the other")
        assert status_of(server, post(b"x" * 16_384)) == 200


def test_small_requests_that_wait_are_limited_as_well():
    with web(inbox_max_bytes="64KiB", body_max_bytes="48KiB") as server, connect(server) as client:
        client.sendall(post(b"x", "/gate"))
        wait_for(lambda: server.app.bodies.held, "a small body")
        assert server.app.bodies.held == 4_096
        server.loop.call_soon_threadsafe(server.app.gate.set)
        assert read_answer(client)[0] == 200


def test_a_client_that_goes_in_the_middle_of_its_body_is_no_mistake(caplog):
    caplog.set_level(logging.INFO)
    with web() as server:
        for sent in (
            post(b"x", Content_Length=9),
            chunked(b"x")[:-5],
            post(WHOLE[:9], Content_Length=99, Content_Encoding="gzip"),
        ):
            with connect(server) as client:
                client.sendall(sent)
                wait_for(lambda: server.app.bodies.held, "the body")
            wait_for(lambda: server.app.bodies.held == 0, "the client to be gone")
        wait_for(lambda: server.counts.requests.total() == 3, "the end of the requests")
        assert server.counts.requests == {("POST", "other", 499): 3}
    assert [one.funcName for one in caplog.records] == ["_follow"]  # That it listens.


def test_curl_sends_what_it_asks_about_first(tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is missing")
    (tmp_path / "good").write_bytes(b"x" * 4 * MIB)
    (tmp_path / "large").write_bytes(b"x" * 5 * MIB)

    def curl(name, *more):
        said = subprocess.run(
            ["curl", "-sS", "-H", "Expect: 100-continue", "--expect100-timeout", "60",
             "-w", " %{http_code} %{size_upload}", "--data-binary", f"@{tmp_path / name}",
             f"http://127.0.0.1:{server.port}/", *more],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        return said.rsplit(" ", 2)

    with web() as server:
        answer, status, sent = curl("good")
        assert (status, sent) == ("200", str(4 * MIB))
        assert f'"size": {4 * MIB}' in answer
        # Refused before any of it was sent.
        assert curl("large")[1:] == ["413", "0"]
