"""A table that is altered under a running daemon, with real mosquitto, emulator and catalog.

Goal: nothing is lost, the hold names the column and the command to run, other tables go on, and
when schema and table fit again everything that can be sent is sent.
"""

import pytest
from support.line import Line, reading
from support.terminal import run_plain
from support.waiting import wait_for

ONE, TWO = "main.iot.station_one", "main.iot.station_two"
COLUMNS = [
    {"name": "device_name", "type": "string"},
    {"name": "temp", "type": "int"},
    {"name": "humidity", "type": "bigint"},
]
DIFF = f"`collector tables diff {ONE}`"


@pytest.fixture
def line(line_folder):
    with Line(line_folder) as one:
        one.own_tables()
        yield one


def site(*, nullable):
    return {"name": "site", "type": "string", "nullable": nullable, "fill": "north"}


def state(line, table=ONE):
    return line.status().get("tables", {}).get(table, {})


def wait_held(line, *texts):
    wait_for(lambda: state(line).get("state") == "held", "the table to be held", 60)
    for text in texts:
        wait_for(lambda text=text: text in state(line)["hint"], f"a hint with {text!r}", 60)


def change_schema(line, line_of_field):
    """Mend the schema, as the hint says, and restart the daemon."""
    line.daemon.stop()
    file = line.folder / "tables" / "station_one" / "schema.proto"
    kept = [one for one in file.read_text().splitlines() if "site" not in one]
    file.write_text("\n".join([*kept[:-1], f"  {line_of_field}", "}", ""]))
    line.start_daemon()


def test_a_not_null_column_that_is_added_holds_its_table_only_and_loses_nothing(line):
    publisher = line.publisher()
    publisher.publish([reading(n) for n in range(50)])
    publisher.publish([reading(n, "station_two") for n in range(1_000, 1_050)])
    line.wait_delivered([*range(50), *range(1_000, 1_050)])
    line.zerobus.define(ONE, [*COLUMNS, site(nullable=False)])

    publisher.publish([reading(n) for n in range(50, 100)])
    publisher.publish([reading(n, "station_two") for n in range(1_050, 1_100)])
    line.wait_delivered(range(1_050, 1_100))
    wait_held(line, "column site is NOT NULL in the table", DIFF)
    assert state(line, TWO)["state"] != "held"
    wait_for(lambda: line.spooled() == 50, "the deletes of what was acknowledged")
    done = run_plain("tables", "diff", ONE, folder=line.folder)
    assert done.returncode == 1
    assert "schema.proto: add required string site = 4;" in done.stdout

    # What was made before has no site: it stays, and keeps nothing behind it from being sent.
    change_schema(line, "required string site = 4;")
    publisher.publish([reading(n, site="south") for n in range(100, 150)])
    line.wait_delivered(range(100, 150))
    wait_for(lambda: "column site is NOT NULL" in state(line).get("stuck", ""), "what is stuck", 60)
    wait_for(lambda: line.spooled() == 50, "the deletes of what was acknowledged")
    assert line.counters().get((f"table:{ONE}", "buried"), 0) == 0

    # The other way out that diff shows: the table no longer demands it.
    line.zerobus.define(ONE, [*COLUMNS, site(nullable=True)])
    change_schema(line, "optional string site = 4;")
    line.wait_delivered(range(150))
    line.wait_drained()
    sites = {row["humidity"]: row.get("site") for row in line.zerobus.rows(ONE)}
    assert [sites[n] for n in (60, 110)] == [None, "south"]
    line.check_balances()


def test_a_column_that_becomes_narrower_is_named_when_every_record_is_refused(line):
    publisher = line.publisher()
    publisher.publish([reading(n) for n in range(10)])
    line.wait_delivered(range(10))
    narrow = [{**one, "type": "tinyint"} if one["name"] == "temp" else one for one in COLUMNS]
    line.zerobus.define(ONE, narrow)
    publisher.publish([reading(n, temp=1_000) for n in range(10, 30)])
    text = "column temp is INT in schema.proto and TINYINT in the table"
    wait_held(line, "every record is refused", text, DIFF)
    publisher.publish([reading(n, "station_two") for n in range(1_000, 1_010)])
    line.wait_delivered(range(1_000, 1_010))
    assert line.dead_letters() == []

    line.zerobus.define(ONE, COLUMNS)
    line.wait_delivered(range(30))
    line.wait_drained()
    line.check_balances()


def test_a_catalog_that_does_not_answer_makes_the_hint_weaker_and_nothing_else(line):
    publisher = line.publisher()
    publisher.publish([reading(n) for n in range(10)])
    line.wait_delivered(range(10))
    # What was opened before goes on; the next token is refused, to the daemon's look as well.
    line.zerobus.define(ONE, [*COLUMNS, site(nullable=False)])
    line.zerobus.faults({"faults": [{"fault": "token_error", "status": 403}]})
    publisher.publish([reading(n) for n in range(10, 20)])
    wait_held(line, "what differs is not known", "403")
    line.zerobus.faults(None)
    line.zerobus.define(ONE, COLUMNS)
    line.wait_delivered(range(20))
    line.check_balances()
