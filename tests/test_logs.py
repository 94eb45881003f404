"""The logs: one event a line, in two forms; repeats are counted; the SDK's stand among them."""

import json
import logging
import os
import subprocess
import sys

import pytest
from support.line import ROOT, Line, reading
from support.waiting import wait_for

from collector.logs import SDK, Repeats

PROGRAM = """
import logging, sys
from collector import logs
logs.configure("info", sys.argv[1])
log = logging.getLogger("collector.test")
log.debug("not shown")
log.info("plain")
log.warning("%s\\n  a hint", "an \\x1b[31mescape", extra={"table": "main.iot.one"})
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


def said(form, *, journald=False):
    read_end, write_end = os.pipe()
    about = os.fstat(write_end)
    # What a shell has inherited is not enough: systemd says which file it means.
    inode = about.st_ino if journald else about.st_ino + 1
    with os.fdopen(read_end, "rb") as stderr:
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, form],
            stdout=subprocess.PIPE, stderr=write_end, check=True, cwd=ROOT, timeout=60,
            env={**os.environ, "JOURNAL_STREAM": f"{about.st_dev}:{inode}"},
        )  # fmt: skip
        os.close(write_end)
        assert run.stdout == b""
        return stderr.read().decode().splitlines()


def test_a_line_of_text_is_key_value_and_shows_no_control_characters():
    plain, warning, error = said("text")
    assert plain.startswith("time=20")
    assert plain.endswith("Z level=info logger=collector.test message=plain")
    assert warning.endswith(
        r'level=warning logger=collector.test message="an \x1b[31mescape\n  a hint"'
        " table=main.iot.one"
    )
    assert "level=error" in error
    assert r"ZeroDivisionError: division by zero" in error


def test_a_line_of_json_has_the_same_keys():
    _, warning, error = map(json.loads, said("json"))
    assert warning.pop("time").endswith("Z")
    assert warning == {
        "level": "warning",
        "logger": "collector.test",
        "message": "an \x1b[31mescape\n  a hint",
        "table": "main.iot.one",
    }
    assert "Traceback" in error["exception"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_journald_gets_priorities_and_keeps_the_time_itself(form):
    lines = said(form, journald=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>"]
    assert "time" not in lines[0]


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def record(message, *arguments, level=logging.WARNING, name="collector.test"):
    return logging.LogRecord(name, level, "", 0, message, arguments, None)


def test_a_repeated_warning_is_written_once_a_minute_with_a_count():
    clock = Clock()
    repeats = Repeats(clock)
    written = []
    for _ in range(600):
        one = record("%s; next in %.1f s", "no route", clock.now)
        if repeats.filter(one):
            written.append(getattr(one, "repeated", 0))
        clock.now += 1
    assert written == [0, *[59] * 9]


def test_what_is_left_out_and_does_not_come_again_is_told_with_its_count():
    clock = Clock()
    repeats = Repeats(clock)
    assert [repeats.filter(record("gone")) for _ in range(4)] == [True, False, False, False]
    assert repeats.take_untold() == []
    clock.now += 60
    ((count, last),) = repeats.take_untold()
    assert (count, last.getMessage()) == (3, "gone")
    assert repeats.take_untold() == []


def test_what_an_operator_asked_for_is_answered_each_time():
    repeats = Repeats(Clock())
    for name in ("collector.daemon.reload", "collector.operations.purge"):
        assert all(repeats.filter(record("no", name=name, level=40)) for _ in range(5))


def test_other_tables_other_levels_and_good_news_are_no_repeats():
    repeats = Repeats(Clock())
    ones = [
        record("%s: held", "main.iot.one"),
        record("%s: held", "main.iot.two"),
        record("%s: held", "main.iot.two", level=logging.ERROR),
        record("connected", level=logging.INFO),
        record("connected", level=logging.INFO),
    ]
    assert all(repeats.filter(one) for one in ones)
    sdk = [record("%s", f"Stream closed stream_id={n}", level=20, name=SDK) for n in (5, 12)]
    assert [repeats.filter(one) for one in sdk] == [True, False]


def test_endless_different_warnings_take_bounded_memory():
    repeats = Repeats(Clock())
    for number in range(5_000):
        assert repeats.filter(record("%s", f"topic {number}"))
    assert len(repeats._said) <= 1_000


def test_every_line_of_a_daemon_is_json_also_those_of_the_sdk(line_folder):
    main = ["-m", "collector", "run", "--log-format", "json"]
    with Line(line_folder, main=main, environment={"RUST_LOG": "warn"}) as line:
        line.publisher().publish([reading(number) for number in range(10)])
        line.wait_delivered(range(10))
        line.zerobus.kill()
        line.publisher().publish([reading(number) for number in range(10, 20)])
        wait_for(lambda: '"zerobus.sdk"' in line.daemon.tail(), "the SDK's word")
        wait_for(lambda: '"table": "main.iot.station_one"' in line.daemon.tail(), "the drain's")
        line.zerobus.start()
        line.wait_delivered(range(20))
        assert line.daemon.stop() == 0
        lines = line.daemon.log.read_text().splitlines()
    events = [json.loads(one) for one in lines]
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, events))
    assert not any("\x1b" in one["message"] for one in events)
    levels = {one["level"] for one in events if one["logger"] == SDK}
    assert levels == {"info"}, "the collector says what follows from it"
