"""The page as a browser shows it: over the server of the station, or by a daemon."""

import http.client
import os
import re
import shutil
import time
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from collector.config.models import Http
from collector.http.page import Live, PageApp
from collector.http.serving.connections import Deadlines
from collector.http.serving.counts import Counts
from collector.http.serving.guard import Guard
from collector.http.serving.web import WebServer
from support.asking import ask
from support.waiting import free_port, wait_for

GONE = re.compile(r"net::ERR_(CONNECTION_|INCOMPLETE_|EMPTY_)")
"""What a browser says of a server that is away; a page can't keep it from that."""


@contextmanager
def chromium():
    """A browser; without one a laptop skips the test, and CI fails."""
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        expect.set_options(timeout=30_000)
        yield browser
        browser.close()


class Watch:
    """What a page must never do: complain, open a dialog, or ask anybody but its own server."""

    def __init__(self, page, port, may):
        self.complaints, self._may = [], may
        origin = f"http://127.0.0.1:{port}/"
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dialog)
        page.on("request", lambda one: self._asked(one.url, origin))

    def _asked(self, url, origin):
        # What a script of the page makes for a worker is of its origin.
        if not url.removeprefix("blob:").startswith(origin):
            self.complaints.append(url)

    def _said(self, kind, text):
        if kind in ("error", "warning") and not (self._may and self._may.search(text)):
            self.complaints.append(text)

    def _dialog(self, dialog):
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def opened(browser, port, *, width=1280, scheme="light", clock=False, may=None, password=None):
    """The page; at the end it must have complained of nothing but what it `may`."""
    wait_for(lambda: is_open(port), "the server")
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        http_credentials={"username": "anybody", "password": password} if password else None,
    )
    page = context.new_page()
    watch = Watch(page, port, may)
    if clock:
        page.clock.install()
    page.goto(f"http://127.0.0.1:{port}/ui")
    yield page
    context.close()
    assert watch.complaints == []


@contextmanager
def serving(folder, deadlines=None, live=None):
    """A page that shows what it is told; yields it and its port. `folder` has the spool."""
    live, counts = live or Live(folder / "state" / "spool.db"), Counts()
    options = Http(listen=f"127.0.0.1:{free_port()}")
    server = WebServer(counts)
    server.deadlines = deadlines or Deadlines()
    page = PageApp(live, options.connections_max)
    server.serve(options, Guard(page, "", counts, has_client_certificates=False))
    port = options.address[1]
    try:
        yield live, port
    finally:
        server.stop()


@contextmanager
def viewer(port):
    """One who looks without a browser: yields the stream of events."""
    wait_for(lambda: is_open(port), "the server")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/ui/events")
        answer = connection.getresponse()
        assert answer.status == 200
        yield answer
        answer.close()
    finally:
        connection.close()


def violations(page):
    """What keeps somebody from using the page, as axe finds it."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], node["html"]) for one in found for node in one["nodes"]]


def is_open(port):
    try:
        return ask(port, "/ui").status
    except OSError:
        return None


def snapshot(**changes):
    """What a daemon that is well says of itself; `changes` are sections, or parts of them."""
    now_us = time.time_ns() // 1000
    found = {
        "version": "0.1.0",
        "gateway": "gw-1",
        "started_us": now_us - 129_600_000_000,
        "updated_us": now_us,
        "paused": "",
        "received_rate": 15.5,
        "broker_rate": 12.0,
        "broker": {
            "url": "mqtt://127.0.0.1:1883",
            "connected": True,
            "protocol": "5",
            "last_error": "",
            "connects": 1,
            "refused_filters": {},
        },
        "messages": {"dead": 0},
        "stations": {"one": station("main.iot.one")},
        "tables": {"main.iot.one": table()},
        "spool": {
            "used_bytes": 1 << 20,
            "free_bytes": 0,
            "max_bytes": 1 << 30,
            "min_free_bytes": 0,
            "disk_free_bytes": 1 << 34,
            "wal_bytes": 0,
            "growth_per_s": 0.0,
            "quarantine": [],
            "losses": [],
            "damaged": {},
        },
    }
    for name, change in changes.items():
        is_part = name in ("broker", "messages", "spool")
        found[name] = found[name] | change if is_part else change
    return found


def station(of, **changes):
    counts = {"internal_since_start": 0, "is_silent": False, "last_message_us": 0}
    return {"table": of, "rate": 12.0, "message_rate": 12.0, **counts, **changes}


def table(**changes):
    drain = {"reason": "", "hint": "", "stuck": "", "last_ack_us": 0, "streams_opened": 1}
    figures = {"oldest_us": None, "in_flight_bytes": 0, "rate": 12.0, "spooled": 0}
    return {"state": "streaming", **drain, **figures, **changes}
