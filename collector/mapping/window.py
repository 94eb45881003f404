"""`time_window`: times of a payload that can't be, because a device's clock was wrong."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final

from collector.config.vocabulary import TimeWindow
from collector.mapping.misfit import MisfitError, shown
from collector.mapping.times import iso_of, microseconds_of, moment_of

_DAY_US: Final = 86_400_000_000
_UNITS: Final = {"TIMESTAMP": 1, "TIMESTAMP_NTZ": 1, "DATE": _DAY_US}


class Window:
    """How far the times of a record may lie from its arrival.

    Not judged while this box's own clock is not synchronised: then nobody knows which is wrong.
    """

    def __init__(
        self,
        window: TimeWindow,
        columns: Sequence[tuple[str, str, tzinfo | None]],
        is_trusted: Callable[[], bool],
    ) -> None:
        """Take the columns with Delta type and zone; others than times are left out."""
        self._past_us = None if window.past is None else int(window.past * 1e6)
        self._future_us = None if window.future is None else int(window.future * 1e6)
        self._is_null = window.outside == "null"
        self._columns = [
            (name, _UNITS[delta], None if delta == "TIMESTAMP" else zone)
            for name, delta, zone in columns
            if delta in _UNITS
        ]
        self.is_trusted = is_trusted
        self.outside = 0

    def check(self, row: dict[str, Any], received_us: int, required: frozenset[str]) -> None:
        """Raise MisfitError for a time outside, or take it out of the row, and count it."""
        for name, unit, zone in self._columns:
            value = row.get(name)
            if value is None:
                continue
            time_us = value * unit if zone is None else _instant(value * unit, zone)
            if not self._is_outside(time_us, unit, received_us):
                continue
            if not self.is_trusted():
                return
            self.outside += 1
            if not self._is_null or name in required:
                raise self._misfit(time_us).of(name)
            del row[name]

    def _is_outside(self, time_us: int, unit: int, received_us: int) -> bool:
        """A date is outside when all of its day is."""
        return (self._past_us is not None and time_us + unit <= received_us - self._past_us) or (
            self._future_us is not None and time_us > received_us + self._future_us
        )

    def _misfit(self, time_us: int) -> MisfitError:
        when = iso_of(time_us) if moment_of(time_us) else shown(time_us)
        return MisfitError("out_of_range", f"{when} lies outside of the station's time_window")


def _instant(wall_us: int, zone: tzinfo) -> int:
    """When a wall showed this; as in UTC beyond the years 1 to 9999."""
    wall = moment_of(wall_us)
    found = None if wall is None else microseconds_of(wall.replace(tzinfo=None), zone)
    return wall_us if found is None else found
