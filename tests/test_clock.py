"""Whether the clock is in step: asked for now and then, and believed where nobody knows."""

from collector.clock import LOOK_EVERY_S, Clock, is_kernel_synchronised


def test_the_kernel_answers_and_its_clock_is_left_as_it_is():
    assert is_kernel_synchronised() in (True, False)


def test_the_kernel_is_asked_once_in_a_while():
    asked = []

    def ask():
        asked.append(True)
        return len(asked) > 1

    clock = Clock(ask)
    assert [clock.is_synchronised() for _ in range(100)] == [False] * 100
    assert len(asked) == 1
    clock._asked_at -= LOOK_EVERY_S
    assert clock.is_synchronised()
