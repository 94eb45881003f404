"""What the second loop decides without doing: the window, calls and their ledger, the search.

Nothing here has a thread or a service; `test_drain.py` has both.
"""

from hypothesis import given
from hypothesis import strategies as st

from collector.drain.gathering import Gathering
from collector.drain.ledger import Ledger, Part, compose
from collector.drain.search import SUSPECTS_MAX, UNLIMITED, Search, Suspects
from collector.drain.window import FIRST_BYTES, Window
from collector.model import Batch

MAX = 8 * 1024 * 1024
OLD, NEW = b"o" * 16, b"n" * 16


def batch(identity, count=10, size=1_000, fingerprint=NEW, suspect=False):
    records = [b"%d.%d" % (identity, at) for at in range(count)]
    return Batch(identity, "t", "s", fingerprint, range(count), 1, records, suspect, size)


# -- the pauses ------------------------------------------------------------------------------


def test_what_comes_after_a_call_is_gathered_for_a_moment():
    gathering, now = Gathering(), 100.0
    assert not gathering.wait(now)
    gathering.sent(0, now)
    assert gathering.wait(now)
    assert not gathering.wait(now + gathering.pause_s)


def test_from_the_commit_that_somebody_waits_for_to_its_acknowledgment_nothing_is_gathered():
    gathering, now = Gathering(), 100.0
    gathering.sent(4, now)
    gathering.hurry()
    assert not gathering.wait(now)
    gathering.sent(5, now)
    gathering.acknowledged(4)
    assert not gathering.wait(now)
    gathering.sent(6, now)
    gathering.acknowledged(5)
    assert gathering.wait(now)
    gathering.hurry()
    assert not gathering.wait(now)
    gathering.sent(7, now)
    gathering.begin()
    assert gathering.wait(now)


# -- the window ------------------------------------------------------------------------------


def test_a_full_window_that_is_acknowledged_fast_doubles_up_to_the_limit():
    window, now = Window(MAX, 60.0), 100.0
    assert window.bytes == FIRST_BYTES
    sizes = []
    for offset in range(8):
        window.filled(offset, now)
        now += 1.0
        window.acknowledged(offset, 1.0, now)
        sizes.append(window.bytes)
    assert sizes[:6] == [FIRST_BYTES * 2**n for n in (1, 2, 3, 4, 5, 5)]
    assert max(sizes) == MAX


def test_a_window_does_not_grow_unless_it_was_full_and_all_of_it_came_in_time():
    window = Window(MAX, 60.0)
    window.acknowledged(0, 0.1, 100.0)
    assert window.bytes == FIRST_BYTES
    window.filled(5, 100.0)
    window.acknowledged(4, 0.1, 100.1)
    assert window.bytes == FIRST_BYTES
    window.acknowledged(5, 6.0, 106.0)
    assert window.bytes == FIRST_BYTES


def test_acknowledgments_that_took_long_halve_the_window_once_for_all_that_was_in_flight():
    window = Window(MAX, 60.0)
    for offset in range(50):
        window.acknowledged(offset, 20.0, 120.0 + offset / 100)
    assert window.bytes == FIRST_BYTES // 2
    window.acknowledged(50, 16.0, 140.0)
    assert window.bytes == FIRST_BYTES // 4


def test_an_ack_timeout_halves_the_window_and_at_the_floor_doubles_the_timeout():
    window, timeouts = Window(MAX, 60.0), []
    for _ in range(8):
        window.timed_out(FIRST_BYTES // 2)
        timeouts.append(window.ack_timeout_s)
    assert timeouts == [60, 120, 240, 480, 600, 600, 600, 600]
    window.acknowledged(0, 1.0, 100.0)
    assert window.ack_timeout_s == 60


def test_an_offset_of_the_stream_before_does_not_make_the_window_grow():
    window = Window(MAX, 60.0)
    window.filled(0, 100.0)
    window.reopened()
    window.acknowledged(0, 0.1, 100.1)
    assert window.bytes == FIRST_BYTES


# -- calls and their ledger ------------------------------------------------------------------


def test_a_call_takes_whole_batches_up_to_its_size():
    call = compose([batch(1), batch(2), batch(3)], UNLIMITED, 2_500)
    assert call.parts == [Part(1, 10, whole=True), Part(2, 10, whole=True)]
    assert len(call.records) == 20


def test_a_first_batch_that_is_over_the_size_goes_out_alone():
    call = compose([batch(1, size=9_000), batch(2)], UNLIMITED, 2_500)
    assert call.parts == [Part(1, 10, whole=True)]


def test_a_call_of_few_records_ends_within_a_batch():
    call = compose([batch(1), batch(2), batch(3)], 15, 1 << 20)
    assert call.parts == [Part(1, 10, whole=True), Part(2, 5, whole=False)]
    assert call.records[-1] == b"2.4"


def test_a_call_has_one_schema():
    call = compose([batch(1), batch(2, fingerprint=OLD), batch(3)], UNLIMITED, 1 << 20)
    assert call.parts == [Part(1, 10, whole=True)]
    assert compose([], UNLIMITED, 1 << 20) is None


def test_composing_leaves_the_batches_as_they_are():
    first = batch(1)
    compose([first, batch(2)], UNLIMITED, 1 << 20)
    assert len(first.records) == 10


@given(st.lists(st.integers(1, 900), max_size=20), st.lists(st.integers(-1, 25), max_size=10))
def test_a_ledger_gives_every_call_once_in_order_and_knows_what_is_in_flight(sizes, acks):
    ledger = Ledger()
    for offset, size in enumerate(sizes):
        ledger.sent(offset, compose([batch(offset + 1, size=size)], UNLIMITED, 1))
    done, highest = [], -1
    for ack in acks:
        done += [call.parts[0].batch - 1 for call in ledger.acknowledged(ack)]
        highest = max(highest, ack)
        assert done == [offset for offset in range(len(sizes)) if offset <= highest]
        assert ledger.in_flight_bytes == sum(sizes[highest + 1 :])
        assert len(ledger) == len(sizes) - len(done)
    assert ledger.batches() == list(range(max(0, highest + 1) + 1, len(sizes) + 1))


# -- the search ------------------------------------------------------------------------------


@given(st.integers(1, 5_000), st.data())
def test_the_search_finds_exactly_the_refused_records_by_halving(total, data):
    bad = data.draw(st.sets(st.integers(0, total - 1), max_size=4))
    search, position, found, calls = Search([1]), 0, [], 0
    while position < total:
        calls += 1
        records = range(position, min(total, position + search.call_records()))
        if not bad & set(records):
            search.accepted(len(records))
            position = records.stop
        elif search.refused(len(records)):
            found.append(position)
            position += 1
    assert found == sorted(bad)
    assert calls <= 2 + len(bad) * 30


# -- suspects --------------------------------------------------------------------------------


def test_a_suspect_is_tried_again_only_after_another_record_of_its_schema_was_accepted():
    suspects = Suspects()
    suspects.accepted(NEW)
    suspects.add(7, NEW)
    assert suspects.ripe() == []
    suspects.accepted(OLD)
    suspects.accepted(NEW, batch=7)
    assert suspects.ripe() == []
    suspects.accepted(NEW, batch=8)
    assert suspects.ripe() == suspects.ripe(NEW) == [7]
    assert suspects.ripe(OLD) == []
    suspects.add(9, NEW)
    assert suspects.ripe() == [7]


def test_a_suspect_that_is_refused_again_before_anything_was_accepted_keeps_its_place():
    suspects = Suspects()
    suspects.add(7, NEW)
    suspects.accepted(NEW, batch=8)
    suspects.add(7, NEW)
    assert suspects.ripe() == [7]


def test_eight_suspects_without_an_acceptance_mean_that_everything_is_refused():
    suspects = Suspects()
    for identity in range(SUSPECTS_MAX):
        assert not suspects.all_refused()
        suspects.add(identity, NEW)
    assert suspects.all_refused()
    suspects.accepted(NEW, batch=100)
    assert not suspects.all_refused()
    for identity in range(SUSPECTS_MAX):
        suspects.remove(identity)
    assert len(suspects) == 0
    assert not suspects.all_refused()
