"""How long to wait before the next try: doubling, jittered at every step, bounded."""

from collector.backoff import Backoff


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_delays_double_up_to_the_cap_and_none_is_over_it():
    backoff = Backoff(0.5, 60.0)
    delays = [backoff.failed() for _ in range(2_000)]
    for at, delay in enumerate(delays):
        full = min(0.5 * 2 ** min(at, 20), 60.0)
        assert 0.75 * full <= delay <= full


def test_delays_differ_at_the_first_step_and_at_the_cap():
    firsts = {Backoff(0.5, 60.0).failed() for _ in range(20)}
    backoff = Backoff(0.5, 60.0)
    lasts = [backoff.failed() for _ in range(40)][20:]
    assert len(firsts) == len(set(lasts)) == 20


def test_a_success_that_lasted_starts_over_and_a_cap_may_be_given_for_one_failure():
    clock = Clock()
    backoff = Backoff(1.0, 30.0, clock)
    for _ in range(10):
        backoff.failed(300.0)
    assert backoff.failed(300.0) > 200
    assert backoff.tries == 11
    assert backoff.remaining() > 200
    clock.now += 400
    assert backoff.remaining() == 0
    backoff.settled()
    assert backoff.tries == 0
    assert backoff.failed() <= 1.0
