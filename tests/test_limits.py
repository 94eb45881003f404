"""The limits of the spool at their edges: what goes when it is full, what never does, what is old.

Goal: a rule drops what it says and nothing else, everything that is dropped is counted by table, by
station and by reason, and nothing that a drain has taken is ever touched. Method: a real file with
small limits; the clock of the ages is one that the test sets.
"""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest
from support.line import ROOT, Line, reading
from support.spools import FINGERPRINT, opened
from support.waiting import wait_for

from collector.errors import SpoolFullError
from collector.model import DeadLetter, Fault, NewBatch
from collector.spool import Age, Group
from collector.spool.ages import Ages
from collector.spool.database import WAL_MAX_BYTES
from collector.spool.seq import RELEASED_US

FLOOD, CALM = "main.iot.flood", "main.iot.calm"
RECORD = b"r" * 40_000
MAX_BYTES = 8 << 20


def group(spool, station, table, records=5, received_us=1):
    first = spool.reserve(records)
    return Group(
        [
            NewBatch(
                table,
                station,
                FINGERPRINT,
                range(first, first + records),
                received_us,
                [RECORD] * records,
            )
        ]
    )


def flood(spool, times=200, station="flood", table=FLOOD):
    for _ in range(times):
        spool.append(group(spool, station, table))


def flood_until_full(spool, station="flood", table=FLOOD):
    with pytest.raises(SpoolFullError):
        flood(spool, station=station, table=table)


def counted(spool, scope, name):
    return spool.reader.counters().get((scope, name), 0)


def ids(spool, table):
    return [row[0] for row in spool.reader.walk(table, 0, 100_000)]


def check_balance(spool):
    counters = spool.reader.counters()
    for scope in {scope for scope, _ in counters if scope.startswith("table:")}:
        count = Counter({name: value for (one, name), value in counters.items() if one == scope})
        left = ("delivered", "spooled", "buried", "expired", "dropped", "purged", "lost")
        assert count["made"] == sum(count[name] for name in left), scope
        ((found,),) = spool.reader.rows(
            "SELECT coalesce(sum(records), 0) FROM batches b JOIN names n ON n.id = b.table_id"
            " WHERE n.name = ?",
            scope[6:],
        )
        assert found == count["spooled"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "spool.db"


def limited(path, **limits):
    return opened(path, MAX_BYTES, **limits)


# -- when it is full -------------------------------------------------------------------------


def test_without_a_rule_a_full_spool_stores_nothing_more_and_drops_nothing(path):
    with limited(path) as spool:
        flood_until_full(spool)
        before = ids(spool, FLOOD)
        flood_until_full(spool)
        assert ids(spool, FLOOD) == before
        assert counted(spool, f"table:{FLOOD}", "dropped") == 0
        check_balance(spool)


def test_drop_oldest_keeps_the_newest_and_counts_the_rest(path):
    with limited(path, drops={"flood": "drop_oldest"}, table_share=1.0) as spool:
        flood(spool, 100)
        left = ids(spool, FLOOD)
        assert left == list(range(101 - len(left), 101))
        assert 25 < len(left) < 42
        dropped = counted(spool, f"table:{FLOOD}", "dropped")
        assert dropped == 5 * (100 - len(left))
        assert counted(spool, "station:flood", "dropped:full") == dropped
        assert spool.room.used_bytes()[0] <= MAX_BYTES + (1 << 20)
        check_balance(spool)


def test_drop_newest_keeps_what_is_there_and_counts_what_comes(path):
    with limited(path, drops={"flood": "drop_newest"}, table_share=1.0) as spool:
        flood(spool, 100)
        left = ids(spool, FLOOD)
        assert left == list(range(1, len(left) + 1))
        assert counted(spool, f"table:{FLOOD}", "made") == 500
        assert counted(spool, "station:flood", "dropped:full") == 5 * (100 - len(left))
        check_balance(spool)


@pytest.mark.parametrize("rule", ["drop_oldest", "drop_newest"])
def test_what_waits_for_room_is_never_dropped_by_the_rule_of_another_station(path, rule):
    with limited(path, drops={"flood": rule}, table_share=1.0) as spool:
        flood_until_full(spool, station="calm", table=CALM)
        before = ids(spool, CALM)
        flood(spool, 3)
        assert ids(spool, CALM) == before
        assert counted(spool, f"table:{CALM}", "dropped") == 0
        assert counted(spool, f"table:{FLOOD}", "dropped") == 15 - 5 * len(ids(spool, FLOOD))
        check_balance(spool)


def test_a_station_that_waits_gets_the_room_of_one_that_drops_its_oldest(path):
    with limited(path, drops={"flood": "drop_oldest"}, table_share=1.0) as spool:
        flood(spool, 60)
        flood(spool, 20, station="calm", table=CALM)
        assert len(ids(spool, CALM)) == 20
        assert counted(spool, f"table:{CALM}", "dropped") == 0
        check_balance(spool)


@pytest.mark.parametrize("rule", ["drop_oldest", "drop_newest"])
def test_a_flooding_table_keeps_to_its_share_so_that_the_others_have_room(path, rule):
    with limited(path, drops={"flood": rule}, table_share=0.5) as spool:
        flood(spool, 100)
        assert counted(spool, f"table:{FLOOD}", "spooled_bytes") <= MAX_BYTES * 0.5
        flood(spool, 12, station="calm", table=CALM)
        assert len(ids(spool, CALM)) == 12
        assert counted(spool, "station:flood", "dropped:share") > 0
        check_balance(spool)


def test_a_share_matters_only_while_space_is_short(path):
    with limited(path, drops={"flood": "drop_oldest"}, table_share=0.05) as spool:
        flood(spool, 10)
        assert counted(spool, f"table:{FLOOD}", "dropped") == 0


def test_nothing_that_a_drain_has_taken_is_dropped_expired_or_purged(path):
    with limited(path, drops={"flood": "drop_oldest"}, table_share=1.0) as spool:
        flood(spool, 10)
        taken, acknowledged = ids(spool, FLOOD)[:4], ids(spool, FLOOD)[4:6]
        assert spool.take(taken + acknowledged)
        spool.acknowledge(acknowledged)
        flood(spool, 100)
        assert set(taken) <= set(ids(spool, FLOOD))
        assert counted(spool, f"table:{FLOOD}", "delivered") == 10
        assert spool.remove(taken, "purged") == 0
        spool.release(taken)
        assert spool.remove(taken, "purged") == 20
        check_balance(spool)


def test_what_is_gone_is_not_taken(path):
    with limited(path) as spool:
        flood(spool, 3)
        first, second, third = ids(spool, FLOOD)
        spool.remove([second], "purged")
        assert not spool.take([first, second])
        assert spool.remove([first], "purged") == 5
        assert spool.take([third])


def test_drops_are_summed_up_in_one_dead_letter_for_each_station_and_reason(path):
    with limited(path, drops={"flood": "drop_oldest"}, table_share=1.0) as spool:
        flood(spool, 60)
        spool.tick()
        flood(spool, 60)
        spool.tick()
        letters = spool.reader.rows("SELECT kind, station, reason FROM dead_letters")
        assert len(letters) == 1
        kind, station, reason = letters[0]
        assert (kind, station) == ("dropped", "flood")
        assert "records of flood were dropped: the spool is full" in reason


def test_dead_letters_of_a_station_that_drops_its_newest_go_while_the_spool_is_full(path):
    with limited(path, drops={"flood": "drop_newest"}, table_share=1.0) as spool:
        flood(spool, 100)
        letter = DeadLetter(Fault("undecodable", "?"), "t", RECORD * 50, 1, "flood", FLOOD)
        spool.append(Group(dead_letters=[letter]))
        assert counted(spool, "", "dead") == 0
        assert counted(spool, "", "dead_dropped") == 1
        with pytest.raises(SpoolFullError):
            spool.append(Group(dead_letters=[replace(letter, station="calm")]))


def test_the_limits_of_dead_letters_are_those_of_the_configuration(path):
    with limited(path, dead_max_count=3, dead_max_bytes=100) as spool:
        for number in range(5):
            letter = DeadLetter(Fault("undecodable", str(number)), "t", b"p" * 30, 1)
            spool.append(Group(dead_letters=[letter]))
        reasons = spool.reader.rows("SELECT reason FROM dead_letters ORDER BY id")
        assert reasons == [("2",), ("3",), ("4",)]
        spool.append(Group(dead_letters=[DeadLetter(Fault("undecodable", "5"), "t", b"p" * 90, 1)]))
        assert counted(spool, "", "dead") == 1
        assert counted(spool, "", "dead_dropped") == 5


def test_a_wal_that_a_reader_holds_stops_nothing_while_the_disk_has_room(path):
    with (
        opened(path, max_bytes=40 << 20) as spool,
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM batches").fetchone()
        while spool.room.wal_bytes() < 3 * WAL_MAX_BYTES:
            spool.append(group(spool, "calm", CALM))
            spool.acknowledge(ids(spool, CALM))
            spool.tick()
        assert spool.room.wal_bytes() > 40 << 20
        spool.append(group(spool, "calm", CALM))
        assert spool.room.used_bytes()[0] == spool._writer.page_bytes()[0] + WAL_MAX_BYTES


# -- ages ------------------------------------------------------------------------------------

HOUR_US = 3_600_000_000
NOW_US = RELEASED_US + 1_000 * HOUR_US


class Clock:
    """A clock that a test sets, beside one that only passes."""

    def __init__(self):
        self.now_us, self.steady_us = NOW_US, 0

    def pass_by(self, hours):
        self.now_us += hours * HOUR_US
        self.steady_us += hours * HOUR_US

    def wall(self):
        return self.now_us * 1000

    def steady(self):
        return self.steady_us * 1000


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def aged(path, clock):
    ages = {"flood": Age(3_600.0), "calm": Age(3_600.0, bury=False)}
    with opened(path, ages=ages) as spool:
        yield spool, ages_of(spool, clock)


def ages_of(spool, clock):
    parts = (spool.limits, spool.reader, spool.taken, spool.transaction)
    return Ages(*parts, clock.wall, clock.steady)


def test_what_is_too_old_becomes_dead_letters_with_its_number_and_bytes(aged, clock):
    spool, _ = aged
    spool.append(group(spool, "flood", FLOOD, 2, NOW_US - 2 * HOUR_US))
    spool.append(group(spool, "flood", FLOOD, 1, NOW_US - HOUR_US // 2))
    seq = spool.read(FLOOD, 0)[0].seqs[0]
    ages_of(spool, clock).expire()
    assert ids(spool, FLOOD) == [2]
    letters = spool.reader.rows(
        "SELECT d.kind, d.seq, d.fingerprint, p.body FROM dead_letters d"
        " JOIN payloads p ON p.id = d.payload_id ORDER BY d.id"
    )
    assert letters == [("expired", seq + n, FINGERPRINT, RECORD) for n in range(2)]
    assert counted(spool, f"table:{FLOOD}", "expired") == 2
    assert counted(spool, "station:flood", "expired:age") == 2
    assert counted(spool, "station:flood", "buried:expired") == 2
    check_balance(spool)


def test_a_station_may_let_them_go_without_dead_letters(aged, clock):
    spool, _ = aged
    spool.append(group(spool, "calm", CALM, 2, NOW_US - 2 * HOUR_US))
    ages_of(spool, clock).expire()
    assert ids(spool, CALM) == []
    assert counted(spool, "", "dead") == 0
    assert counted(spool, "station:calm", "buried:expired") == 0
    assert counted(spool, f"table:{CALM}", "expired") == 2
    check_balance(spool)


def test_other_stations_of_the_table_keep_theirs_and_what_is_in_flight_stays(aged, clock):
    spool, _ = aged
    for station in ("ageless", "flood", "ageless", "flood", "flood"):
        spool.append(group(spool, station, FLOOD, 1, NOW_US - 2 * HOUR_US))
    assert spool.take([2])
    ages = ages_of(spool, clock)
    ages.expire()
    assert ids(spool, FLOOD) == [1, 2, 3]
    spool.release([2])
    ages.expire()
    assert ids(spool, FLOOD) == [1, 3]


def test_what_is_in_flight_at_the_front_does_not_keep_the_look_busy(aged, clock):
    spool, _ = aged
    for _ in range(70):
        spool.append(group(spool, "calm", CALM, 1, NOW_US - 2 * HOUR_US))
    ages = ages_of(spool, clock)
    front = ids(spool, CALM)
    assert spool.take(front)
    looks = []
    walk, spool.reader.walk = spool.reader.walk, lambda *to: looks.append(to) or walk(*to)
    ages.expire()
    assert len(looks) == 1
    spool.release(front)
    ages.expire()
    assert counted(spool, f"table:{CALM}", "expired") == 70


@pytest.mark.parametrize("now_us", [0, RELEASED_US - 1])
def test_nothing_expires_by_a_clock_that_is_wrong(aged, clock, now_us):
    spool, ages = aged
    clock.now_us = now_us
    ages.expire()
    spool.append(group(spool, "flood", FLOOD, 1, 1))
    ages.expire()
    assert ids(spool, FLOOD) == [1]


@pytest.mark.parametrize("received_us", [1, RELEASED_US - 1, NOW_US + HOUR_US])
def test_a_batch_with_an_arrival_that_can_not_be_never_expires(aged, received_us):
    spool, ages = aged
    spool.append(group(spool, "flood", FLOOD, 1, received_us))
    ages.expire()
    assert ids(spool, FLOOD) == [1]


@pytest.mark.parametrize("hours", [5, 5_000])
def test_a_clock_that_is_set_forward_makes_nothing_old(aged, clock, hours):
    spool, ages = aged
    spool.append(group(spool, "flood", FLOOD, 1, NOW_US))
    clock.now_us = NOW_US + hours * HOUR_US
    ages.expire()
    assert ids(spool, FLOOD) == [1]
    assert len(spool.reader.clock_steps()) == 1
    # What comes after is stamped right, and both get old as the time passes, also in a later run.
    spool.append(group(spool, "flood", FLOOD, 1, clock.now_us))
    later = ages_of(spool, clock)
    later.expire()
    assert ids(spool, FLOOD) == [1, 2]
    clock.pass_by(2)
    later.expire()
    assert ids(spool, FLOOD) == []


def test_a_clock_that_is_set_back_keeps_nothing_for_ever(aged, clock):
    spool, ages = aged
    clock.now_us = NOW_US + 5_000 * HOUR_US
    ages.expire()
    spool.append(group(spool, "flood", FLOOD, 1, clock.now_us))
    clock.pass_by(2)
    clock.now_us -= 5_000 * HOUR_US
    ages.expire()
    assert ids(spool, FLOOD) == []


@pytest.mark.parametrize("hours", [-720, 720])
@pytest.mark.parametrize("run_hours", [0, 2])
def test_what_is_stored_right_after_the_clock_was_set_is_not_made_old(
    aged, clock, hours, run_hours
):
    spool, ages = aged
    clock.pass_by(run_hours)
    clock.now_us += hours * HOUR_US
    if run_hours:
        ages.notice_a_step()  # As each commit does before it stores what was stamped.
    spool.append(group(spool, "flood", FLOOD, 1, clock.now_us))
    ages.expire()
    assert ids(spool, FLOOD) == [1]


def test_every_drop_is_told_in_a_dead_letter_also_over_a_stop(path):
    told = []
    for _ in range(2):
        with limited(path, drops={"flood": "drop_newest"}, table_share=1.0) as spool:
            flood(spool, 50)
            spool.tick()
            flood(spool, 50)
    with opened(path) as spool:
        rows = spool.reader.rows("SELECT reason FROM dead_letters WHERE kind = 'dropped'")
        told = sum(int(reason.split()[0].replace(",", "")) for (reason,) in rows)
        assert told == counted(spool, f"table:{FLOOD}", "dropped") > 0
        assert spool.reader.counters()["station:flood", "told:full"] == told


def test_all_tables_together_have_no_more_in_flight_than_the_limit_and_a_call_each(line_folder):
    names = [f"s{number}" for number in range(10)]
    text = (ROOT / "tables" / "station_two" / "schema.proto").read_text()
    stations = {one: {"topic": f"sensors/{one}/+", "table": f"main.iot.{one}"} for one in names}
    line = Line(
        line_folder,
        stations=stations,
        tables=dict.fromkeys(names, text),
        zerobus={"in_flight_max_bytes": "1MiB", "ack_timeout": "3s"},
        # Small batches, so that a call is no more than a quarter of the window.
        spool={"commit_max_bytes": "64KiB"},
    )
    with line:
        line.zerobus.faults({"faults": [{"fault": "silence"}]})
        count = 600
        line.publisher().publish(
            [reading(n, names[n % 10], description="x" * 8_000) for n in range(count)]
        )

        def in_flight():
            return [one.get("in_flight_bytes", 0) for one in line.status()["tables"].values()]

        wait_for(lambda: len(in_flight()) == 10 and all(in_flight()), "a call of each table")
        wait_for(lambda: sum(in_flight()) > 2**20 - 128 * 1024, "the limit to be reached")
        # A window begins with 256 KiB: without the limit it were 2.5 MiB.
        assert sum(in_flight()) <= 2**20 + 10 * 64 * 1024
        line.zerobus.faults(None)
        line.wait_delivered(range(count))
        line.wait_drained()
        line.check_balances()
