"""The heartbeat: rows about the gateway, which go the way of all records."""

import pytest
from support.line import Line
from support.waiting import wait_for

from collector.config import load
from collector.errors import ConfigError

TABLE = "main.iot.heartbeat"


def beating(folder, **more):
    line = Line(folder, **more)
    line.change(heartbeat={"table": TABLE, "interval": "1s"})
    return line


def test_a_gateway_writes_rows_of_itself_and_says_what_waits_in_its_spool(line_folder):
    with beating(line_folder) as line:
        rows = wait_for(lambda: line.zerobus.rows(TABLE)[1:], "two rows")
        assert set(rows[0]) == {
            "gateway", "seq", "time", "version", "health", "backlog", "oldest_age_s",
            "dead_letters", "dropped", "uptime_s",
        }  # fmt: skip
        assert rows[0]["gateway"] == "test"
        line.zerobus.faults({"faults": [{"fault": "silence", "table": "main.iot.station_one"}]})
        line.publisher().publish(
            [(1, "sensors/station_one/d", b'{"humidity": 1}'),
             (2, "sensors/station_one/d", b"broken")]
        )  # fmt: skip
        last = wait_for(
            lambda: [one for one in line.zerobus.rows(TABLE) if one["dead_letters"] == 1
                     and one["backlog"] >= 1 and one["oldest_age_s"] > 0],
            "a row that tells of them",
        )[-1]  # fmt: skip
        assert last["dropped"] == 0
        assert last["uptime_s"] >= 1
        line.check_balances()


def test_heartbeats_begin_and_end_with_a_reload(line_folder):
    with Line(line_folder) as line:
        line.change(heartbeat={"table": TABLE, "interval": "1s"})
        assert line.reload() == ""
        wait_for(lambda: len(line.zerobus.rows(TABLE)) >= 2, "two rows")
        line.change(heartbeat={"table": None, "interval": None})
        assert line.reload() == ""
        line.wait_drained()
        assert "heartbeat" not in line.status()["stations"]


def test_a_box_that_can_not_store_its_heartbeat_goes_on_and_says_so_once(line_folder):
    line = beating(line_folder, spool={"min_free_bytes": "1TiB"})
    with line:
        wait_for(lambda: "no heartbeat until" in line.daemon.tail(), "the log")
        ticks = line.status()["updated_us"] + 5_000_000
        wait_for(lambda: line.status()["updated_us"] > ticks, "more of its seconds")
        assert line.daemon.tail().count("no heartbeat until") == 1
        assert line.daemon.process.poll() is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"table": "iot.heartbeat"}, "heartbeat.table: must be catalog.schema.table"),
        ({"intervall": "1s", "table": TABLE}, "did you mean interval?"),
        ({"interval": "1s"}, "heartbeat.table: is missing"),
        ({"table": TABLE, "schema": "../x"}, "heartbeat.schema: must name a folder under tables/"),
    ],
)
def test_a_heartbeat_that_is_said_wrongly_is_refused(tmp_path, change, said):
    line = Line(tmp_path)
    line.change(heartbeat=change)
    with pytest.raises(ConfigError) as caught:
        load(line.config)
    assert said in str(caught.value)


def test_no_station_may_have_the_name_of_the_heartbeat(tmp_path):
    line = Line(tmp_path)
    line.stations["heartbeat"] = {"topic": "a/#", "table": "main.iot.other"}
    line.change(heartbeat={"table": TABLE})
    with pytest.raises(ConfigError, match="is the name of the station that the heartbeat makes"):
        load(line.config)
