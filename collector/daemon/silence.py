"""Stations that send nothing: how long that is usual for each, and when it is an alarm.

Looks at what the spool has counted, once a second, so that a message costs nothing. What counts as
a message gave a record or a dead letter. Silence grows only while the collector listens: while the
broker is away, or nothing can be stored, no station is to blame. What was learned is kept in the
spool, so that a restart neither forgets an alarm nor raises one.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from collector.config import Station
from collector.spool import Group, Spool

GAPS_MIN: Final = 20
"""What is usual is not known before."""
USUAL_TIMES: Final = 10.0
SEEN_TIMES: Final = 1.5
FLOOR_S: Final = 300.0
_FORGET_AFTER_S: Final = 14 * 86_400.0
_KEEP_S: Final = 60.0
_KEEP_QUIET_S: Final = 600.0
# No station has an empty name, so that no format's memory is met.
_OWNER: Final = ""


Counters = Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Gaps:
    """The times between messages of one station, in seconds of listening; `last_us` is the clock's.

    What is usual is the gap that a random moment falls into, the sum of squares by the sum: short
    gaps inside of a burst count little. `longest` are the two longest gaps of the last weeks, and
    `before` those of the weeks before.
    """

    last_us: int = 0
    silence_s: float = 0.0
    count: int = 0
    sum_s: float = 0.0
    squares: float = 0.0
    longest: list[float] = field(default_factory=lambda: [0.0, 0.0])
    before: list[float] = field(default_factory=lambda: [0.0, 0.0])

    @property
    def usual_s(self) -> float | None:
        """Return the usual gap; None while it is not known."""
        known = self.count >= GAPS_MIN and self.sum_s > 0
        return self.squares / self.sum_s if known else None

    @property
    def limit_s(self) -> float | None:
        """Return from which silence on the station is silent: one that came twice is usual."""
        if self.usual_s is None:
            return None
        seen_twice = sorted(self.longest + self.before)[-2]
        return max(FLOOR_S, USUAL_TIMES * self.usual_s, SEEN_TIMES * seen_twice)

    def came(self, now_us: int) -> None:
        """Note a message after a gap."""
        if self.last_us:
            self._learn(self.silence_s)
        self.last_us, self.silence_s = now_us, 0.0

    def _learn(self, gap_s: float) -> None:
        limit_s = self.limit_s
        self.longest = sorted([*self.longest, gap_s])[-2:]
        if limit_s is not None and gap_s > limit_s:
            return  # It was an alarm: that says nothing of what is usual, unless it comes again.
        self.count += 1
        self.sum_s += gap_s
        self.squares += gap_s * gap_s
        if self.sum_s > _FORGET_AFTER_S:
            self.sum_s, self.squares = self.sum_s / 2, self.squares / 2
            self.before, self.longest = self.longest, [0.0, 0.0]

    @classmethod
    def read(cls, kept: bytes) -> Self:
        """Return what `written` kept."""
        return cls(**json.loads(kept))

    def written(self) -> bytes:
        """Return it as bytes."""
        return json.dumps(asdict(self)).encode()


class Silence:
    """Watches the stations; used by the main thread, read by others."""

    def __init__(self, spool: Spool, counters: Counters, now: float) -> None:
        self._spool = spool
        self._gaps = {name: Gaps.read(kept) for name, kept in spool.reader.memories(_OWNER).items()}
        self._counted = _messages(counters)
        self._looked_at = now
        self._keep_at = now + _KEEP_S
        self._changed: set[str] = set()

    def look(
        self, stations: Iterable[Station], counters: Counters,
        now: float, *, is_listening: bool,
    ) -> None:  # fmt: skip
        """Note who sent something since the last look; `now` is of a clock that nobody sets.

        Raises:
            SpoolError: what was learned can't be kept; it is tried again at the next look.
        """
        elapsed, self._looked_at = now - self._looked_at, now
        counted = _messages(counters)
        for station in stations:
            gaps = self._gaps.setdefault(station.name, Gaps())
            gaps.silence_s += elapsed if is_listening else 0.0
            count = counted.get(station.name, 0)
            if count != self._counted.get(station.name, 0):
                self._counted[station.name] = count
                gaps.came(time.time_ns() // 1000)
                self._changed.add(station.name)
        if now >= self._keep_at + (0.0 if self._changed else _KEEP_QUIET_S - _KEEP_S):
            self.keep(now)

    def keep(self, now: float) -> None:
        """Keep what was learned in the spool."""
        kept = {(_OWNER, name): gaps.written() for name, gaps in self._gaps.items()}
        self._spool.append(Group(memories=kept))
        self._changed.clear()
        self._keep_at = now + _KEEP_S

    def of(self, station: Station) -> dict[str, Any]:
        """Return what is known of a station; durations in seconds, None when it is not known."""
        gaps = self._gaps.get(station.name) or Gaps()
        limit_s = gaps.limit_s if station.silent_after is None else station.silent_after or None
        return {
            "last_message_us": gaps.last_us or None,
            "silence_s": round(gaps.silence_s, 1),
            "usual_gap_s": gaps.usual_s,
            "silent_after_s": limit_s,
            "is_silent": limit_s is not None and gaps.silence_s > limit_s,
        }


def _messages(counters: Counters) -> dict[str, int]:
    """What each station gave: messages with records, and dead letters."""
    counted: dict[str, int] = {}
    for (scope, name), value in counters.items():
        kind, _, station = scope.partition(":")
        if kind == "station" and (name == "messages" or name.startswith("dead:")):
            counted[station] = counted.get(station, 0) + value
    return counted
