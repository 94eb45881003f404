"""Stations that send nothing: how long that is usual for each, and when it is an alarm.

Looks at what the spool has counted, once a second, so that a message costs nothing. What counts as
a message was offered to the station, also when its rows were all left out. Silence grows only while
the collector listens: no station is to blame while nothing can be stored, and none that has topics
while the broker is away.
What was learned is kept in the spool, so that a restart neither forgets an alarm nor raises one.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from collector.config import Station
from collector.spool import Group, Spool

_log = logging.getLogger(__name__)

GAPS_MIN: Final = 20
KNOWN_AFTER_S: Final = 1_200.0
"""What is usual is not known before: the first burst alone would make a station look fast."""
USUAL_TIMES: Final = 10.0
SEEN_TIMES: Final = 1.5
FLOOR_S: Final = 300.0
_USUAL_PART: Final = 0.2
# Two weeks: of the two before, each weekend pause is there twice.
_FORGET_AFTER_S: Final = 14 * 86_400.0
_COUNTS_LEAST: Final = 0.1
_KEEP_S: Final = 60.0
_KEEP_QUIET_S: Final = 600.0
# No station has an empty name, so that no format's memory is met.
_OWNER: Final = ""
_COUNTED: Final = ("messages", "without_rows")
_FIGURES: Final = (
    "last_message_us", "silence_s", "usual_gap_s", "silent_after_s", "is_silent"
)  # fmt: skip

Counters = Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Gaps:
    """The times between messages of one station, in seconds of listening; `last_us` is the clock's.

    `octaves` counts and sums gaps by the power of two below them, so that what is kept is small.
    What is usual is the gap that a fifth of the time does not exceed: shorter ones, as inside of a
    burst, take too little of it to count, and nights and weekends, which are more than half of it
    to some, do not stretch it. Those are for `longest`, the two longest gaps of the last weeks, and
    `before`, those of the weeks before.
    """

    last_us: int = 0
    silence_s: float = 0.0
    learned: int = 0
    octaves: dict[str, tuple[float, float]] = field(default_factory=dict)
    weeks_s: float = 0.0
    longest: list[float] = field(default_factory=lambda: [0.0, 0.0])
    before: list[float] = field(default_factory=lambda: [0.0, 0.0])
    usual_s: float | None = None

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
        octave = str(int(gap_s).bit_length())
        count, sum_s = self.octaves.get(octave, (0.0, 0.0))
        self.octaves[octave] = (count + 1, sum_s + gap_s)
        self.learned += 1
        self.weeks_s += gap_s
        if self.weeks_s > _FORGET_AFTER_S:
            self._forget()
        self.usual_s = self._usual()

    def _forget(self) -> None:
        """Let what was learned count half, so that it follows a station that changes."""
        self.weeks_s = 0.0
        self.before, self.longest = self.longest, [0.0, 0.0]
        halved = {octave: (count / 2, sum_s / 2) for octave, (count, sum_s) in self.octaves.items()}
        self.octaves = {octave: one for octave, one in halved.items() if one[0] >= _COUNTS_LEAST}

    def _usual(self) -> float | None:
        """Return the mean of the octave where a fifth of the time is reached, once known."""
        all_s = sum(sum_s for _, sum_s in self.octaves.values())
        if self.learned < GAPS_MIN or all_s < KNOWN_AFTER_S:
            return None
        wanted_s = _USUAL_PART * all_s
        for octave in sorted(self.octaves, key=int):
            count, sum_s = self.octaves[octave]
            wanted_s -= sum_s
            if wanted_s <= 0:
                break
        return sum_s / count

    @classmethod
    def read(cls, kept: bytes) -> Self:
        """Return what `written` kept, of another version as well: what can't be used is left."""
        try:
            found, known = json.loads(kept), {one.name for one in fields(cls)}
            gaps = cls(**{name: value for name, value in found.items() if name in known})
            gaps.octaves = {
                octave: (count, sum_s) for octave, (count, sum_s) in gaps.octaves.items()
            }
        except (ValueError, TypeError, AttributeError) as error:
            _log.warning("what was usual of a station can't be read and is learned anew: %s", error)
            return cls()
        return gaps

    def written(self) -> bytes:
        """Return it as bytes."""
        return json.dumps(asdict(self)).encode()


class Silence:
    """Watches the stations; used by the main thread, read by others.

    `silent` are those over their limit at the last look.
    """

    def __init__(self, spool: Spool, counters: Counters, now: float) -> None:
        self._spool = spool
        self.silent: list[str] = []
        self._gaps = {name: Gaps.read(kept) for name, kept in spool.reader.memories(_OWNER).items()}
        self._counted = _messages(counters)
        self._looked_at = now
        self._keep_at = now + _KEEP_S
        self._changed: set[str] = set()

    def look(
        self, stations: Iterable[Station], counters: Counters,
        now: float, *, listens: Callable[[Station], bool],
    ) -> None:  # fmt: skip
        """Note who sent something since the last look; `now` is of a clock that nobody sets.

        `listens` says of a station whether what it sends arrives.

        Raises:
            SpoolError: what was learned can't be kept; it is tried again at the next look.
        """
        elapsed, self._looked_at = now - self._looked_at, now
        counted = _messages(counters)
        watched = [station for station in stations if not station.is_heartbeat]
        for station in watched:
            gaps = self._gaps.setdefault(station.name, Gaps())
            gaps.silence_s += elapsed if listens(station) else 0.0
            count = counted.get(station.name, 0)
            if count != self._counted.get(station.name, 0):
                self._counted[station.name] = count
                gaps.came(time.time_ns() // 1000)
                self._changed.add(station.name)
        self.silent = [
            one.name for one in watched if self._limit_s(one) < self._gaps[one.name].silence_s
        ]
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
        if station.is_heartbeat:  # Nobody sends it anything.
            return dict.fromkeys(_FIGURES)
        gaps = self._gaps.get(station.name) or Gaps()
        limit_s = self._limit_s(station)
        return {
            "last_message_us": gaps.last_us or None,
            "silence_s": round(gaps.silence_s, 1),
            "usual_gap_s": gaps.usual_s,
            "silent_after_s": limit_s if limit_s < math.inf else None,
            "is_silent": gaps.silence_s > limit_s,
        }

    def _limit_s(self, station: Station) -> float:
        """Return the limit; infinity when it is not known, or off."""
        if station.silent_after is not None:
            return station.silent_after or math.inf
        gaps = self._gaps.get(station.name)
        limit_s = gaps.limit_s if gaps else None
        return math.inf if limit_s is None else limit_s


def _messages(counters: Counters) -> dict[str, int]:
    """What each station was sent: messages with records, dead letters, and messages without."""
    counted: dict[str, int] = {}
    for (scope, name), value in counters.items():
        kind, _, station = scope.partition(":")
        if kind == "station" and (name in _COUNTED or name.startswith("dead:")):
            counted[station] = counted.get(station, 0) + value
    return counted
