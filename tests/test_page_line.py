"""The page of a running daemon: changes of the line arrive, and a restart is survived."""

import json
import re
import signal
import time
import urllib.request

import pytest
from playwright.sync_api import expect
from support.asking import ask
from support.line import Line, reading
from support.page import GONE, chromium, is_open, opened, violations
from support.waiting import wait_for


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def line(line_folder):
    with Line(line_folder, http={}) as one:
        yield one


def port_of(line):
    return int(json.loads(line.config.read_text())["http"]["listen"].rpartition(":")[2])


def post(line, station, row):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port_of(line)}/ingest/{station}",
        json.dumps(row).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=20).close()


def card(page, title):
    return page.locator(".card").filter(has=page.get_by_role("heading", name=title, exact=True))


def shown_within(what, locator, words):
    """Wait until it is there, and print how long that took."""
    began = time.monotonic()
    expect(locator).to_contain_text(words)
    print(f"{what}: {time.monotonic() - began:.2f} s")


def test_what_changes_on_the_line_changes_on_the_page(browser, line):
    with opened(browser, port_of(line)) as page:
        publisher = line.publisher()
        expect(card(page, "Broker")).to_contain_text("connected")

        publisher.publish([reading(number) for number in range(50)])
        shown_within("records", card(page, "Tables"), "50 records in all")

        publisher.publish(
            [(50, "sensors/station_one/<b>d1", b'{"temp": "<img src=x onerror=alert(1)>"}')]
        )
        shown_within("a dead letter", page.locator("#letters"), "<img src=x onerror=alert(1)>")
        expect(page.locator("#letters")).to_contain_text("sensors/station_one/<b>d1")
        assert page.locator("main img, main b").count() == 0

        post(line, "station_one", {"device_name": "d1", "temp": 1, "humidity": 50})
        shown_within("a record over HTTP", card(page, "Tables"), "51 records in all")
        expect(card(page, "HTTP")).to_contain_text("listening")

        line.zerobus.stop()
        publisher.publish([reading(number) for number in range(51, 150)])
        shown_within("a backlog", card(page, "Spool"), "99 records waiting")
        shown_within("no cloud", card(page, "Streams"), "1 waiting")
        expect(page.locator("#tables tr").first).to_contain_text("main.iot.station_one")
        expect(page.locator("#events")).to_contain_text("waiting")

        line.zerobus.start()
        expect(card(page, "Spool")).to_contain_text("0 records waiting")
        expect(page.locator("#events")).to_contain_text("streaming again")

        line.broker.stop()
        shown_within("no broker", card(page, "Broker"), "away")
        expect(page.locator("#health-title")).to_contain_text("Offline")


def test_a_restart_is_survived_and_the_page_says_when_it_has_no_news(browser, line):
    with opened(browser, port_of(line), clock=True, may=GONE) as page:
        expect(page.locator("#link")).to_have_text("live")
        line.daemon.process.send_signal(signal.SIGSTOP)
        try:
            page.clock.fast_forward(13_000)
            expect(page.locator("#notice")).to_have_text(
                re.compile(
                    r"No news for \d+ s, since \d\d:\d\d:\d\d\. What stands here was true then"
                )
            )
            assert (
                page.evaluate("getComputedStyle(document.querySelector('main')).filter") != "none"
            )
            assert violations(page) == []
        finally:
            line.daemon.process.send_signal(signal.SIGCONT)
        expect(page.locator("#notice")).to_be_hidden()
        started = page.evaluate("document.getElementById('about').textContent")
        assert started

        line.daemon.kill()
        expect(page.locator("#link")).to_have_text("reconnecting")
        line.start_daemon()
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("#events")).to_contain_text("ready: 2 stations")
        expect(page.locator("#events li").filter(has_text="ready: 2 stations")).to_have_count(1)


def test_the_page_is_behind_the_token_which_a_browser_asks_for(browser, line_folder):
    token = "canary-" + "x" * 40
    with Line(line_folder, http={"token": token}) as line:
        port = port_of(line)
        wait_for(lambda: is_open(port), "the server")
        for path in ("/ui", "/ui/page.js", "/ui/events"):
            assert ask(port, path).status == 401
        wrong = browser.new_context(http_credentials={"username": "me", "password": "wrong"})
        with wrong:
            assert wrong.new_page().goto(f"http://127.0.0.1:{port}/ui").status == 401
        with opened(browser, port, password=token) as page:
            expect(page.locator("#link")).to_have_text("live")
            expect(card(page, "Broker")).to_contain_text("connected")
            assert token not in page.content()
