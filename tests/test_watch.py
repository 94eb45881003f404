"""`collector status --watch` on a terminal of its own, as an operator has it.

Status files are written as a daemon writes them; a real daemon comes and goes in one test. The
golden file holds the screen of a bad night; `GOLDEN=write` writes it anew, to be looked at.
"""

import doctest
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import said
from support.filled import make_box
from support.line import Line, reading
from support.terminal import ENVIRONMENT, Terminal, run_plain
from support.waiting import wait_for

from collector import status
from collector.commands._watch import history, picture
from collector.commands._watch.history import STEPS_MAX, History, curve
from collector.daemon import growth

GOLDEN = Path(__file__).parent / "golden" / "watch.txt"
CLOCK = re.compile(r"\d\d:\d\d:\d\dZ$")
OWN = re.compile(rb"\x1b\[(\d+;1H|H|2J|K|[0-9;]*m|\?25[lh]|\?1049[lh])")
COLOURED = re.compile(rb"\x1b\[[0-9;]*[349][0-7]m")


@pytest.fixture
def box(tmp_path):
    return make_box(tmp_path)


@pytest.fixture
def state(box):
    """The folder of the status file."""
    return box / "state"


def watch(box, *arguments, every="100ms", **options):
    return Terminal("status", "--watch", "--every", every, *arguments, folder=box, **options)


def plain(lines):
    return "".join(CLOCK.sub("HH:MM:SSZ", line) + "\n" for line in lines)


# -- what a person sees ------------------------------------------------------------------------


def test_a_bad_night_of_many_stations_fits_80_columns_and_24_lines(box, state):
    said.say(state, said.trouble())
    with watch(box, every="5min") as terminal:
        text = plain(terminal.shows("q quits"))
        terminal.type(b"q")
        assert terminal.ends() == 0
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()
    assert max(map(len, text.splitlines())) < 80


def test_a_calm_day_says_so_in_a_few_lines(box, state):
    said.say(state, said.snapshot(stations=2))
    with watch(box) as terminal:
        lines = terminal.shows("ok            nothing is wrong", "not growing", "q quits")
        assert [line.split()[:5] for line in lines if line.startswith("station_")] == [
            ["station_00", "12", "12", "12", "0"],
            ["station_01", "12", "12", "12", "0"],
        ]


def test_what_is_asked_over_http_stands_beside_the_broker(box, state):
    document = said.snapshot(stations=2)
    asked = {"listen": "127.0.0.1:8000", "problem": "", "refused": 3, "request_rate": 48.2}
    said.say(state, document | {"http": asked})
    with watch(box) as terminal:
        lines = terminal.shows("q quits", "http")
        assert any("127.0.0.1:8000, 48 requests/s, 3 refused" in line for line in lines)
        problem = {**asked, "problem": "http.listen: the port is taken"}
        said.say(state, document | {"http": problem})
        terminal.shows("http.listen: the port is taken")


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (40, 10), (20, 3), (1, 1)])
def test_every_size_of_terminal_gets_as_much_as_fits(box, state, columns, rows):
    said.say(state, said.trouble())
    with watch(box) as terminal:
        terminal.shows("and 11 more")
        terminal.resize(columns, rows)
        wait_for(lambda: len(terminal.lines()[-1]) <= columns and terminal.lines()[0], "a redraw")
        if rows > 10:
            assert "and 11 more" not in plain(terminal.shows("main.iot.removed", "station_19"))
        terminal.type(b"q")
        assert terminal.ends() == 0


# -- what goes over the line -------------------------------------------------------------------


def test_a_refresh_writes_only_the_lines_that_changed(box, state):
    document = said.say(state, said.snapshot(stations=9))
    with watch(box) as terminal:
        terminal.shows("station_04", "q quits")
        whole = len(terminal.written)
        document["tables"]["main.iot.station_04"]["spooled"] = 377
        said.say(state, document)
        lines = terminal.shows("377 records", "     377 ")
        refresh = terminal.written[whole:]
    changed = [at for at, line in enumerate(lines, 1) if "377" in line]
    written = re.findall(rb"\x1b\[(\d+);1H", refresh)
    clocks = written.count(b"1")
    assert sorted(set(map(int, written)) - {1}) == changed
    assert len(written) == clocks + len(changed) == clocks + 2
    assert len(refresh) < 100 * len(written)
    assert b"\x1b[2J" not in refresh
    assert whole < 2_000


def test_nothing_is_written_but_the_clock_while_nothing_changes(box, state):
    said.say(state, said.snapshot())
    with watch(box) as terminal:
        clock = CLOCK.search(terminal.shows("q quits")[0])[0]
        whole = len(terminal.written)
        wait_for(lambda: CLOCK.search(terminal.lines()[0])[0] != clock, "the clock to move")
        refresh = terminal.written[whole:]
    assert set(re.findall(rb"\x1b\[(\d+);1H", refresh)) == {b"1"}
    assert len(refresh) < 200


def test_no_colour_is_written_where_no_color_is_set(box, state):
    said.say(state, said.trouble())
    for setting, coloured in (("1", False), ("", True)):
        with watch(box, NO_COLOR=setting) as terminal:
            terminal.shows("q quits")
            assert bool(COLOURED.search(terminal.written)) is coloured


def test_a_terminal_that_knows_ascii_only_gets_nothing_else(box, state):
    said.say(state, said.trouble())
    with watch(box, PYTHONIOENCODING="ascii") as terminal:
        terminal.shows("@", "q quits")
        assert terminal.written.isascii()


def test_nothing_that_a_terminal_would_obey_comes_out_of_names_and_reasons(box, state):
    evil = "\x1b]0;evil\x07\x9b2J\u202e\n"
    document = said.snapshot(gateway=evil, version=evil)
    document["broker"] |= {"connected": False, "last_error": evil, "url": evil}
    document["stations"][evil] = {"table": evil, "rate": 1, "internal_since_start": 1}
    document["tables"][evil] = {"state": "held", "reason": evil, "hint": evil, "spooled": 5}
    said.say(state, document)
    with watch(box) as terminal:
        terminal.shows("offline", "evil")
        left = OWN.sub(b"", terminal.written).decode()
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]", left)


# -- what happens meanwhile --------------------------------------------------------------------


def test_a_daemon_that_goes_and_comes_back_is_followed(line_folder):
    with Line(line_folder) as line, watch(line_folder) as terminal:
        terminal.shows("ok", "station_one")
        line.publisher().publish([reading(number)[:3] for number in range(30)])
        line.wait_delivered(range(30))
        terminal.shows("streaming")
        line.daemon.stop()
        lines = terminal.shows("not running   since ", "collector run", "station_one")
        (row,) = [one for one in lines if one.startswith("station_one")]
        assert row.split()[1:4] == ["-", "-", "-"]
        line.start_daemon()
        terminal.shows("ok", "nothing is wrong")


def test_a_daemon_that_was_killed_is_not_running_since_its_last_word(box, state):
    child = subprocess.Popen(["sleep", "600"])
    try:
        said.say(state, said.snapshot(pid=child.pid))
        with watch(box) as terminal:
            terminal.shows("nothing is wrong", "up 3d")
            child.kill()
            child.wait()
            text = plain(terminal.shows("not running   since ", "is gone", "station_00"))
            assert "up 3d" not in text
            said.say(state, said.snapshot(stations=1))
            terminal.shows("nothing is wrong", "up 3d")
    finally:
        child.kill()
        child.wait()


def test_a_watch_may_begin_before_the_daemon(box, state):
    with watch(box) as terminal:
        terminal.shows("not running", "is not there")
        said.say(state, said.snapshot())
        terminal.shows("nothing is wrong")


def test_a_status_file_that_nobody_writes_any_more_is_called_stale(box, state):
    said.say(state, said.snapshot(age_s=60))
    with watch(box) as terminal:
        lines = terminal.shows("failing", "the daemon has not reported for ")
        (row,) = [one for one in lines if one.startswith("station_00")]
        assert row.split()[1:4] == ["-", "-", "-"]


@pytest.mark.parametrize(
    "text", ['{"pid": 1, "up', "[]", '{"pid": 1}', '{"pid": "x"}', "", '{"pid": 1, "spool": []}']
)
def test_a_file_that_is_broken_or_of_another_version_is_said_to_be_so(box, state, text):
    said.say(state, said.snapshot())
    with watch(box) as terminal:
        terminal.shows("nothing is wrong")
        (state / status.FILE).write_text(text)
        terminal.shows("status.json can't be ")
        said.say(state, said.snapshot())
        terminal.shows("nothing is wrong")


# -- the terminal is given back ----------------------------------------------------------------


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM, signal.SIGHUP])
def test_it_ends_with_0_and_leaves_the_terminal_as_it_was(box, state, end):
    said.say(state, said.snapshot())
    with watch(box) as terminal:
        terminal.shows("q quits")
        assert terminal.written.startswith(b"\x1b[?1049h\x1b[?25l")
        if isinstance(end, bytes):
            terminal.type(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.ends() == 0
        assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")
        assert b"Traceback" not in terminal.written


def test_it_can_be_stopped_by_the_shell_and_goes_on(box, state):
    said.say(state, said.snapshot())
    with watch(box) as terminal:
        terminal.shows("q quits")
        terminal.type(b"\x1a")
        stat = Path(f"/proc/{terminal.process.pid}/stat")
        wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
        terminal.lines()
        assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")
        terminal.screen.reset()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.shows("station_00", "q quits")
        terminal.type(b"q")
        assert terminal.ends() == 0


# -- where it does not work --------------------------------------------------------------------


def test_what_is_no_terminal_is_refused(box, state):
    said.say(state, said.snapshot())
    done = run_plain("status", "--watch", folder=box)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a terminal" in done.stderr
    for arguments, text in (
        (("--json",), "has no --json"),
        (("--every", "1ms"), "100ms to 1h"),
    ):
        done = run_plain("status", "--watch", *arguments, folder=box)
        assert done.returncode == 2
        assert text in done.stderr
    with watch(box, TERM="dumb") as terminal:
        assert terminal.ends() == 2
        assert b"TERM is dumb" in terminal.written
        assert b"\x1b" not in terminal.written


def loaded(code, box):
    """The modules that a program has in the end."""
    code += "\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=box, env=ENVIRONMENT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return set(done.stderr.split())


def test_status_is_light_and_a_watch_needs_only_rich(box, state):
    said.say(state, said.snapshot())
    once = "import sys; sys.argv = ['collector', 'status']; import collector.cli as c\n"
    once += "try: c.main()\nexcept SystemExit: pass"
    modules = loaded(once, box)
    assert "collector.status" in modules
    assert not modules & {"rich", "grpc", "grpc_tools", "paho", "zerobus"}
    watched = loaded("import collector.commands._watch as w; import collector.commands.status", box)
    assert "rich" in watched
    assert not watched & {"grpc", "grpc_tools", "paho", "zerobus"}


# -- figures -----------------------------------------------------------------------------------


def test_a_history_is_bounded_and_forgets_tables_that_are_gone():
    kept = History(step_s=1.0)
    for now in range(500):
        kept.note(now, {"a": now, "b": 1} if now < 400 else {"a": now})
    assert kept.last("a", 499, 3) == [497, 498, 499]
    assert kept.last("a", 499, 500).count(None) == 500 - STEPS_MAX
    assert kept.last("b", 499, 3) == [None, None, None]


def test_a_step_shows_its_highest_backlog_and_a_small_one_is_drawn_small():
    kept = History(step_s=10.0)
    for now, backlog in ((0, 5), (3, 90), (9, 0), (21, 50)):
        kept.note(now, {"a": backlog})
    values = kept.last("a", 21, 4)
    assert values == [None, 90, None, 50]
    assert curve(values, rate=0.0) == " █ ▅"
    assert curve([9, 0, 1], rate=100.0) == "▁·▁"
    assert curve([9, 0, 1], rate=0.0, ascii_only=True) == "@.:"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"growth_per_s": None}, ""),
        ({"growth_per_s": 0.0}, "not growing"),
        ({"growth_per_s": -5.0}, "not growing"),
        ({"growth_per_s": 0.01}, "not growing"),
        ({"growth_per_s": 80_000.0}, "full in 3h at this rate"),
        ({"growth_per_s": 80_000.0, "disk_free_bytes": 16_000_000}, "full in 3m at this rate"),
        ({"growth_per_s": 80_000.0, "min_free_bytes": 4_184_000_000}, "full in 3m at this rate"),
        ({"growth_per_s": 80_000.0, "disk_free_bytes": None}, "full in 3h at this rate"),
        ({"used_bytes": 1_000_000_000}, "full"),
    ],
)
def test_the_forecast_knows_the_spool_the_disk_and_what_was_not_measured(changes, text):
    document = said.snapshot()
    document["spool"] |= changes
    assert status.forecast(document) == text


def test_the_forecast_of_a_daemon_that_says_less_is_nothing():
    document = said.snapshot()
    for key in ("growth_per_s", "disk_free_bytes", "min_free_bytes"):
        del document["spool"][key]
    assert status.forecast(document) == ""


@pytest.mark.parametrize("module", [history, picture, growth])
def test_the_examples_hold(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
