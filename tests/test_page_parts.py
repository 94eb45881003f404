"""What the page is made of, without a browser: its memory, its samples, and those who look."""

import http.client
import json
import logging
import re
import socket
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from support.asking import ask
from support.filled import NOON_US, fill, make_box
from support.line import STATIONS
from support.page import is_open, serving, snapshot, station, table, viewer
from support.parts import make_plan
from support.waiting import wait_for

from collector.errors import SpoolError
from collector.http import health
from collector.http.page import Live, sections
from collector.http.page.app import VIEWERS_MAX
from collector.http.page.events import EVENTS_MAX, LIKE_IT_S, Events
from collector.http.page.history import STEP_S, STEPS_MAX, History
from collector.http.page.letters import SAMPLE_BYTES, Letters
from collector.http.serving.connections import Deadlines
from collector.model import DeadLetter, Fault
from collector.spool import Group, Limits, Spool


def counted(received, delivered=0, spooled=0, **more):
    counts = {"made": received, "delivered": delivered, "spooled": spooled, **more}
    return {("table:t", name): value for name, value in counts.items()} | {("", "received"): 9}


# --- the hour


def test_a_step_of_the_hour_holds_what_came_in_it_and_the_largest_backlog():
    history = History()
    # What was counted before the page began is no news.
    for second, counts in enumerate(
        [counted(100, 100), counted(105, 100, 5), counted(110, 104, 6), counted(110, 110)]
    ):
        history.note(second, counts)
    assert history.since(-1) == []
    history.note(STEP_S, counted(112, 110, 2, replayed=3))
    assert history.since(-1) == [(0, 10, 10, 6)]
    history.note(2 * STEP_S, counted(112, 110, 2, replayed=3))
    assert history.since(0) == [(1, 5, 0, 2)]
    assert history.since(1) == []


def test_a_time_in_which_nothing_was_noted_is_missing():
    history = History()
    for second in (0, STEP_S, 10 * STEP_S, 11 * STEP_S):
        history.note(second, counted(second))
    assert [(step, received) for step, received, *_ in history.since(-1)] == [
        (0, 0),
        (1, 5),
        (10, 45),
    ]


def test_the_hour_is_all_that_is_kept():
    history = History()
    for step in range(2 * STEPS_MAX):
        history.note(step * STEP_S, counted(step))
    points = history.since(-1)
    assert len(points) == STEPS_MAX
    assert points[-1][0] == 2 * STEPS_MAX - 2


# --- events


@pytest.fixture
def events():
    handler = Events()
    logger = logging.getLogger("collector")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_events_are_the_last_lines_of_the_log_that_are_not_for_developers(events, caplog):
    log = logging.getLogger("collector.page.test")
    with caplog.at_level(logging.DEBUG):
        log.debug("nobody is to see this")
        for number in range(EVENTS_MAX + 5):
            log.info("event %s", f"no. {number}")
        log.warning("%s", "x" * 2_000, extra={"table": "main.iot.one"})
    latest = events.latest()
    assert len(latest) == EVENTS_MAX
    assert [one["text"] for one in latest[1:3]] == ["event no. 24", "event no. 23"]
    assert latest[0]["level"] == "warning"
    assert latest[0]["text"].startswith("main.iot.one: xxx")
    assert len(latest[0]["text"]) < 600


def test_what_is_said_again_or_of_another_table_is_one_event(events):
    log = logging.getLogger("collector.page.test")
    log.warning("before")
    for number in range(100):
        table = f"main.iot.t{number}"
        log.warning("%s: %s, next in %d s", table, "away", number, extra={"table": table})
    first, before = events.latest()
    assert (first["text"], first["more"]) == ("main.iot.t0: away, next in 0 s", 99)
    assert (before["text"], before["more"]) == ("before", 0)


def test_what_is_said_again_after_a_minute_is_an_event_of_its_own():
    events = Events()
    for at in (0, LIKE_IT_S - 1, LIKE_IT_S + 1):
        line = {"msg": "away", "levelno": logging.WARNING, "levelname": "WARNING", "created": at}
        events.handle(logging.makeLogRecord(line))
    assert [(one["at_us"], one["more"]) for one in events.latest()] == [(61_000_000, 0), (0, 1)]


def test_an_event_with_a_traceback_says_what_it_was(events):
    try:
        {}["temp"]
    except KeyError:
        logging.getLogger("collector.page.test").exception("it can't be answered")
    assert events.latest()[0]["text"] == "it can't be answered: KeyError('temp')"


# --- dead letters


@pytest.fixture
def spool(tmp_path):
    return fill(make_box(tmp_path / "box"))


def bury(path, payload, kind="too_large"):
    spool = Spool(path, Limits())
    spool.append(
        Group(dead_letters=[DeadLetter(Fault(kind, "why", ""), "t", payload, NOON_US, "s", "")])
    )
    spool.close()


def test_a_sample_is_cut_and_says_so(spool):
    bury(spool, "é".encode() * 5_000)
    first = Letters(spool).look({"dead": 6})[0]
    assert first["text"] == "é" * (SAMPLE_BYTES // 2) + "…"
    assert (first["way"], first["is_cut"], first["size"]) == ("text", True, 10_000)
    bury(spool, b"\xff" * 5_000)
    first = Letters(spool).look({"dead": 7})[0]
    assert first["text"] == " ".join(["ff"] * 128) + "…"
    assert (first["way"], first["count"]) == ("hex", 2)


def test_the_spool_is_read_anew_only_when_the_letters_were_counted_anew(spool):
    letters = Letters(spool)
    before = letters.look({"dead": 5, "received": 1})
    bury(spool, b"more")
    assert letters.look({"dead": 5, "received": 2}) is before
    found = wait_for(
        lambda: (now := letters.look({"dead": 6})) is not before and now, "another look"
    )
    assert Counter({one["kind"]: one["count"] for one in found})["too_large"] == 1


def test_a_spool_that_cant_be_read_is_said_in_the_place_of_its_letters(tmp_path):
    live = Live(tmp_path / "spool.db")
    live.show(snapshot(messages={"dead": 1}))
    letters = json.loads(live.make()["letters"])
    assert letters["kinds"] == []
    assert "spool.db" in letters["problem"]
    with pytest.raises(SpoolError):
        Letters(tmp_path / "spool.db").look({"dead": 1})


# --- those who look


def told(stream, *, beats=False):
    """The events of a stream, as they come: name and content; signs of life only with `beats`."""
    name = ""
    while line := stream.readline().decode():
        if line.startswith("event: "):
            name = line[7:].strip()
        elif line.startswith("data: ") and (beats or name != "beat"):
            yield name, json.loads(line[6:])


def take(stream, count):
    return [next(stream) for _ in range(count)]


def test_a_viewer_is_told_all_at_first_and_then_what_changes(tmp_path):
    with serving(tmp_path) as (live, port), viewer(port) as raw:
        stream = told(raw)
        assert [name for name, _ in take(stream, 2)] == ["history", "events"]
        live.show(snapshot())
        names = [name for name, _ in take(stream, 4)]
        assert sorted(names) == ["letters", "line", "stations", "tables"]
        live.show(snapshot(broker_rate=13.0))
        name, line = next(stream)
        assert (name, line["broker"]["rate"]) == ("line", 13.0)
        for step in (0, 1, 2):
            live.history.note(time.monotonic() + step * STEP_S, counted(step))
        name, steps = next(stream)
        assert name == "steps"
        assert [point[1] for point in steps["points"]] in ([0, 1], [0])


def test_a_viewer_hears_a_sign_of_life_when_nothing_changes(tmp_path):
    with serving(tmp_path) as (_, port), viewer(port) as raw:
        stream = told(raw, beats=True)
        assert [name for name, _ in take(stream, 3)] == ["history", "events", "beat"]


def test_what_is_shown_is_made_once_for_all_who_look(tmp_path):
    live = Live(tmp_path / "spool.db")
    assert live.made is None
    live.show(snapshot())
    made = live.make()
    assert live.made is made
    live.show(snapshot(broker_rate=1.0))
    assert live.made is None
    live.make()
    logging.getLogger("collector.page.test").warning("nobody listens")
    assert live.made is not None
    live.events.handle(logging.makeLogRecord({"msg": "an event", "levelno": logging.INFO}))
    assert live.made is None


def test_what_the_page_remembers_outlives_its_server(tmp_path):
    with serving(tmp_path) as (live, port), viewer(port):
        live.show(snapshot())
    with serving(tmp_path, live=live) as (_, port), viewer(port) as one, viewer(port) as other:
        for stream in (told(one), told(other)):
            assert "line" in [name for name, _ in take(stream, 6)]
        live.show(snapshot(broker_rate=13.0))
        for stream in (told(one), told(other)):
            assert next(stream)[0] == "line"


def test_a_viewer_that_takes_nothing_loses_its_place(tmp_path):
    quick = Deadlines(taking_s=0.5, look_s=0.1)
    with serving(tmp_path, quick) as (live, port), ExitStack() as others:
        for _ in range(VIEWERS_MAX - 1):
            others.enter_context(viewer(port))
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            lazy.connect(("127.0.0.1", port))
            lazy.sendall(b"GET /ui/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(
                lambda: ask(port, "/ui/events", "HEAD").status == 503, "all places to be taken"
            )
            count = iter(range(1_000_000))

            def has_left():
                # More than the kernel keeps for one that does not read.
                live.show(snapshot(gateway=f"{next(count)}" + "x" * 500_000))
                return ask(port, "/ui/events", "HEAD").status == 200

            wait_for(has_left, "its place to be free", 60, 0.2)


# --- the sections


def test_dead_letters_of_a_station_are_those_of_its_messages_and_of_its_records(tmp_path):
    counted = {"dead:bad_value": 2, "buried:refused": 3, "buried:expired": 4}
    table_name = STATIONS["station_one"]["table"]
    document = snapshot(
        stations={"station_one": station(table_name, **counted)}, tables={table_name: table()}
    )
    [row] = sections.stations(document)["rows"]
    assert row["dead"] == 9
    one, _ = make_plan(tmp_path, STATIONS).config.stations
    assert health.of_station(one, document)["dead_letters"] == 9


# --- the files


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/page.js", "/ui/style.css", "/ui/icon.svg"])
def test_a_file_of_the_page_comes_with_a_policy_that_lets_nothing_else_in(tmp_path, path):
    with serving(tmp_path) as (_, port):
        wait_for(lambda: is_open(port), "the server")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        policy = answer.getheader("Content-Security-Policy")
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.read()
        connection.close()


def test_the_page_can_only_be_read(tmp_path):
    with serving(tmp_path) as (_, port):
        wait_for(lambda: is_open(port), "the server")
        for method in ("POST", "PUT", "DELETE"):
            assert ask(port, "/ui", method).status == 405
        assert ask(port, "/ui/../../app.py").status == 404
        assert ask(port, "/ui/nothing.js").status == 404


def test_the_files_of_the_page_name_no_other_host(tmp_path):
    with serving(tmp_path) as (_, port):
        wait_for(lambda: is_open(port), "the server")
        page = ask(port, "/ui").text
        files = ["/ui", *re.findall(r'(?:src|href)="(/ui/[^"]+)"', page)]
        assert len(files) == 4
        for file in files:
            addresses = set(re.findall(r"https?://[^\s\"')]+", ask(port, file).text))
            assert addresses <= {"http://www.w3.org/2000/svg"}, file
