"""Silent stations: what is learned, when it is an alarm, and what a restart keeps."""

import pytest
from support.line import STATIONS, Line, reading
from support.parts import make_plan, open_spool
from support.waiting import wait_for

from collector import status
from collector.daemon.silence import FLOOR_S, GAPS_MIN, Gaps, Silence

MINUTE_S = 60.0
DAY_S = 86_400.0
STATION = {"station_one": {"topic": "sensors/+/+", "table": "main.iot.station_one"}}


class Box:
    """A spool, and a clock that is moved by hand; one station sends when it is told to."""

    def __init__(self, plan, spool):
        self.spool, self.stations = spool, plan.config.stations
        self.now, self.messages = 0.0, 0
        self.silence = Silence(spool, {}, self.now)

    def passes(self, seconds, *, sends=False, listening=True):
        self.now += seconds
        self.messages += int(sends)
        counters = {("station:station_one", "messages"): self.messages}
        self.silence.look(self.stations, counters, self.now, is_listening=listening)

    def sends(self, *gaps):
        for gap in gaps:
            self.passes(gap, sends=True)

    def restarts(self):
        self.silence = Silence(
            self.spool, {("station:station_one", "messages"): self.messages}, self.now
        )

    def said(self):
        return self.silence.of(self.stations[0])


@pytest.fixture
def box_of(tmp_path):
    opened = []

    def _box(**station):
        plan = make_plan(tmp_path, {"station_one": {**STATION["station_one"], **station}})
        context = open_spool(plan)
        opened.append(context)
        return Box(plan, context.__enter__())

    yield _box
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture
def box(box_of):
    return box_of()


def test_what_is_usual_is_not_known_before_there_were_enough_gaps(box):
    box.sends(*[MINUTE_S] * GAPS_MIN)
    box.passes(30 * DAY_S)
    assert box.said()["silent_after_s"] is None
    assert not box.said()["is_silent"]
    box.sends(MINUTE_S)
    assert box.said()["silent_after_s"] is not None


def test_ten_times_the_usual_gap_is_an_alarm(box):
    box.sends(*[2 * MINUTE_S] * 30)
    assert box.said()["usual_gap_s"] == pytest.approx(2 * MINUTE_S)
    box.passes(20 * MINUTE_S)
    assert not box.said()["is_silent"]
    box.passes(1)
    assert box.said()["is_silent"]
    box.sends(1)
    assert not box.said()["is_silent"]
    assert box.said()["last_message_us"] > 0


def test_a_fast_station_may_be_silent_for_five_minutes(box):
    box.sends(*[1.0] * 100)
    assert box.said()["silent_after_s"] == FLOOR_S


def sent(gaps, *seconds):
    for gap in seconds:
        gaps.silence_s += gap
        gaps.came(1)
    return gaps


def test_bursts_do_not_make_a_slow_station_look_fast():
    gaps = sent(Gaps(), *([600.0] + [1.0] * 20) * 30)
    assert 9 * 600 < gaps.limit_s < 11 * 600


def test_a_silence_that_came_twice_is_usual_and_one_that_came_once_is_not():
    day, night_s = [MINUTE_S] * 840, 10 * 3600.0
    gaps = sent(Gaps(), *day, night_s, *day)
    assert gaps.limit_s < night_s
    sent(gaps, night_s, *day)
    for _ in range(60):
        assert gaps.limit_s > night_s
        sent(gaps, night_s, *day)


def test_an_outage_of_days_is_not_learned_as_usual():
    gaps = sent(Gaps(), *[MINUTE_S] * 5_000, 3 * DAY_S, *[MINUTE_S] * 10)
    assert gaps.limit_s == pytest.approx(10 * MINUTE_S)


def test_a_station_that_becomes_slower_is_an_alarm_twice():
    gaps = sent(Gaps(), *[MINUTE_S] * 1_000)
    assert gaps.limit_s < 3600.0
    sent(gaps, 3600.0)
    assert gaps.limit_s < 3600.0
    sent(gaps, 3600.0)
    assert gaps.limit_s > 3600.0


def test_time_in_which_the_collector_did_not_listen_is_no_silence(box):
    box.sends(*[MINUTE_S] * 30)
    box.passes(DAY_S, listening=False)
    assert not box.said()["is_silent"]
    box.passes(11 * MINUTE_S)
    assert box.said()["is_silent"]


def test_a_restart_keeps_the_alarm_and_what_was_learned_and_raises_none(box):
    box.sends(*[MINUTE_S] * 30)
    box.passes(11 * MINUTE_S)
    box.silence.keep(box.now)
    before = box.said()
    assert before["is_silent"]
    box.now += DAY_S
    box.restarts()
    assert box.said() == before
    box.sends(1.0)
    box.now += DAY_S
    box.silence.keep(box.now)
    box.restarts()
    assert not box.said()["is_silent"]
    assert box.said()["silent_after_s"] == pytest.approx(10 * MINUTE_S, rel=0.1)


def test_it_is_kept_within_a_minute_of_a_message_and_seldom_without_any(box):
    box.sends(*[1.0] * 59)
    commits = box.spool.commits
    box.sends(1.0)
    assert box.spool.commits == commits + 1
    for _ in range(540):
        box.passes(1.0)
    assert box.spool.commits == commits + 1
    for _ in range(120):
        box.passes(1.0)
    assert box.spool.commits == commits + 2


@pytest.mark.parametrize(("written", "limit"), [("1h", 3600.0), ("off", None)])
def test_a_limit_that_is_set_needs_no_learning(box_of, written, limit):
    box = box_of(silent_after=written)
    box.passes(3601.0)
    assert box.said()["silent_after_s"] == limit
    assert box.said()["is_silent"] == (limit is not None)


def test_what_is_kept_can_be_read_again():
    gaps = Gaps()
    for number in range(100):
        gaps.silence_s = float(number)
        gaps.came(number + 1)
    assert Gaps.read(gaps.written()) == gaps


def test_no_format_meets_what_is_kept_of_the_stations(box):
    box.silence.keep(box.now)
    assert box.spool.reader.memories("station_one") == {}


def test_health_names_the_station_and_how_long_and_how_often(line_folder):
    stations = {"station_one": {**STATIONS["station_one"], "silent_after": "2s"}}
    with Line(line_folder, stations=stations) as line:
        line.publisher().publish([reading(1)])

        def reasons():
            return "; ".join(status.health(line.status())[1])

        wait_for(lambda: "station_one: no message for " in reasons(), "the alarm")
        assert line.status()["stations"]["station_one"]["last_message_us"]
        line.daemon.stop()
        line.start_daemon()
        wait_for(lambda: line.status()["stations"]["station_one"]["is_silent"], "the alarm again")
        line.broker.stop()
        wait_for(lambda: "broker: " in reasons() and "no message" not in reasons(), "the broker's")
        line.broker.start()
        wait_for(line.is_connected, "the connection")
        wait_for(lambda: "station_one: no message for " in reasons(), "the alarm")
        line.publisher().publish([reading(2)])
        wait_for(lambda: not line.status()["stations"]["station_one"]["is_silent"], "its end")
