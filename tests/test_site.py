"""The station over HTTP around a real spool, without the rest of the daemon."""

import contextlib
import json
import sqlite3
import threading

import pytest
from support.client import measured
from support.parts import make_plan, open_spool
from support.waiting import answers, free_port, wait_for
from support.web import connect, read_answer, request

from collector.http.site import Site


class Served:
    """A site by a plan; `port` is where it is asked."""

    def __init__(self, folder, spool_of):
        self.folder, self.port = folder, free_port()
        plan = self._plan()
        self.spool = spool_of(plan)
        self.site = Site(self.spool, plan.config.http, None, dict)
        self.site.serve(plan, plan.config.http)
        wait_for(lambda: answers(self.port), "the site", step=0.01)

    def _plan(self, **more):
        options = {"listen": f"127.0.0.1:{self.port}", **more}
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
