"""Retained copies: what the broker kept from before the subscription."""

from support.columns import schema_text
from support.line import Line
from support.publisher import Publisher
from support.waiting import wait_for

COLUMNS = "n INT, retained BOOLEAN"
STATIONS = {
    name: {
        "topic": topic,
        "table": f"main.iot.{name}",
        "retained": retained,
        "columns": {"n": "/n", "retained": "$retained"},
    }
    for name, topic, retained in (
        ("kept", "state/+", "keep"),
        ("fresh", "state/+", "drop"),
        ("alone", "alone/+", "drop"),
    )
}


def test_a_station_that_drops_retained_copies_gets_only_what_comes_live(tmp_path):
    tables = {name: schema_text(COLUMNS) for name in STATIONS}
    line = Line(tmp_path, stations=STATIONS, tables=tables)
    line.broker.start()
    early = Publisher(line.broker.port, retain=True)
    early.publish([(1, "state/a", b'{"n": 1}'), (2, "alone/a", b'{"n": 2}')])
    early.close()
    with line:
        wait_for(lambda: line.counters().get(("", "received")) == 2, "the retained copies")
        line.publisher().publish([(3, "state/a", b'{"n": 3}'), (4, "alone/a", b'{"n": 4}')])
        wait_for(lambda: len(line.zerobus.rows()) == 4, "the rows")
        rows = {name: line.zerobus.rows(f"main.iot.{name}") for name in STATIONS}
        assert rows == {
            "kept": [{"n": 1, "retained": True}, {"n": 3, "retained": False}],
            "fresh": [{"n": 3, "retained": False}],
            "alone": [{"n": 4, "retained": False}],
        }
        assert line.counters()["", "ignored:retained"] == 1
        line.check_balances()
