"""What is wrong with the records of a request, as its client is told."""

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from collector.mapping.misfit import SHOWN_MAX, shown
from collector.model import Fault

ERRORS_MAX: Final = 1_000
"""Bad records of a request that are told with their reason; of an array, further ones with their
position."""
POSITIONS_MAX: Final = 10_000
"""Beyond these, bad records are only counted: an answer is never much larger than its request."""

_NOT_TOLD: Final = f"it is bad too: reasons are told of {ERRORS_MAX:,} records"


class Errors:
    """The bad records of a request: `told` are the first of them, `count` is how many there are.

    >>> errors = Errors()
    >>> errors.add([Fault("bad_value", 'temp: "x" is not a whole number', "temp", 3, value="x")])
    >>> errors.told[0]["position"], errors.told[0]["value"], errors.count
    (3, 'x', 1)
    """

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, faults: Sequence[Fault], line: int | None = None) -> None:
        """Take those of one payload; `line` is where it stands among others."""
        for fault in faults:
            self.count += 1 + len(fault.more)
            if len(self.told) < ERRORS_MAX:
                place = fault.position if line is None else line
                self.told.append(_entry(fault, place, fault.reason, fault.value))
            for position in fault.more[: max(0, POSITIONS_MAX - len(self.told))]:
                self.told.append(_entry(replace(fault, field=""), position, _NOT_TOLD, None))


def _entry(fault: Fault, position: int | None, reason: str, value: object) -> dict[str, Any]:
    return {
        "position": position,
        "field": fault.field or None,
        "value": _quoted(value),
        "kind": fault.kind,
        "reason": reason,
    }


def _quoted(value: object) -> Any:
    """A value as JSON can say it, and never more of it than a person reads."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "…"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, float | Decimal):
        return str(value)
    return shown(value)
