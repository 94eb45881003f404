"""The server of the station over HTTP: what a client can't do to it, and how it begins and ends.

Real sockets, and a small app. Deadlines are short where one is to be missed, else long.
"""

import gc
import logging
import resource
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from support.certificates import make_certificates
from support.waiting import answers, free_port, wait_for
from support.web import (
    LARGE,
    PATIENT,
    QUICK,
    connect,
    is_ended,
    read_answer,
    request,
    said,
    start,
    status_of,
    web,
)

from collector.http.serving.connection import HEAD_MAX_BYTES, Connection
from collector.http.serving.connections import Connections, Deadlines, Stage
from collector.http.serving.counts import Counts

MIB = 1024 * 1024  # More than is read in one go.
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("begun", [b"", b"GET /", request()[:-2], request() + b"GET /"])
def test_who_does_not_ask_is_cut_off(begun):
    with web(QUICK) as server, connect(server) as client:
        client.sendall(begun)
        assert is_ended(client)
        assert server.counts.cut_off >= 1


def test_a_head_that_trickles_is_cut_off():
    with web(QUICK) as server, connect(server, 0.02) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")

        def is_cut_off():
            with suppress(TimeoutError):
                try:
                    client.send(b"a")
                    return client.recv(1) == b""
                except ConnectionError:
                    return True
            return False

        wait_for(is_cut_off, "the end of the connection", step=0)


def test_who_asks_no_more_is_cut_off():
    with web(replace(PATIENT, idle_s=0.1)) as server, connect(server) as client:
        client.sendall(request())
        assert read_answer(client)[0] == 200
        assert is_ended(client)


def test_who_does_not_take_the_answer_is_cut_off():
    with web(replace(PATIENT, taking_s=0.1)) as server, connect(server) as client:
        client.sendall(request(path="/large"))
        wait_for(lambda: server.app.ended == ["/large"], "the end of the request")
        wait_for(lambda: server.counts.cut_off == 1, "the client to be cut off")


def test_a_large_answer_arrives_whole():
    with web() as server:
        status, _, body = said(server, request(path="/large"))
        assert (status, len(body)) == (200, LARGE)


def test_answers_that_nobody_takes_are_not_begun():
    with web() as server, connect(server) as client:
        client.sendall(request(path="/large") * 20)
        wait_for(lambda: server.app.begun, "the first request")
        assert status_of(server, request()) == 200
        assert server.app.begun.count("/large") == 1


def test_a_flood_of_silent_connections_keeps_nobody_out():
    with web(connections_max=16) as server, ExitStack() as stack:
        good = stack.enter_context(connect(server))
        good.sendall(request())
        assert read_answer(good)[0] == 200
        is_over = threading.Event()

        def flood():
            for _ in range(500):
                stack.enter_context(connect(server))
            is_over.set()

        def ask():
            count = 0
            while not is_over.is_set() or count < 100:
                good.sendall(request())
                assert read_answer(good)[0] == 200
                count += 1

        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(flood), pool.submit(ask)]:
                done.result()
        assert status_of(server, request()) == 200
        assert server.counts.cut_off >= 400
        assert server.counts.turned_away == 0


def test_slow_bodies_make_room_and_who_asks_now_and_then_stays():
    with web(connections_max=16) as server, ExitStack() as stack:
        good = stack.enter_context(connect(server))
        for turn in range(20):
            good.sendall(request("POST", body=b"x"))
            assert read_answer(good)[0] == 200
            for client in [stack.enter_context(connect(server)) for _ in range(16)]:
                # One that has made room already is gone.
                with suppress(ConnectionError):
                    client.sendall(request("POST", body=b"x", Content_Length=9))
            made_room = 16 * turn + 1
            wait_for(lambda n=made_room: server.counts.cut_off == n, f"{made_room} to make room")
        good.sendall(request("POST", body=b"x"))
        assert read_answer(good)[0] == 200
        assert server.counts.turned_away == 0


class Stranger:
    was_cut_off = False

    def cut_off(self):
        self.was_cut_off = True


@pytest.mark.parametrize(
    ("there", "goes"),
    [
        ([(0, Stage.SILENT), (1, Stage.SENDING), (2, Stage.TAKING), (3, Stage.IDLE)], 0),
        ([(0, Stage.SENDING), (1, Stage.SILENT), (2, Stage.IDLE)], 0),
        ([(0, Stage.TAKING), (1, Stage.SENDING)], 0),
        ([(0, Stage.IDLE), (1, Stage.SENDING)], 1),
        ([(0, Stage.SILENT), (1, Stage.LEAVING)], 1),
        ([(0, Stage.ASKED), (1, Stage.IDLE)], 1),
        # It had no time to say anything yet.
        ([(0, Stage.IDLE), (9.5, Stage.SILENT)], 0),
        ([(0, Stage.ASKED), (9.5, Stage.IDLE), (9.6, Stage.SILENT)], 2),
        ([(0, Stage.ASKED), (1, Stage.ASKED)], None),
    ],
)
def test_the_slowest_makes_room(there, goes):
    times, counts = iter([since for since, _ in there] + [10.0]), Counts()
    clients = Connections(Deadlines(moment_s=1.0), counts, lambda: next(times))
    clients.most = len(there)
    strangers = [Stranger() for _ in there]
    for stranger, (_, stage) in zip(strangers, there, strict=True):
        clients.move(stranger, stage)
    assert clients.make_room() == (goes is not None)
    assert [one.was_cut_off for one in strangers] == [at == goes for at in range(len(there))]
    assert (counts.cut_off, counts.turned_away) == ((1, 0) if goes is not None else (0, 1))


def test_whoever_waits_for_an_answer_keeps_its_place():
    with web(connections_max=2) as server, ExitStack() as stack:
        waiting = [stack.enter_context(connect(server)) for _ in range(2)]
        for client in waiting:
            client.sendall(request(path="/slow"))
        wait_for(lambda: len(server.app.begun) == 2, "two requests")
        with connect(server) as late:
            status, headers, _ = read_answer(late)
            assert (status, headers["retry-after"]) == (503, "1")
        assert server.counts.turned_away == 1
        waiting[0].close()
        wait_for(lambda: status_of(server, request()) == 200, "a place")


@pytest.mark.parametrize(
    "sent",
    [
        request(X="a" * HEAD_MAX_BYTES),
        request(path="/" + "a" * 2 * HEAD_MAX_BYTES),
        b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 20_000,
        b"GET /" + b"a" * 200_000,
    ],
    ids=["header", "path", "endless header", "endless headers", "endless path"],
)
def test_a_head_that_is_too_large_is_refused(sent):
    with web() as server:
        assert status_of(server, sent) == 431
        assert server.app.begun == []


@pytest.mark.parametrize(
    "rest",
    [
        b"\r\n1;" + b"a" * MIB,
        b"\r\n1\r\nx\r\n0\r\nX: " + b"a" * MIB,
        b"\r\n1\r\nx\r\n0\r\n" + b"X: 1\r\n" * 200_000,
    ],
    ids=["extension", "trailer", "trailers"],
)
def test_what_is_sent_beside_a_body_has_a_limit(rest):
    with web() as server:
        assert status_of(server, CHUNKED + rest) == 431
        wait_for(lambda: server.app.ended, "the end of the request")
        assert server.app.bodies.held == 0


def test_a_trailer_is_no_header():
    with web() as server:
        sent = CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Encoding: gzip\r\n\r\n"
        status, _, body = said(server, sent)
        assert (status, b"hello" in body) == (200, True)


def test_requests_that_come_together_are_answered_in_their_order():
    with web() as server, connect(server) as client:
        client.sendall(b"".join(request("POST", f"/{at}", body=b"x" * at) for at in range(1, 50)))
        sizes = [read_answer(client)[2] for _ in range(1, 50)]
        assert [f'"size": {at}'.encode() in body for at, body in enumerate(sizes, 1)] == [True] * 49


def test_http_1_0_is_answered_and_closed():
    with web() as server, connect(server) as client:
        client.sendall(request(version="1.0"))
        status, headers, _ = read_answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert is_ended(client)


def test_an_upgrade_is_not_taken_up():
    with web() as server, connect(server) as client:
        client.sendall(request(Connection="Upgrade, HTTP2-Settings", Upgrade="h2c") + request())
        status, headers, _ = read_answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert is_ended(client)
        assert len(server.app.begun) == 1


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + b"Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        CHUNKED.replace(b"chunked", b"identity, chunked, x") + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        CHUNKED.replace(b"Encoding:", b"Encoding :") + b"\r\n5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n",
        CHUNKED + b"\r\nfffffffffffffffff\r\nhello",
        request("POST", body=b"hello", Content_Length="+5"),
        request("POST", body=b"hello", Content_Length="5, 5"),
        request("POST", body=b"hello", Content_Length="5\r\nContent-Length: 5"),
        request(X="a\r\n folded"),
        request(X="a\0b"),
        request().replace(b"\r\n", b"\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(sent):
    with web() as server:
        assert status_of(server, sent) == 400
        assert server.app.bodies.held == 0


def test_what_is_no_http_after_a_request_ends_the_connection():
    with web() as server, connect(server) as client:
        client.sendall(request(path="/slow") + b"no HTTP\r\n\r\n")
        assert client.recv(100) == b""
        wait_for(lambda: server.app.ended == ["/slow"], "the end of the request")


def test_who_is_answered_while_it_still_sends_sees_the_answer():
    with web() as server, connect(server) as client:
        client.sendall(request("POST", "/ignore", body=b"x" * 20_000_000))
        status, headers, body = read_answer(client)
        assert (status, headers["connection"], body) == (404, "close", b"no")


def test_a_connection_that_is_over_costs_nothing():
    # Python's search for circles would hide what is kept until then: much, in a flood.
    gc.collect()
    gc.disable()
    try:
        with web() as server:
            begun = (request(), request("POST", body=b"x", Content_Length=9), b"GET /", b"x")
            with ExitStack() as stack:
                for sent in begun:
                    stack.enter_context(connect(server)).sendall(sent)
                wait_for(lambda: connections() >= len(begun), "the connections")
            wait_for(lambda: connections() == 0, "the connections to be forgotten", 10)
    finally:
        gc.enable()


def connections():
    return sum(isinstance(one, Connection) for one in gc.get_objects())


def test_a_port_that_is_taken_is_waited_for(caplog):
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        listen = "{}:{}".format(*other.getsockname())
        with web(is_ready=False, listen=listen) as server:
            wait_for(lambda: server.problem, "the problem")
            assert f"http.listen: {listen}: Address already in use: if another" in server.problem
            other.close()
            wait_for(lambda: not server.problem, "the port")
            assert status_of(server, request()) == 200
    assert [one.levelname for one in caplog.records if "in use" in one.message] == ["ERROR"]


def test_it_can_be_started_again_with_other_options():
    with web(connections_max=1) as server:
        assert status_of(server, request()) == 200
        for options in (server.options, server.options.model_copy(update={"connections_max": 9})):
            server.stop()
            assert not answers(server.port)
            server.options = options
            start(server)
            wait_for(lambda: answers(server.port), "the server")
            assert status_of(server, request()) == 200


def test_hanging_clients_do_not_hold_up_its_end():
    with web() as server, ExitStack() as stack:
        server.stop_s = 0.2
        begun = [
            b"",
            request("POST", body=b"x", Content_Length=9),
            request(path="/stream"),
            request(path="/slow"),
            request(path="/large"),
            request(path="/slow") * 9,
        ]
        clients = [stack.enter_context(connect(server)) for _ in begun]
        for client, sent in zip(clients, begun, strict=True):
            client.sendall(sent)
        wait_for(lambda: len(server.app.begun) == 5, "all that is asked")
        server.stop()
        assert [one for one in threading.enumerate() if one.name == "web"] == []
        assert sorted(server.app.ended) == sorted(server.app.begun)
        assert read_answer(clients[3])[0] == 503
        assert all(is_ended(client) for client in clients)


def test_a_stream_is_ended_before_the_time_to_stop_is_over():
    with web() as server, connect(server) as client:
        server.stop_s = 60.0
        client.sendall(request(path="/stream"))
        wait_for(lambda: server.app.begun, "the stream")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert is_ended(client)
        stopping.join(30)
        assert not stopping.is_alive()


def test_what_is_being_answered_is_answered_at_its_end():
    with web() as server, connect(server) as client:
        server.stop_s = 60.0
        client.sendall(request("POST", "/gate", body=b"hello"))
        wait_for(lambda: server.app.begun, "the request")
        loop, stopping = server.loop, threading.Thread(target=server.stop)
        stopping.start()
        wait_for(lambda: not answers(server.port), "the port to be given up")
        loop.call_soon_threadsafe(server.app.gate.set)
        status, headers, body = read_answer(client)
        assert (status, headers["connection"], body) == (200, "close", b"hello")
        stopping.join(30)
        assert not stopping.is_alive()


def test_it_leaves_open_files_to_others(caplog):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        with web(connections_max=10_000) as server:
            assert status_of(server, request()) == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "http.connections_max: 10000: 256 are let in" in caplog.text


@pytest.fixture(scope="module")
def other_certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("others"))


def trusting(certificates, own=None):
    context = ssl.create_default_context(cafile=certificates["ca"])
    if own is not None:
        context.load_cert_chain(own["cert"], own["key"])
    return context


def test_it_speaks_tls_and_nothing_else(certificates):
    with web(cert_file=certificates["cert"], key_file=certificates["key"]) as server:
        tls = trusting(certificates)
        assert status_of(server, request(), tls) == 200
        assert said(server, request(path="/large"), tls)[2] == bytes(LARGE)
        assert status_of(server, request()) is None
        with connect(server, tls=tls) as client:
            assert client.version() == "TLSv1.3"


def test_a_certificate_of_a_client_is_asked_for(certificates, other_certificates):
    files = {"cert_file": "cert", "key_file": "key", "client_ca_file": "ca"}
    with web(**{key: certificates[name] for key, name in files.items()}) as server:
        known = trusting(certificates, certificates)
        assert status_of(server, request(Host="box.example"), known) == 200
        for unknown in (trusting(certificates), trusting(certificates, other_certificates)):
            assert status_of(server, request(), unknown) is None
        assert len(server.app.begun) == 1


def test_a_handshake_that_never_comes_is_cut_off(certificates):
    options = {"cert_file": certificates["cert"], "key_file": certificates["key"]}
    with web(QUICK, **options) as server, connect(server) as client:
        assert is_ended(client)
    with web(connections_max=2, **options) as server, ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(20)]
        assert status_of(server, request(), trusting(certificates)) == 200
        assert is_ended(silent[0])


def test_a_certificate_that_can_not_be_read_is_waited_for(tmp_path, certificates):
    cert = tmp_path / "cert.pem"
    cert.write_text("half of one")
    with web(is_ready=False, cert_file=str(cert), key_file=certificates["key"]) as server:
        wait_for(lambda: server.problem, "the problem")
        assert server.problem.startswith(f"http.cert_file: {cert}")
        cert.write_text(Path(certificates["cert"]).read_text())
        wait_for(lambda: not server.problem, "the certificate")
        assert status_of(server, request(), trusting(certificates)) == 200


def test_clients_write_no_log(caplog, certificates):
    caplog.set_level(logging.INFO)
    served_at = []
    with web() as server:
        served_at.append(f"http://{server.options.listen}")
        for sent in (b"no HTTP\r\n\r\n", request(Connection="Upgrade", Upgrade="websocket"), b""):
            said(server, sent) if sent else connect(server).close()
        with connect(server) as client:
            client.sendall(request("POST", "/half-sent", body=b"x", Content_Length=9))
            wait_for(lambda: "/half-sent" in server.app.begun, "the request")
        wait_for(lambda: len(server.app.ended) == len(server.app.begun), "its end")
    with web(cert_file=certificates["cert"], key_file=certificates["key"]) as server:
        served_at.append(f"https://{server.options.listen}")
        said(server, request())
        connect(server).close()
    said_at_start = [f"{at}: records are taken, /ui shows the line" for at in served_at]
    assert [one.getMessage() for one in caplog.records] == said_at_start
