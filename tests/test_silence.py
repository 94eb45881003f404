"""Silent stations: what is learned, when it is an alarm, and what a restart keeps."""

import json
import random

import pytest
from support.line import STATIONS, Line, reading
from support.parts import make_plan, open_spool
from support.waiting import wait_for

from collector import status
from collector.daemon.silence import FLOOR_S, GAPS_MIN, Gaps, Silence
from collector.intake.group import Pending
from collector.intake.records import StationRecords
from collector.model import Message

MINUTE_S = 60.0
HOUR_S = 3_600.0
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
        self.silence.look(self.stations, counters, self.now, listens=lambda _: listening)

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
    assert box.silence.silent == []
    box.passes(1)
    assert box.said()["is_silent"]
    assert box.silence.silent == ["station_one"]
    box.sends(1)
    assert not box.said()["is_silent"]
    assert box.silence.silent == []
    assert box.said()["last_message_us"] > 0


def test_a_fast_station_may_be_silent_for_five_minutes(box):
    box.sends(*[1.0] * 1_100)
    assert box.said()["silent_after_s"] is None
    box.sends(*[1.0] * 200)
    assert box.said()["silent_after_s"] == FLOOR_S


def sent(gaps, *seconds):
    """Returns the limits that were in force at the gaps which exceeded them."""
    alarms = []
    for gap in seconds:
        if gaps.limit_s is not None and gap > gaps.limit_s:
            alarms.append(gaps.limit_s)
        gaps.silence_s += gap
        gaps.came(1)
    return alarms


DICE = random.Random(4)
NIGHT = [MINUTE_S] * 840 + [10 * HOUR_S]
WEEKDAY = [MINUTE_S] * 600 + [14 * HOUR_S]
WEEK = [*WEEKDAY * 4, *WEEKDAY[:-1], 62 * HOUR_S]
HOURLY_DAY = [HOUR_S] * 10 + [14 * HOUR_S]
HOURLY_WEEK = [*HOURLY_DAY * 4, *HOURLY_DAY[:-1], 62 * HOUR_S]


@pytest.mark.parametrize(
    ("gaps", "alarms", "limits"),
    [
        pytest.param(NIGHT * 60, 2, (14, 16), id="nights"),
        pytest.param(WEEK * 9, 4, (90, 96), id="nights and weekends"),
        pytest.param(HOURLY_WEEK * 9, 4, (90, 96), id="hourly, nights and weekends"),
        pytest.param(([600.0] + [1.0] * 20) * 2_000, 0, (1.5, 1.8), id="bursts"),
        pytest.param(
            [gap for _ in range(2_000)
             for gap in (DICE.expovariate(1 / 600), *[1.0] * DICE.randrange(5, 40))],
            2, (1, 3), id="bursts at random"),
        pytest.param([DICE.expovariate(1 / 60) for _ in range(40_000)], 3, (0.1, 0.5),
                     id="at random"),
        pytest.param([MINUTE_S + DICE.uniform(-20, 20) for _ in range(20_000)], 0, (0.13, 0.17),
                     id="every minute or so"),
        pytest.param([DAY_S + DICE.uniform(-HOUR_S, HOUR_S) for _ in range(90)], 0, (216, 264),
                     id="once a day"),
    ],
)  # fmt: skip
def test_what_is_usual_for_a_station_rings_a_few_times_and_its_death_in_time(gaps, alarms, limits):
    station = Gaps()
    assert len(sent(station, *gaps)) <= alarms
    low, high = limits
    # Also while it forgets, which it does every two weeks.
    for _ in range(20):
        assert low * HOUR_S < station.limit_s < high * HOUR_S
        assert sent(station, *gaps[: len(gaps) // 9]) == []
    assert len(station.written()) < 1_200


def test_a_silence_that_came_once_is_an_alarm_again():
    station = Gaps()
    assert sent(station, *NIGHT, *NIGHT[:-1]) == [10 * MINUTE_S]
    assert station.limit_s == 10 * MINUTE_S


def test_an_outage_of_days_is_not_learned_as_usual():
    gaps = Gaps()
    sent(gaps, *[MINUTE_S] * 5_000, 3 * DAY_S, *[MINUTE_S] * 10)
    assert gaps.limit_s == pytest.approx(10 * MINUTE_S)


def test_a_station_that_becomes_slower_is_an_alarm_twice():
    gaps = Gaps()
    sent(gaps, *[MINUTE_S] * 1_000)
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
    assert gaps.limit_s is not None
    assert Gaps.read(gaps.written()) == gaps


def test_what_another_version_kept_is_read_as_far_as_it_is_known(caplog):
    kept = {**json.loads(Gaps(last_us=7, silence_s=5.0).written()), "unknown": [1, 2]}
    assert Gaps.read(json.dumps(kept).encode()) == Gaps(last_us=7, silence_s=5.0)
    assert not caplog.records
    for other in (b"", b"[]", b"3", b'{"octaves": 7}', b'{"octaves": {"5": [1]}}'):
        assert Gaps.read(other) == Gaps()
    assert "is learned anew" in caplog.text


def test_a_message_without_rows_ends_a_silence_and_the_heartbeat_has_none(tmp_path):
    stations = {"station_one": {**STATION["station_one"], "when": {"temp": {"min": 90}}}}
    plan = make_plan(tmp_path, stations)
    with open_spool(plan) as spool:
        box = Box(plan, spool)
        pending = Pending(
            [StationRecords(one, "t", spool) for one in plan.mappings], message_max_bytes=1_000
        )
        resolution = plan.router.resolve(b"sensors/a/b", ())
        pending.add(Message(b"sensors/a/b", b'{"temp": 1, "device_name": "d"}'), resolution, 1)
        pending.messages += 1
        spool.append(pending.group())
        counters = spool.reader.counters()
        assert counters["", "ignored:no_rows"] == 1
        assert counters["station:station_one", "without_rows"] == 1
        heartbeat = box.stations[0].model_copy(update={"name": "heartbeat", "is_heartbeat": True})
        box.silence.look([*box.stations, heartbeat], counters, 50.0, listens=lambda _: True)
        assert box.said()["last_message_us"]
        assert set(box.silence.of(heartbeat).values()) == {None}
        box.silence.keep(50.0)
        assert set(spool.reader.memories("")) == {"station_one"}


def test_what_is_buried_ends_no_silence(box):
    counters = {("station:station_one", "buried:refused"): 1}
    box.silence.look(box.stations, counters, 50.0, listens=lambda _: True)
    assert not box.said()["last_message_us"]
    counters |= {("station:station_one", "dead:bad_value"): 1}
    box.silence.look(box.stations, counters, 60.0, listens=lambda _: True)
    assert box.said()["last_message_us"]


def test_no_format_meets_what_is_kept_of_the_stations(box):
    box.silence.keep(box.now)
    assert box.spool.reader.memories("station_one") == {}


def test_health_names_the_station_and_how_long_and_how_often(line_folder):
    stations = {"station_one": {**STATIONS["station_one"], "silent_after": "2s"}}
    with Line(line_folder, stations=stations) as line:
        line.publisher().publish([reading(1)])

        def reasons():
            return "; ".join(status.health(line.status())[1])

        # It is silent from the start on, until the message is counted.
        wait_for(lambda: line.status()["stations"]["station_one"]["last_message_us"], "it to count")
        wait_for(lambda: "station_one: no message for " in reasons(), "the alarm")
        line.broker.stop()
        wait_for(lambda: "broker: " in reasons() and "no message" not in reasons(), "the broker's")
        line.broker.start()
        wait_for(line.is_connected, "the connection")
        wait_for(lambda: "station_one: no message for " in reasons(), "the alarm")
        line.publisher().publish([reading(2)])
        wait_for(lambda: not line.status()["stations"]["station_one"]["is_silent"], "its end")
