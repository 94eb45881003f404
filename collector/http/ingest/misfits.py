"""What is wrong with the records of a request, as its client is told."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from collector.mapping.misfit import SHOWN_MAX, shown
from collector.model import Fault

ERRORS_MAX: Final = 1_000
"""Bad records of a request that are told with their reason; further ones with their position."""


def errors_of(faults: Sequence[Fault], line: int | None = None) -> list[dict[str, Any]]:
    """Return one entry for each bad record; `line` is where its payload stands among others.

    >>> errors_of([Fault("bad_value", 'temp: "x" is not INT', "temp", 3, value="x")])[0]["position"]
    3
    """
    return [entry for fault in faults for entry in _entries(fault, line)]


def _entries(fault: Fault, line: int | None) -> Iterator[dict[str, Any]]:
    for position in (fault.position, *fault.more):
        yield {
            "position": position if line is None else line,
            "field": fault.field or None,
            "value": _quoted(fault.value),
            "kind": fault.kind,
            "reason": fault.reason,
        }


def _quoted(value: object) -> Any:
    """A value as JSON can say it, and never more of it than a person reads."""
    if isinstance(value, str):
        return value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "…"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= 64:
        return value
    if isinstance(value, float | Decimal):
        return str(value)
    return shown(value)
