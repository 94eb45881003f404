"""The whole line on real parts: mosquitto, the daemon, the real SDK, the local Zerobus.

What is published (and PUBACKed to the publisher) is compared with what the local Zerobus has
acknowledged, id by id; the log that it keeps is in the order of acknowledgment.
"""

import signal
import threading
from collections import Counter

import pytest
from support.certificates import make_certificates
from support.line import STATIONS, Line, reading
from support.waiting import wait_for

RATE = 5_000
RECEIVE_MAXIMUM = 500
WINDOW_BYTES = 256 * 1024
DEVICE = "d{}-" + "x" * 180
"""A long name, so that the window in bytes is a small number of records."""
WINDOW_RECORDS = WINDOW_BYTES // 180
TABLES = ("main.iot.station_one", "main.iot.station_two")
SMALL_WINDOWS = {
    "mqtt": {"receive_maximum": RECEIVE_MAXIMUM},
    "zerobus": {"window_max_bytes": str(WINDOW_BYTES)},
}


def assert_in_order(rows):
    """What is sent twice apart, a table has its records in the order of publishing."""
    seen = dict.fromkeys(row["humidity"] for row in rows)
    assert list(seen) == sorted(seen)


def duplicates_of(ids):
    return sum(count - 1 for count in Counter(ids).values())


def survive(line, total, *, each_table_gets_all=False):
    """Publish under load through an outage of the cloud, a restart of the broker and kill -9."""
    publisher = line.publisher()
    messages = [
        reading(n, "station_one" if n % 2 else "station_two", device=DEVICE.format(n % 7))
        for n in range(total)
    ]
    load = threading.Thread(
        target=publisher.publish, args=(messages,), kwargs={"rate": RATE}, daemon=True
    )
    load.start()

    def published(share):
        wait_for(
            lambda: len(publisher.acknowledged) >= share * total, f"{share} to be published", 120
        )

    published(0.2)
    line.zerobus.faults({"faults": [{"fault": "refuse_connections", "for_seconds": 2}]})
    published(0.5)
    line.broker.restart(signal.SIGTERM)
    published(0.7)
    line.daemon.kill()
    line.start_daemon()
    load.join(120)
    line.wait_delivered(range(total), 120)
    line.wait_drained()
    line.check_balances()
    assert line.dead_letters() == []
    for table in TABLES:
        rows = line.zerobus.rows(table)
        assert_in_order(rows)
        if each_table_gets_all:
            assert {row["humidity"] for row in rows} == set(range(total))
    ids = line.zerobus.ids()
    assert set(ids) == set(range(total))
    return duplicates_of(ids) - len(publisher.again) - each_table_gets_all * total


def bound(crashes, stream_ends, disconnects):
    """The bound of the promise: windows in flight, and what a second of commits had deleted."""
    per_stream_end = len(TABLES) * WINDOW_RECORDS
    per_crash = per_stream_end + RATE + RATE // 10 + RECEIVE_MAXIMUM
    return crashes * per_crash + stream_ends * per_stream_end + disconnects * RECEIVE_MAXIMUM


def test_a_hundred_thousand_messages_survive_outages_of_every_part(line_folder):
    with Line(line_folder, **SMALL_WINDOWS) as line:
        duplicates = survive(line, 100_000)
        assert duplicates <= bound(crashes=1, stream_ends=2, disconnects=2) < 20_000


@pytest.mark.parametrize("way", ["TLS", "websockets", "MQTT 3.1.1", "overlapping filters"])
def test_the_same_is_true_by_another_way(line_folder, certificates, way):
    options = {**SMALL_WINDOWS, "broker": {"certificates": certificates}}
    if way == "MQTT 3.1.1":
        options["mqtt"] = {"protocol": "3.1.1"}
    if way == "overlapping filters":
        options["stations"] = {
            name: {**station, "topic": ["sensors/#", "sensors/+/{device}"]}
            for name, station in STATIONS.items()
        }
    line = Line(line_folder, **options)
    if way == "TLS":
        line.use_tls(certificates["ca"])
    if way == "websockets":
        line.use_websockets()
    with line:
        overlapping = way == "overlapping filters"
        duplicates = survive(line, 20_000, each_table_gets_all=overlapping)
        assert duplicates <= (1 + overlapping) * bound(crashes=1, stream_ends=2, disconnects=2)
        wanted = "3.1.1" if way == "MQTT 3.1.1" else "5"
        assert line.status()["broker"]["protocol"] == wanted


def test_a_filter_added_before_the_broker_was_killed_is_subscribed_again(line_folder):
    with Line(line_folder, stations={"station_one": STATIONS["station_one"]}) as line:
        line.daemon.stop()
        line.stations |= {"station_two": STATIONS["station_two"]}
        line.write_config()
        line.start_daemon()
        line.broker.restart(signal.SIGKILL)
        wait_for(
            lambda: line.status()["broker"]["connects"] == 2 and line.is_connected(),
            "the daemon to come back",
        )
        line.publisher().publish([reading(1, "station_one"), reading(2, "station_two")])
        line.wait_delivered([1, 2])


def test_a_message_queued_before_an_edit_reaches_its_station_after_it(line_folder):
    before = {
        "station_one": {**STATIONS["station_one"], "topic": "sensors/+/+"},
    }
    with Line(line_folder, stations=before) as line:
        line.daemon.stop()
        line.publisher().publish([reading(n) for n in range(50)])
        line.stations = {
            "another": {**STATIONS["station_two"], "topic": "other/#", "schema": "station_two"},
            "station_one": {
                **STATIONS["station_one"],
                "topic": ["sensors/station_one/#", "sensors/+/+"],
            },
        }
        line.write_config()
        line.start_daemon()
        line.wait_delivered(range(50))
        line.publisher().publish([reading(n) for n in range(50, 60)])
        line.wait_delivered(range(60))
        line.wait_drained()
        assert duplicates_of(line.zerobus.ids()) == 0


def test_overlapping_filters_give_each_record_once(line_folder):
    stations = {
        "station_one": {
            **STATIONS["station_one"],
            "topic": ["sensors/station_one/+", "sensors/#", "+/station_one/d1"],
        },
        "station_two": {**STATIONS["station_two"], "topic": "sensors/station_one/{device}"},
    }
    with Line(line_folder, stations=stations) as line:
        line.publisher().publish([reading(n, description="x") for n in range(700)])
        line.wait_delivered(range(700))
        line.wait_drained()
        for table in ("main.iot.station_one", "main.iot.station_two"):
            assert sorted(line.zerobus.ids(table)) == list(range(700))


def test_a_broker_certificate_for_another_name_is_refused_with_a_clear_error(
    line_folder, tmp_path_factory
):
    stranger = make_certificates(tmp_path_factory.mktemp("stranger"), "DNS:another.example")
    with Line(line_folder, broker={"certificates": stranger}) as line:
        line.daemon.stop()
        line.use_tls(stranger["ca"])
        line.daemon.start()
        error = wait_for(lambda: line.status().get("broker", {}).get("last_error"), "an error", 60)
        assert "certificate" in error
        assert "localhost" in error


def test_everything_starts_and_spools_with_no_cloud_and_drains_when_it_comes(line_folder):
    with Line(line_folder) as line:
        line.zerobus.stop()
        line.daemon.kill()
        line.start_daemon()
        line.publisher().publish([reading(n) for n in range(5_000)])
        wait_for(lambda: line.spooled() == 5_000, "all to be spooled")
        line.zerobus.start()
        line.wait_delivered(range(5_000), 90)
        line.wait_drained()
        line.check_balances()


def test_sixty_tables_drain_through_a_limit_of_20_streams_to_a_connection(line_folder):
    stations = {
        f"s{n}": {"topic": f"sensors/s{n}/+", "table": f"main.iot.t{n}", "schema": "station_one"}
        for n in range(60)
    }
    with Line(line_folder, stations=stations, emulator=("--streams-per-connection", "20")) as line:
        publisher = line.publisher()
        for start in range(0, 6_000, 600):
            publisher.publish([reading(n, f"s{n % 60}") for n in range(start, start + 600)])
        line.wait_delivered(range(6_000), 150)
        line.wait_drained()
        line.check_balances()


@pytest.mark.parametrize(
    "megabytes", [1, pytest.param(5, marks=pytest.mark.long)], ids=["1 MB", "5 MB"]
)
def test_a_slow_link_drains_a_backlog_with_little_sent_twice(line_folder, megabytes):
    """100 kbit/s: the window must stay small enough for acknowledgments to come."""
    filler = "x" * 480
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        count = megabytes * 2_000
        line.publisher().publish(
            [reading(n, "station_two", description=filler) for n in range(count)]
        )
        wait_for(lambda: line.spooled() == count, "all to be spooled")
        line.zerobus.faults({"faults": [{"fault": "slow_link", "bytes_per_second": 12_500}]})
        line.wait_delivered(range(count), 200 * megabytes)
        assert duplicates_of(line.zerobus.ids()) < count / 10
