"""When a commit is due: the window that the broker really grants is learned, not believed."""

import pytest

from collector.intake.pace import Pace

INTERVAL = 0.1


class Broker:
    """Time and arrivals for a Pace, as a broker with a window of `grants` would give them."""

    def __init__(self, grants, receive_maximum=5_000):
        self.pace = Pace(receive_maximum, INTERVAL, 1 << 22)
        self.now, self.grants, self.unacknowledged = 100.0, grants, 0
        self.pace.connected(self.now)

    def arrive(self, count, after=0.001):
        self.now += after
        self.unacknowledged += count
        self.pace.arrived(count, self.unacknowledged, self.now)

    def commit(self, after):
        self.now += after
        self.pace.committed(self.unacknowledged, self.now)
        self.unacknowledged = 0


def learned(grants=20):
    broker = Broker(grants)
    broker.arrive(grants)
    broker.commit(INTERVAL)
    broker.arrive(grants, 0.010)
    return broker


def test_a_window_that_fills_again_at_once_is_learned():
    broker = learned()
    assert broker.pace.window == 20
    assert broker.pace.is_due(10, 1_000, broker.now, broker.now)
    assert not broker.pace.is_due(9, 1_000, broker.now, broker.now)


@pytest.mark.parametrize(
    ("quiet", "then", "after"),
    [(INTERVAL / 4, 20, 0.01), (INTERVAL, 19, 0.01), (INTERVAL, 20, 0.03)],
    ids=["messages still came", "fewer came back", "they came too late"],
)
def test_a_window_is_not_learned_when(quiet, then, after):
    broker = Broker(20)
    broker.arrive(20)
    broker.commit(quiet)
    broker.arrive(then, after)
    assert broker.pace.window == 5_000


def test_a_window_is_learned_from_arrivals_in_several_reads():
    broker = Broker(20)
    broker.arrive(20)
    broker.commit(INTERVAL)
    for _ in range(4):
        broker.arrive(5, 0.002)
    assert broker.pace.window == 20


def test_more_than_the_learned_window_raises_it():
    broker = learned()
    broker.arrive(13)
    assert broker.pace.window == 33


def test_the_window_is_asked_anew_every_minute_and_on_every_connection():
    broker = learned()
    broker.commit(0.001)
    broker.arrive(1, 61)
    assert broker.pace.window == 5_000
    again = learned()
    again.pace.connected(again.now)
    assert again.pace.window == 5_000


def test_a_commit_is_due_by_the_window_the_size_or_the_time():
    pace = Broker(20, receive_maximum=100).pace
    assert pace.is_due(50, 0, 0.0, 0.0)
    assert not pace.is_due(49, 0, 0.0, INTERVAL / 2)
    assert pace.is_due(1, 1 << 22, 0.0, 0.0)
    assert pace.is_due(1, 0, 0.0, INTERVAL)
