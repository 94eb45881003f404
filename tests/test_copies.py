"""Of the copies that overlapping filters bring, each message is taken once."""

from hypothesis import given
from hypothesis import strategies as st

from collector.intake.copies import TRACKED_MAX, Copies
from collector.model import Message

ONE, OTHER, THIRD = (1,), (2,), (3,)


def taken(copies, *messages, expected=2):
    return [message for message in messages if not copies.is_repeat(message, expected)]


def copy(identifiers, payload=b"x", topic=b"a/b"):
    return Message(topic, payload, identifiers=identifiers)


def test_a_copy_by_another_filter_is_a_repeat():
    assert taken(Copies(), copy(ONE), copy(OTHER)) == [copy(ONE)]


def test_equal_messages_are_each_taken():
    stream = [copy(ONE), copy(OTHER), copy(ONE), copy(OTHER), copy(ONE), copy(OTHER)]
    assert len(taken(Copies(), *stream)) == 3
    assert len(taken(Copies(), *sorted(stream, key=lambda m: m.identifiers))) == 3


def test_another_payload_or_topic_is_another_message():
    stream = [copy(ONE), copy(OTHER, b"y"), copy(OTHER, topic=b"a/c")]
    assert taken(Copies(), *stream) == stream


def test_messages_of_which_one_copy_came_are_taken_and_those_behind_them_once():
    lonely = [copy(OTHER)] * 3
    whole = [copy(ONE), copy(OTHER)] * 2
    assert len(taken(Copies(), *lonely, *whole)) == 5


def test_a_new_connection_starts_over():
    copies = Copies()
    assert taken(copies, copy(ONE)) == [copy(ONE)]
    copies.forget()
    assert taken(copies, copy(OTHER)) == [copy(OTHER)]


def test_what_is_complete_is_forgotten_and_what_is_not_is_bounded():
    copies = Copies()
    for number in range(TRACKED_MAX + 100):
        taken(copies, copy(ONE, b"%d" % number), copy(OTHER, b"%d" % number))
    assert not copies._counts
    for number in range(TRACKED_MAX + 100):
        taken(copies, copy(ONE, b"%d" % number))
    assert len(copies._counts) == TRACKED_MAX


@given(st.lists(st.sampled_from([b"x", b"y"]), max_size=12), st.integers(0, 12), st.data())
def test_no_message_is_lost_or_taken_twice(payloads, lonely, data):
    """The first `lonely` messages come by one filter alone, the others by all three; a filter
    brings its copies in order, and the filters are interleaved at will."""
    by_filter = {
        identifiers: [
            copy(identifiers, payload)
            for number, payload in enumerate(payloads)
            if number >= lonely or identifiers == THIRD
        ]
        for identifiers in (ONE, OTHER, THIRD)
    }
    stream = []
    while any(by_filter.values()):
        waiting = [identifiers for identifiers, left in by_filter.items() if left]
        stream.append(by_filter[data.draw(st.sampled_from(waiting))].pop(0))
    found = taken(Copies(), *stream, expected=3)
    assert sorted(message.payload for message in found) == sorted(payloads)
