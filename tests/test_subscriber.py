"""The connection to the broker, against a broker that answers as it is told to.

What is asked of the broker is read from the packets that it got; what the operator sees stands in
the state. Real brokers are met in `test_brokers.py`.
"""

import threading
import time

import pytest
from support.parts import make_plan
from support.scripted_broker import (
    ACCEPTED_3,
    ACCEPTED_5,
    ACCEPTED_5_PRESENT,
    DISCONNECT,
    PINGREQ,
    ScriptedBroker,
)
from support.waiting import wait_for

from collector.backoff import Backoff
from collector.subscriber import Subscriber, Subscription, Subscriptions

FILTERS = (Subscription("a/+", 7), Subscription("b/#", 300))
UNKNOWN_5 = b"\x20\x03\x00\x84\x00"
UNKNOWN_3 = b"\x20\x02\x00\x01"
SHORT, USUAL = (0.05, 30.0), (1.0, 30.0)
TAKEN_OVER = b"\xe0\x02\x8e\x00"


@pytest.fixture
def connect(tmp_path):
    """Return a function that makes a subscriber of a broker."""
    made = []

    def make(broker, without=("a/+", "b/#"), stale=(), backoff=SHORT, **mqtt):
        options = make_plan(
            tmp_path, mqtt={"url": f"mqtt://127.0.0.1:{broker.port}", **mqtt}
        ).config.mqtt
        made.append(Subscriber(options, Subscriptions(options.qos, FILTERS, without, stale)))
        made[-1]._backoff = Backoff(*backoff)
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.disconnect()


def run(subscriber, condition, what, seconds=15.0):
    """Receive until the condition holds; returns what arrived."""
    messages, deadline = [], time.monotonic() + seconds
    while not condition():
        messages += subscriber.receive(0.02)
        assert time.monotonic() < deadline, f"waited in vain for {what}: {subscriber.state}"
    return messages


def connected(subscriber, broker, connections=1):
    run(
        subscriber,
        lambda: (
            subscriber.state.connected
            and len(broker.connections) == connections
            and len(broker.last.asked) >= len(FILTERS)
        ),
        "the connection",
    )


# -- protocols -------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [UNKNOWN_5, UNKNOWN_3], ids=["0x84", "return code 1"])
def test_a_broker_that_does_not_know_mqtt_5_is_asked_by_3_1_1(connect, answer, caplog):
    with ScriptedBroker(answer, ACCEPTED_3) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker, connections=2)
        assert [one.level for one in broker.connections] == [5, 4]
        assert subscriber.state.protocol == "3.1.1"
        assert "does not know MQTT 5" in caplog.text
        broker.last.close()
        connected(subscriber, broker, connections=3)
        assert broker.last.level == 4


def test_a_will_is_left_out_only_when_the_broker_takes_a_connection_without(connect):
    """A login that is refused either way says nothing of the status topic."""
    with ScriptedBroker(*[b"\x20\x03\x00\x87\x00"] * 3, ACCEPTED_5) as broker:
        subscriber = connect(broker, status_topic="collector/status")
        connected(subscriber, broker, connections=4)
        assert [one.has_will for one in broker.connections] == [True, False, True, False]
        run(subscriber, lambda: subscriber.announcing.problem, "the broker to be believed")
        assert "Not authorized" in subscriber.announcing.problem
        subscriber.change(subscriber.subscriptions)
        assert not subscriber.announcing.problem
        connected(subscriber, broker, connections=5)
        assert broker.last.has_will


def test_a_broker_that_hangs_up_on_a_will_is_asked_without(connect):
    with ScriptedBroker(b"", b"", ACCEPTED_5) as broker:
        subscriber = connect(broker, status_topic="collector/status")
        connected(subscriber, broker, connections=3)
        assert [one.has_will for one in broker.connections] == [True, True, False]


@pytest.mark.parametrize("answer", [UNKNOWN_5, UNKNOWN_3], ids=["0x84", "return code 1"])
def test_with_protocol_5_such_a_broker_is_a_clear_error(connect, answer):
    with ScriptedBroker(answer) as broker:
        subscriber = connect(broker, protocol="5")
        run(subscriber, lambda: len(broker.connects) == 2, "another try")
        assert "set mqtt.protocol to auto" in subscriber.state.last_error
        assert {one.level for one in broker.connections} == {5}
        assert not subscriber.state.connected


@pytest.mark.parametrize(
    ("protocol", "answer", "words"),
    [
        ("5", b"\x20\x03\x00\x86\x00", "mqtt.username"),
        ("5", b"\x20\x03\x00\x87\x00", "access list"),
        ("5", b"\x20\x03\x00\x85\x00", "mqtt.client_id"),
        ("5", b"\x20\x03\x00\x88\x00", "Server unavailable"),
        ("3.1.1", b"\x20\x02\x00\x04", "mqtt.username"),
        ("3.1.1", b"\x20\x02\x00\x05", "access list"),
    ],
)
def test_a_refused_connection_says_why_and_what_to_do(connect, protocol, answer, words):
    with ScriptedBroker(answer, ACCEPTED_5 if protocol == "5" else ACCEPTED_3) as broker:
        subscriber = connect(broker, protocol=protocol)
        run(subscriber, lambda: subscriber.state.last_error, "the error")
        assert words in subscriber.state.last_error
        connected(subscriber, broker, connections=2)
        assert subscriber.state.last_error == ""


# -- filters ---------------------------------------------------------------------------------


def test_each_filter_is_asked_for_with_its_identifier_and_no_retained_copy_again(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        connected(connect(broker), broker)
        asked = [(one.filter, one.identifier) for one in broker.last.asked]
        assert asked == [("a/+", 7), ("b/#", 300)]
        assert {one.options & 0x03 for one in broker.last.asked} == {1}
        assert {one.options >> 4 & 0x03 for one in broker.last.asked} == {1}


@pytest.mark.parametrize(
    ("protocol", "answer"), [("5", b"\x20\x05\x00\x00\x02\x29\x00"), ("3.1.1", ACCEPTED_3)]
)
def test_without_identifiers_covered_filters_are_not_asked_for(connect, protocol, answer):
    with ScriptedBroker(answer) as broker:
        subscriber = connect(broker, without=("b/#", "c"), protocol=protocol)
        connected(subscriber, broker)
        asked = [(one.filter, one.identifier) for one in broker.last.asked]
        assert asked == [("b/#", 0), ("c", 0)]


def test_all_filters_are_asked_for_on_every_connect_though_the_session_is_there(connect):
    with ScriptedBroker(ACCEPTED_5_PRESENT) as broker:
        subscriber = connect(broker)
        for number in (1, 2, 3):
            connected(subscriber, broker, connections=number)
            assert [one.filter for one in broker.last.asked] == ["a/+", "b/#"]
            broker.last.close()
        assert subscriber.state.connects == 3
        assert subscriber.state.sessions_lost == 0


def test_filters_of_an_earlier_configuration_are_given_up(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker, stale=("old/#", "older"))
        answers_ = subscriber.subscriptions
        run(subscriber, lambda: len(answers_.gone) == 2, "the answer")
        assert broker.last.dropped == ["old/#", "older"]
        assert sorted(answers_.gone) == ["old/#", "older"]
        broker.last.close()
        connected(subscriber, broker, connections=2)
        assert broker.last.dropped == []


def test_a_refused_filter_is_shown_and_asked_for_again_until_it_is_granted(connect, caplog):
    with ScriptedBroker(ACCEPTED_5) as broker:
        broker.refused = {"b/#"}
        subscriber = connect(broker)
        answers_ = subscriber.subscriptions
        run(subscriber, lambda: answers_.refused, "the refusal")
        assert answers_.refused == {"b/#": "Not authorized"}
        assert answers_.granted == ["a/+"]
        assert "refused the filter b/#" in caplog.text
        broker.refused = set()
        answers_.retry_refused(subscriber._client, time.monotonic() + 61)
        run(subscriber, lambda: not answers_.refused, "the grant")
        assert [one.filter for one in broker.last.asked] == ["a/+", "b/#", "b/#"]
        assert broker.last.asked[-1].identifier == 300
        assert "b/#" in answers_.granted


# -- the connection --------------------------------------------------------------------------


def test_a_session_that_the_broker_forgot_is_counted(connect, caplog):
    with ScriptedBroker(ACCEPTED_5, ACCEPTED_5_PRESENT, ACCEPTED_5) as broker:
        subscriber = connect(broker)
        for number, lost in ((1, 0), (2, 0), (3, 1)):
            connected(subscriber, broker, connections=number)
            assert subscriber.state.sessions_lost == lost
            broker.last.close()
        assert "forgot the session" in caplog.text


def test_being_taken_over_is_an_error_of_its_own_with_a_slow_return(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker, backoff=USUAL)
        connected(subscriber, broker)
        broker.last.send(TAKEN_OVER)
        run(subscriber, lambda: not subscriber.state.connected, "the end")
        assert "mqtt.client_id" in subscriber.state.last_error
        assert subscriber._backoff.remaining() > 20


def test_pubacks_go_out_on_the_connection_of_their_messages_only(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker)
        broker.last.publish(b"a/1", b"x", 11)
        broker.last.publish(b"a/1", b"y", 12)
        messages = run(subscriber, lambda: subscriber._client.bytes_read > 30, "two messages")
        assert [(m.payload, m.packet_id) for m in messages] == [(b"x", 11), (b"y", 12)]
        epoch = subscriber.epoch
        subscriber.acknowledge([12], epoch)
        run(subscriber, lambda: broker.last.acknowledged == [12], "the PUBACK")
        broker.last.close()
        connected(subscriber, broker, connections=2)
        subscriber.acknowledge([11], epoch)
        subscriber.acknowledge([21], subscriber.epoch)
        run(subscriber, lambda: broker.last.acknowledged, "a PUBACK")
        assert broker.last.acknowledged == [21]


def test_half_a_packet_of_a_lost_connection_does_not_meet_the_next(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker)
        broker.last.send(b"\x32\x40\x00\x03a/1half of it")
        run(subscriber, lambda: subscriber._client._buffered, "the half packet")
        broker.last.close()
        connected(subscriber, broker, connections=2)
        broker.last.publish(b"a/1", b"whole", 1)
        seen = []
        run(subscriber, lambda: seen.extend(subscriber.receive(0.05)) or seen, "the message")
        assert [message.payload for message in seen] == [b"whole"]


def test_an_idle_connection_is_kept_alive(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker, keepalive="1s")
        connected(subscriber, broker)
        run(subscriber, lambda: len(broker.last.of(PINGREQ)) >= 2, "two pings")
        assert len(broker.connections) == 1


def test_a_wait_ends_when_it_is_woken(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker)
        began = time.monotonic()
        threading.Timer(0.1, subscriber.wake).start()
        while time.monotonic() - began < 0.1:
            subscriber.receive(20)
        assert time.monotonic() - began < 10


def test_a_goodbye_leaves_the_session_to_the_broker(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker)
        subscriber.disconnect()
        wait_for(lambda: broker.last.of(DISCONNECT), "the goodbye")
        assert not subscriber.state.connected
        assert broker.last.of(DISCONNECT)[0][:1] in (b"", b"\x00")


def test_a_goodbye_amid_messages_reaches_the_broker_with_the_pubacks_before_it(connect):
    with ScriptedBroker(ACCEPTED_5) as broker:
        subscriber = connect(broker)
        connected(subscriber, broker)
        broker.last.publish(b"a/1", b"x", 1)
        run(subscriber, lambda: subscriber._client.bytes_read > 20, "a message")
        broker.may_read.clear()
        subscriber.acknowledge([9], subscriber.epoch)  # What its reader waits for at this moment.
        wait_for(lambda: broker.last.acknowledged == [9], "the reader to stand still")
        for number in range(2, 200):
            broker.last.publish(b"a/1", bytes(100), number)

        def write_and_read():
            broker.last.publish(b"a/1", b"as mosquitto does, which gives up if it can't", 200)
            broker.may_read.set()

        writing = threading.Timer(0.3, write_and_read)
        writing.start()
        subscriber.acknowledge([1], subscriber.epoch)
        subscriber.disconnect()
        wait_for(lambda: broker.last.of(DISCONNECT), "the goodbye")
        assert broker.last.acknowledged == [9, 1]
        writing.join(10)
