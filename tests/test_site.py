"""The station over HTTP around a real spool, without the rest of the daemon."""

import contextlib
import http.client
import json
import os
import shutil
import sqlite3
import ssl
import threading
from pathlib import Path

import pytest
from playwright.sync_api import expect
from support.certificates import make_certificates
from support.client import Client, measured
from support.page import Watch, chromium
from support.parts import make_plan, open_spool
from support.waiting import answers, free_port, wait_for
from support.web import connect, is_ended, read_answer, request, status_of

from collector.http.site import Site

TOKEN = "canary-of-the-site"


class Served:
    """A site by a plan, asked at `port`."""

    def __init__(self, folder, spool_of):
        self.folder, self.port = folder, free_port()
        plan = self.plan()
        self.spool = spool_of(plan)
        self.site = Site(self.spool, plan.config.http, None, dict)
        self.change()
        wait_for(lambda: answers(self.port), "the site", step=0.01)

    def change(self, **options):
        """Serve by these options."""
        plan = self.plan(**options)
        self.site.serve(plan, plan.config.http)

    def plan(self, **options):
        options = {"listen": f"127.0.0.1:{self.port}", **options}
        return make_plan(self.folder, http=options)


@pytest.fixture
def served(tmp_path):
    with contextlib.ExitStack() as opened:
        one = Served(tmp_path, lambda plan: opened.enter_context(open_spool(plan)))
        opened.callback(one.site.close)
        yield one


def post(number, path="/ingest/station_one"):
    return request("POST", path, json.dumps(measured(number)).encode())


def test_a_stop_while_the_disk_stalls_does_not_say_that_nothing_is_stored(served):
    """The intake has it, and stores it when it can: whoever sends it again may have it twice."""
    served.site._server.stop_s = 0.2
    with (
        contextlib.closing(sqlite3.connect(served.spool.path)) as stalled,
        connect(served) as client,
    ):
        stalled.execute("BEGIN IMMEDIATE")
        client.sendall(post(1))
        wait_for(lambda: served.site.figures()["held"], "the request to be read")
        wait_for(lambda: not served.site.intake.waiting, "the intake to take it")
        closing = threading.Thread(target=served.site.close)
        closing.start()
        status, headers, body = read_answer(client)
        stalled.rollback()
        closing.join(30)
    assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
    said = json.loads(body)
    assert "can't say yet" in said["error"]
    assert "same Idempotency-Key" in said["hint"]
    wait_for(lambda: served.spool.reader.counters().get(("", "recorded")) == 1, "the record")


class Load(threading.Thread):
    """Posts one record after the other, with a connection for each or one for all; `count` are
    those that were stored, `wrong` is what else came of it."""

    def __init__(self, port, *, keeps):
        super().__init__(daemon=True)
        self._port, self._keeps = port, keeps
        self.count, self.let_go, self.wrong = 0, 0, []
        self.is_over = False

    def run(self):
        client = Client(self._port)
        while not self.is_over:
            try:
                answered = client.post("/ingest/station_one", measured(self.count))
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(error)
                continue
            if answered.status != 202:
                self.wrong.append(answered)
            self.count += 1
            self.let_go += answered.headers.get("connection") == "close"
            if not self._keeps:
                client.close()
        client.close()


def test_a_change_refuses_nobody_and_loses_no_answer(served):
    loads = [Load(served.port, keeps=keeps) for keeps in (True, True, False, False)]
    for load in loads:
        load.start()
    changes = 10
    for number in range(1, changes + 1):
        served.change(connections_max=100 + number, timeout=f"{number}s")
        before = [load.count for load in loads]
        wait_for(lambda: all(map(int.__gt__, (one.count for one in loads), before)), "answers")  # noqa: B023
    for load in loads:
        load.is_over = True
    for load in loads:
        load.join(60)
    assert [load.wrong for load in loads] == [[], [], [], []]
    # Each change was taken up by those who keep their connection.
    assert [load.let_go >= 1 for load in loads[:2]] == [True, True]
    counters = served.spool.reader.counters()
    assert counters["table:main.iot.station_one", "made"] == sum(load.count for load in loads)


def test_who_waits_for_zerobus_is_answered_beside_a_change(served):
    with connect(served) as client:
        client.sendall(post(1, "/ingest/station_one?wait_for_ack=true&timeout=300s"))
        wait_for(lambda: served.spool.reader.counters().get(("", "recorded")), "the record")
        batch = served.spool.reader.last_batch()
        served.change(timeout="1s", token=TOKEN)
        wait_for(lambda: status_of(served, post(2)) == 401, "the change")
        served.spool.acknowledge([batch])
        status, headers, body = read_answer(client)
        assert (status, json.loads(body)["acknowledged"]) == (200, True)
        assert headers["connection"] == "close"


def test_a_change_holds_for_those_who_are_connected_already(served):
    with connect(served) as client, connect(served) as viewer:
        client.sendall(post(1))
        assert read_answer(client)[0] == 202
        viewer.sendall(request(path="/ui/events"))
        assert read_answer(viewer)[0] == 200
        served.change(token=TOKEN)
        with viewer.makefile("rb") as stream:
            assert "0\r\n" in iter(lambda: stream.readline().decode(), "")
        wait_for(lambda: status_of(served, post(2)) == 401, "the token to be asked for")
        client.sendall(post(3))
        assert read_answer(client)[0] == 401
        assert is_ended(client)
    authorized = post(4).replace(b"\r\n", f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode(), 1)
    assert status_of(served, authorized) == 202


def test_what_did_not_change_lets_nobody_go(served):
    with connect(served) as client:
        for _ in range(2):
            client.sendall(post(1))
            status, headers, _ = read_answer(client)
            assert (status, headers.get("connection")) == (202, None)
            served.change()


@pytest.fixture
def own_files(tmp_path, certificates):
    """Certificates of this test alone, which it may replace."""
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "ca")}
    for name, path in files.items():
        shutil.copyfile(certificates[name], path)
    return files


def replace_with(path, text):
    """Write a file anew, at the time when it was written before."""
    about = path.stat()
    path.write_text(text)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def trusting(certificates, own):
    context = ssl.create_default_context(cafile=certificates["ca"])
    context.load_cert_chain(own["cert"], own["key"])
    return context


def test_a_client_ca_that_was_replaced_is_met_by_the_next_client(
    served, own_files, certificates, tmp_path_factory
):
    others = make_certificates(tmp_path_factory.mktemp("others"))
    names = {"cert_file": "cert", "key_file": "key", "client_ca_file": "ca"}
    options = {key: str(own_files[name]) for key, name in names.items()}
    served.change(**options)
    known, unknown = trusting(certificates, certificates), trusting(certificates, others)
    wait_for(lambda: status_of(served, post(1), known) == 202, "TLS")
    assert status_of(served, post(2), unknown) is None
    replace_with(own_files["ca"], Path(others["ca"]).read_text())
    served.change(**options)
    wait_for(lambda: status_of(served, post(3), unknown) == 202, "the other authority")
    assert status_of(served, post(4), known) is None


def test_files_that_tls_can_not_use_leave_it_as_it_was_until_they_can(served, own_files):
    good = own_files["key"].read_text()
    options = {"cert_file": str(own_files["cert"]), "key_file": str(own_files["key"])}
    plan = served.plan(**options, token=TOKEN)
    own_files["key"].write_text("half of one")
    served.site.serve(plan, plan.config.http)
    wait_for(lambda: served.site.figures()["problem"], "the problem")
    assert served.site.figures()["is_listening"] is True
    assert status_of(served, post(1)) == 202
    own_files["key"].write_text(good)
    wait_for(lambda: not served.site.figures()["problem"], "the certificate")
    assert status_of(served, post(2)) is None


@pytest.mark.parametrize(("path", "shown"), [("/docs", ".opblock"), ("/redoc", "[kind=field]")])
def test_the_documents_ask_no_other_host_and_complain_of_nothing(served, path, shown):
    with chromium() as browser:
        page = browser.new_context().new_page()
        watch = Watch(page, served.port, None)
        page.goto(f"http://127.0.0.1:{served.port}{path}", wait_until="networkidle")
        expect(page.locator(shown).first).to_be_visible()
        assert watch.complaints == []
