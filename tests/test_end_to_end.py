"""The whole line on real parts: mosquitto, the daemon, the real SDK, the local Zerobus.

What is published (and PUBACKed to the publisher) is compared with what the local Zerobus has
acknowledged, id by id; the log that it keeps is in the order of acknowledgment.
"""

import itertools
import signal
from collections import Counter

from support.certificates import make_certificates
from support.line import STATIONS, Line, reading
from support.waiting import wait_for

RECEIVE_MAXIMUM = 5_000


def assert_in_order(rows, duplicates):
    """Per device, ids grow; what a resend repeats may step back and then goes on."""
    by_device = {}
    steps_back = 0
    seen = set()
    for row in rows:
        number = row["humidity"]
        if number in seen:
            continue
        seen.add(number)
        if number < by_device.get(row["device_name"], -1):
            steps_back += 1
        by_device[row["device_name"]] = number
    assert steps_back == 0, f"{steps_back} of {len(rows)} out of order, {duplicates} duplicates"


def duplicates_of(ids):
    return sum(count - 1 for count in Counter(ids).values())


def test_a_hundred_thousand_messages_survive_outages_of_every_part(line_folder):
    total = 100_000
    messages = [reading(n, "station_one" if n % 2 else "station_two") for n in range(total)]
    parts = list(itertools.batched(messages, total // 5)) if hasattr(itertools, "batched") else [
        messages[at : at + total // 5] for at in range(0, total, total // 5)
    ]  # fmt: skip
    with Line(line_folder) as line:
        publisher = line.publisher()
        publisher.publish(parts[0])
        line.zerobus.faults({"faults": [{"fault": "refuse_connections", "for_seconds": 3}]})
        publisher.publish(parts[1])
        line.broker.restart(signal.SIGTERM)
        publisher.publish(parts[2])
        line.daemon.kill()
        publisher.publish(parts[3])
        line.start_daemon()
        publisher.publish(parts[4])
        line.wait_delivered(range(total), 120)
        line.wait_drained()
        line.check_balances()
        ids = line.zerobus.ids()
        assert set(ids) == set(range(total))
        duplicates = duplicates_of(ids)
        # One crash, one broken broker connection, streams that ended: each its window.
        in_window = 8 * 1024 * 1024 // 20
        assert duplicates <= len(publisher.again) + 2 * RECEIVE_MAXIMUM + 2 * in_window
        if not publisher.again:
            for table in ("main.iot.station_one", "main.iot.station_two"):
                assert_in_order(line.zerobus.rows(table), duplicates)


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


def test_mqtt_3_1_1_with_a_window_of_20_delivers_everything(line_folder):
    with Line(line_folder, mqtt={"protocol": "3.1.1"}) as line:
        line.publisher().publish([reading(n) for n in range(10_000)])
        line.wait_delivered(range(10_000))
        assert line.status()["broker"]["protocol"] == "3.1.1"
        line.wait_drained()
        line.check_balances()


def test_websockets_deliver_everything(line_folder):
    line = Line(line_folder)
    line.use_websockets()
    with line:
        line.publisher().publish([reading(n) for n in range(10_000)])
        line.wait_delivered(range(10_000))
        line.wait_drained()
        line.check_balances()


def test_tls_with_an_own_ca_delivers_everything(line_folder, certificates):
    line = Line(line_folder, broker={"certificates": certificates})
    line.use_tls(certificates["ca"])
    with line:
        line.publisher().publish([reading(n) for n in range(10_000)])
        line.wait_delivered(range(10_000))
        line.wait_drained()
        line.check_balances()


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


def test_a_slow_link_drains_a_backlog_with_little_sent_twice(line_folder):
    """100 kbit/s and 1 MB: the window must stay small enough for acknowledgments to come."""
    filler = "x" * 480
    with Line(line_folder) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        count = 2_000
        line.publisher().publish(
            [reading(n, "station_two", description=filler) for n in range(count)]
        )
        wait_for(lambda: line.spooled() == count, "all to be spooled")
        line.zerobus.faults({"faults": [{"fault": "slow_link", "bytes_per_second": 12_500}]})
        line.wait_delivered(range(count), 240)
        assert duplicates_of(line.zerobus.ids()) < count / 10
