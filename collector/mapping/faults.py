"""The faults of a message, of which a bounded number becomes dead letters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from collector.model import Fault

FAULTS_MAX: Final = 100
"""Faults that one message gives; the last stands for the rest of them.

Each becomes a dead letter with the whole payload, so that a list of many bad records in one message
could otherwise fill the spool.
"""


class Faults:
    """Those of one message, in their order."""

    def __init__(self, maximum: int = FAULTS_MAX) -> None:
        self._maximum = maximum
        self._kept: list[Fault] = []
        self._more: list[int] = []

    def add(self, fault: Fault) -> None:
        """Take a fault, or its position alone."""
        if len(self._kept) < self._maximum:
            self._kept.append(fault)
        else:
            self._more.append(fault.position or 0)

    def bounded(self) -> Sequence[Fault]:
        """Return those that are kept; the last stands for the others."""
        if self._more:
            last = self._kept[-1]
            rest = f"(this stands for {len(self._more)} more records of the message as well)"
            reason = f"{last.reason} {rest}"
            self._kept[-1] = replace(last, reason=reason, more=tuple(self._more))
        return self._kept
