"""Whether this box's clock is right, as far as the kernel knows."""

import ctypes
import time
from collections.abc import Callable
from typing import Final

LOOK_EVERY_S: Final = 10.0
# adjtimex(2): what it returns while nothing keeps the clock in step, and the size of its struct.
_UNSYNCHRONISED: Final = 5
_TIMEX_BYTES: Final = 256


def is_kernel_synchronised() -> bool:
    """Ask the kernel whether a time service keeps its clock in step; changes nothing.

    Where the kernel does not say, as on other systems than Linux, the clock is believed.
    """
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return True
    # All zeros: no mode, only a question.
    return int(adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))) != _UNSYNCHRONISED


class Clock:
    """Whether the clock is in step, asked for at most every `LOOK_EVERY_S`."""

    def __init__(self, ask: Callable[[], bool] = is_kernel_synchronised) -> None:
        self._ask = ask
        self._asked_at = float("-inf")
        self._is_synchronised = True

    def is_synchronised(self) -> bool:
        """Whether the clock was in step when it was last asked."""
        now = time.monotonic()
        if now - self._asked_at >= LOOK_EVERY_S:
            self._asked_at = now
            self._is_synchronised = self._ask()
        return self._is_synchronised
