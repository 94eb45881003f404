"""The page in a browser: what it shows of a line, what it makes of trouble, and who can use it.

States that a line seldom has are told to the page as the main thread tells them; the rest is shown
by a running daemon.
"""

import itertools
import logging
import re
import time
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect
from support.asking import ask
from support.filled import fill, make_box
from support.page import chromium, opened, serving, snapshot, station, table, viewer, violations
from support.waiting import wait_for

from collector.http.page.app import VIEWERS_MAX
from collector.http.page.sections import ROWS_MAX

EVIL = (
    "<img src=x onerror=alert(1)><script>alert(2)</script><svg/onload=alert(3)>"
    "\"'><b onmouseover=alert(4)>&lt;i&gt;</title></textarea><!-- ${alert(5)} {{6}}"
    " javascript:alert(7)"
    "\x1b[2J\u202e\x00<iframe srcdoc='<script>parent.alert(8)</script>'>"
)
SHOWN = EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u{202e}").replace("\x00", "\\x00")


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def told(tmp_path):
    """A page that shows what it is told, and its port."""
    with serving(make_box(tmp_path / "box")) as (live, port):
        yield live, port


def text(page, selector):
    return page.locator(selector)


def card(page, title):
    return page.locator(".card").filter(has=page.get_by_role("heading", name=title, exact=True))


def names(page, of):
    return page.locator(f"#{of} .name").all_text_contents()


# --- what it shows


def test_each_part_of_the_line_has_its_state_its_rate_and_what_waits_there(browser, told):
    live, port = told
    oldest_us = time.time_ns() // 1000 - 120_000_000
    live.show(
        snapshot(
            tables={"main.iot.one": table(spooled=4_321, oldest_us=oldest_us, rate=7.5)},
            spool={"used_bytes": 3 << 28, "growth_per_s": 100_000.0},
            http={
                "listen": "127.0.0.1:8000", "problem": "", "requests": 9, "refused": 2,
                "waiting": 0, "request_rate": 3.5,
            },
        )
    )  # fmt: skip
    with opened(browser, port) as page:
        expect(card(page, "Broker")).to_contain_text("connected12 messages/s")
        expect(card(page, "HTTP")).to_contain_text("listening3.5 requests/s127.0.0.1:80002 refused")
        expect(card(page, "Stations")).to_contain_text("receiving12 records/s")
        expect(card(page, "Spool")).to_contain_text("filling4,321 records waiting")
        expect(card(page, "Spool")).to_contain_text("75 % of 1 GiB")
        expect(card(page, "Spool")).to_contain_text("full in 44m at this rate")
        expect(card(page, "Spool")).to_contain_text("oldest 2m")
        expect(card(page, "Streams")).to_contain_text("1 streaming")
        expect(card(page, "Tables")).to_contain_text("growing7.5 records/s")
        expect(page.locator("#health-title")).to_contain_text("Degraded")
        expect(page.locator("#reasons")).to_contain_text("the spool is 75% full")
        expect(page.get_by_role("heading", level=1)).to_have_text("gw-1")
        expect(page.locator("#about")).to_have_text(re.compile(r"collector 0\.1\.0 · up 1d"))
        assert page.title() == "degraded · gw-1"


def test_a_line_without_a_broker_says_where_records_come_from(browser, told):
    live, port = told
    http = {"listen": "127.0.0.1:8000", "problem": "", "requests": 0, "refused": 0, "waiting": 0}
    live.show(snapshot(broker={"url": None, "connected": None}, http=http))
    with opened(browser, port) as page:
        expect(card(page, "Broker")).to_contain_text("none configured")
        expect(card(page, "HTTP")).to_contain_text("listening0 requests/s")


def test_of_a_hundred_tables_those_in_trouble_come_first_and_the_rest_is_folded(browser, told):
    live, port = told
    tables = {f"main.iot.t{number:03}": table() for number in range(100)}
    tables["main.iot.t077"] = table(state="held", reason="no such table", hint="make it")
    tables["main.iot.t050"] = table(state="waiting", reason="away", spooled=5)
    tables["main.iot.t099"] = table(spooled=123_456)
    stations = {f"s{number:03}": station("main.iot.t000") for number in range(100)}
    stations["s042"] = station("main.iot.t000", internal_since_start=1)
    live.show(snapshot(tables=tables, stations=stations))
    with opened(browser, port) as page:
        expect(page.locator("#tables tr")).to_have_count(10)
        assert names(page, "tables")[:3] == ["main.iot.t077", "main.iot.t050", "main.iot.t099"]
        assert names(page, "stations")[:2] == ["s042", "s000"]
        expect(card(page, "Stations")).to_have_attribute("data-state", "bad")
        expect(card(page, "Stations").locator(".state")).to_have_text("1 failing")
        expect(page.locator("#tables tr").first).to_contain_text("no such table · make itheld")
        page.get_by_role("button", name="Show all 100").first.click()
        expect(page.locator("#tables tr")).to_have_count(100)
        page.get_by_role("button", name="Show fewer").click()
        expect(page.locator("#tables tr")).to_have_count(10)
        page.locator("#tables-find").fill("T01")
        expect(page.locator("#tables tr")).to_have_count(10)
        assert names(page, "tables")[0] == "main.iot.t010"


def test_what_is_beyond_the_limit_of_rows_is_counted(browser, told):
    live, port = told
    tables = {f"t{number}": table(state="waiting", reason="away") for number in range(ROWS_MAX + 7)}
    live.show(snapshot(tables=tables))
    with opened(browser, port) as page:
        expect(page.locator("#tables tr")).to_have_count(10)
        expect(page.locator("#tables-told")).to_have_text(f"{ROWS_MAX + 7}, {ROWS_MAX} in trouble")
        expect(page.locator("#tables-more")).to_have_text(
            f"Show all {ROWS_MAX}; 7 more: see collector status"
        )
        expect(page.locator("#reasons li")).to_have_text(
            [f"t0 is waiting: away (and {ROWS_MAX + 6} more)"]
        )


def test_dead_letters_stand_by_kind_with_the_newest_as_a_sample(browser, tmp_path):
    box = make_box(tmp_path / "box")
    fill(box)
    with serving(box) as (live, port):
        live.show(snapshot(messages={"dead": 5}))
        with opened(browser, port) as page:
            expect(page.locator("#letters li")).to_have_count(4)
            kinds = page.locator("#letters h3").all_text_contents()
            assert kinds == [
                "refused 1 kept",
                "bad_value 2 kept",
                "internal 1 kept",
                "undecodable 1 kept",
            ]
            letters = page.locator("#letters li")
            # Protobuf is shown by the columns of its table.
            expect(letters.nth(0).locator("pre")).to_contain_text('"device_name": "d9"')
            expect(letters.nth(1)).to_contain_text("humidity: 1e99 is out of range")
            expect(letters.nth(1)).to_contain_text("station_two from sensors/station_two/d3")
            expect(letters.nth(2).locator(".reason")).to_have_text("temp: KeyError: 'x'")
            expect(letters.nth(3).locator("pre")).to_have_text("ff 00 72 75 62 62 69 73 68")


def test_a_main_thread_that_hangs_is_shown_as_failing(browser, told):
    live, port = told
    live.show(snapshot(updated_us=time.time_ns() // 1000 - 60_000_000))
    with opened(browser, port) as page:
        expect(page.locator("#health-title")).to_contain_text("Failing")
        expect(page.locator("#reasons")).to_contain_text("the daemon has not reported for")
        expect(page.locator("#link")).to_have_text("hanging")
        expect(page.locator("#link")).to_have_attribute("data-state", "bad")
        live.show(snapshot())
        expect(page.locator("#link")).to_have_text("live")
        expect(page.locator("#link")).to_have_attribute("data-state", "ok")
        expect(page.locator("#health-title")).to_have_text("Nothing is wrong")


NONE = ("tables", "stations", "letters", "events")
"""The parts that say when there is none of them."""


def test_what_was_not_told_is_not_said_to_be_none(browser, told):
    live, port = told
    with opened(browser, port, clock=True) as page:
        # What happened is known before the first look at the line.
        expect(page.locator("#events-none")).to_be_visible()
        page.clock.run_for(3_000)
        for part in NONE[:3]:
            expect(page.locator(f"#{part}-none")).to_be_hidden()
        live.show(snapshot(tables={}, stations={}))
        for part in NONE:
            expect(page.locator(f"#{part}-none")).to_be_visible()


def test_the_hour_has_gaps_where_nothing_was_noted_and_stands_as_a_table_too(browser, told):
    live, port = told
    now, step = time.monotonic(), 5
    made = 0
    for second in [*range(-1500, -900, step), *range(-600, 1, step)]:
        made += 50
        counters = {("table:t", "made"): made, ("table:t", "delivered"): made // 2}
        live.history.note(now + second, counters | {("table:t", "spooled"): made - made // 2})
    live.show(snapshot())
    with opened(browser, port) as page:
        expect(page.locator("#hour-title")).to_have_text("The last 30 minutes")
        chart = page.locator("#chart")
        expect(chart).to_have_attribute(
            "aria-label", re.compile(r"Now 10 received/s, 5 delivered/s, backlog \d")
        )
        expect(chart.locator("path.received")).to_have_count(2)
        # Before the start, in the middle, and at the end when this test is slow.
        assert chart.locator("rect.gap").count() in (2, 3)
        page.get_by_text("As a table").click()
        row = page.locator("#hour tr").first
        expect(row.locator("td").nth(0)).to_have_text("10")
        chart.hover(position={"x": 1000, "y": 60})
        expect(page.locator("#readout")).to_have_text(
            re.compile(r"^\d\d:\d\d:\d\d: 10 received/s, 5 delivered/s")
        )


# --- what strangers send stays text


def test_what_strangers_send_is_text_wherever_it_stands(browser, tmp_path):
    box = make_box(tmp_path / "box")
    path = fill(box)
    with serving(box) as (live, port):
        bury(path, EVIL)
        logging.getLogger("collector").addHandler(live.events)
        try:
            logging.getLogger("collector.test").warning("%s", EVIL)
        finally:
            logging.getLogger("collector").removeHandler(live.events)
        live.show(
            snapshot(
                gateway=EVIL,
                broker={"connected": False, "url": EVIL, "last_error": EVIL},
                stations={EVIL: station(EVIL)},
                tables={EVIL: table(state="held", reason=EVIL, hint=EVIL)},
                messages={"dead": 6},
                paused=EVIL,
            )
        )
        with opened(browser, port) as page:
            places = (
                "#gateway", "#reasons", "#tables .name", "#tables .note", "#stations .name",
                "#stations .note", "#events .text", "#letters .reason", "#letters pre",
                "#letters .muted", "#line .facts",
            )  # fmt: skip
            for place in places:
                expect(page.locator(place).filter(has_text=SHOWN).first).to_be_visible()
            assert (
                page.locator(
                    "main img, main script, main b, main i, main iframe, main svg:not(#chart)"
                ).count()
                == 0
            )


def bury(path, words):
    from support.filled import NOON_US

    from collector.model import DeadLetter, Fault
    from collector.spool import Group, Limits, Spool

    spool = Spool(path, Limits())
    letter = DeadLetter(Fault("bad_value", words, ""), words, words.encode(), NOON_US, "s", "t")
    spool.append(Group(dead_letters=[letter]))
    spool.close()


# --- when there are no news


def test_a_page_too_many_says_so_and_comes_in_when_there_is_a_place(browser, told):
    live, port = told
    live.show(snapshot())
    with ExitStack() as others:
        for _ in range(VIEWERS_MAX):
            others.enter_context(viewer(port))
        with opened(browser, port, clock=True, may=re.compile("503")) as late:
            expect(late.locator("#notice")).to_contain_text(f"{VIEWERS_MAX} pages are open already")
            for part in NONE:
                expect(late.locator(f"#{part}-none")).to_be_hidden()
            others.close()
            wait_for(lambda: ask(port, "/ui/events", "HEAD").status == 200, "a place")
            late.clock.fast_forward(11_000)
            expect(late.locator("#link")).to_have_text("live")
            expect(late.locator("#notice")).to_be_hidden()


def test_a_page_in_the_background_gives_its_place_to_others(browser, told):
    live, port = told
    live.show(snapshot())
    with ExitStack() as others, opened(browser, port) as page:
        expect(page.locator("#link")).to_have_text("live")
        for _ in range(VIEWERS_MAX - 1):
            others.enter_context(viewer(port))
        assert ask(port, "/ui/events", "HEAD").status == 503
        turn(page, is_hidden=True)
        wait_for(lambda: ask(port, "/ui/events", "HEAD").status == 200, "its place")
        live.show(snapshot(gateway="gw-2"))
        turn(page, is_hidden=False)
        expect(page.get_by_role("heading", level=1)).to_have_text("gw-2")


def turn(page, *, is_hidden):
    """Have the page believe that its tab is in the background, or in front again."""
    page.evaluate(
        "is => { Object.defineProperty(document, 'hidden', { value: is, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_the_page_of_another_version_loads_itself_anew(browser, told):
    live, port = told
    live.show(snapshot())
    with opened(browser, port) as page:
        expect(page.locator("#about")).to_contain_text("collector 0.1.0")
        page.evaluate("document.documentElement.id = 'old'")
        live.show(snapshot(version="0.2.0"))
        expect(page.locator("#old")).to_have_count(0)
        expect(page.locator("#about")).to_contain_text("collector 0.2.0")


# --- who can use it


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_by_how_the_page_is_made(browser, tmp_path, scheme):
    box = make_box(tmp_path / "box")
    fill(box)
    with serving(box) as (live, port):
        tables = {f"main.iot.t{number}": table() for number in range(20)}
        tables["main.iot.t5"] = table(state="held", reason="no such table", hint="make it")
        tables["main.iot.t6"] = table(state="waiting", reason="away")
        stations = {
            "one": station(
                "main.iot.t1", is_silent=True, usual_gap_s=1, silence_s=900, silent_after_s=300
            )
        }
        live.show(
            snapshot(
                tables=tables, stations=stations, messages={"dead": 5},
                broker={"connected": False, "last_error": "refused"},
            )
        )  # fmt: skip
        with opened(browser, port, scheme=scheme) as page:
            expect(page.locator("#letters li")).to_have_count(4)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.lang") == "en"


def test_all_that_can_be_used_is_reached_by_the_keyboard(browser, told):
    live, port = told
    live.show(snapshot(tables={f"t{number:02}": table() for number in range(20)}))
    with opened(browser, port) as page:
        expect(page.locator("#tables-more")).to_be_visible()
        reached = []
        for _ in range(3):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.id || document.activeElement.tagName")
            )
        assert reached == ["SUMMARY", "tables-find", "tables-more"]
        page.keyboard.press("Enter")
        expect(page.locator("#tables tr")).to_have_count(20)


def test_on_a_phone_a_card_keeps_together_and_fingers_find_what_they_press(browser, told):
    live, port = told
    long = "a reason that goes on and on " * 10
    tables = {f"t{number:02}": table() for number in range(20)}
    live.show(snapshot(tables=tables, broker={"connected": False, "last_error": long}))
    with opened(browser, port, width=390) as page:
        expect(page.locator("#tables-more")).to_be_visible()
        broker = card(page, "Broker")
        expect(broker.locator(".facts")).to_contain_text("a reason")
        assert broker.bounding_box()["height"] > 200
        parts = [broker.locator(one).bounding_box() for one in ("h3", ".state", ".figure")]
        for upper, lower in itertools.pairwise(parts):
            assert lower["y"] - upper["y"] - upper["height"] < 20
        for pressed in page.locator("summary:visible, button:visible, input:visible").all():
            assert pressed.bounding_box()["height"] >= 24


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(browser, tmp_path, width):
    box = make_box(tmp_path / "box")
    fill(box)
    with serving(box) as (live, port):
        long = "a_name_without_any_place_to_break_it_" * 4
        live.show(
            snapshot(
                gateway=long, stations={long: station(long)}, messages={"dead": 5},
                tables={long: table(state="held", reason=long, spooled=123_456_789)},
            )
        )  # fmt: skip
        with opened(browser, port, width=width) as page:
            expect(page.locator("#letters li")).to_have_count(4)
            wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not page.evaluate(wide)
