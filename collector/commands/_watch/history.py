"""The backlog of each table while it was watched, for a curve of a few characters."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

STEPS_MAX: Final = 60
STEP_S: Final = 15.0
"""A step of the curve; a shorter one would draw every burst, and write every line each time."""

_CURVE: Final = ("·", "▁▂▃▄▅▆▇█")
_ASCII_CURVE: Final = (".", ":-=+*%#@")
_SMALL: Final = 10.0


class History:
    """The highest backlog of each step, of the tables that are still there."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self.step_s = step_s
        self._steps: dict[str, deque[tuple[int, int]]] = {}

    def note(self, now: float, backlogs: Mapping[str, int]) -> None:
        """Note the backlogs of this moment."""
        step = int(now // self.step_s)
        for table in self._steps.keys() - backlogs.keys():
            del self._steps[table]
        for table, backlog in backlogs.items():
            steps = self._steps.setdefault(table, deque(maxlen=STEPS_MAX))
            before = steps.pop()[1] if steps and steps[-1][0] == step else 0
            steps.append((step, max(backlog, before)))

    def last(self, table: str, now: float, count: int) -> list[int | None]:
        """Return the last steps, the latest at the end; None where nothing was watched."""
        known = dict(self._steps.get(table, ()))
        step = int(now // self.step_s)
        return [known.get(one) for one in range(step - count + 1, step + 1)]


def curve(values: Sequence[int | None], rate: float, *, ascii_only: bool = False) -> str:
    """Draw backlogs; what arrives within ten seconds is small, however empty the rest is.

    >>> curve([None, 0, 1, 40, 80], rate=1.0)
    ' ·▁▄█'
    """
    nothing, levels = _ASCII_CURVE if ascii_only else _CURVE
    top = max(*(value or 0 for value in values), _SMALL * rate, _SMALL)
    return "".join(
        " "
        if value is None
        else levels[int(value / top * len(levels) - 1e-9)]
        if value
        else nothing
        for value in values
    )
