"""What a spool may hold, and what goes when it holds too much: the limits of `stations.yaml`.

Values only; what is done about them is in `drops.py`, `ages.py` and `dead_rows.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    # Commands that only read a spool need no configuration, and its library starts slowly.
    from collector.config import Config

GIB: Final = 1 << 30
MIB: Final = 1 << 20
ANSWERS_MAX: Final = 100_000
ANSWER_BYTES: Final = 1_024
"""What an answer takes at most, with the row around it."""


@dataclass(frozen=True, slots=True)
class Age:
    """How old the records of a station may get, in seconds, and whether they are buried then."""

    max_s: float
    bury: bool = True


@dataclass(slots=True)
class Limits:
    """The limits of one spool; sizes in bytes.

    All parts of a spool share one of it, which `become` changes while they run.

    `drops` says of a station that does not wait when the spool is full what goes: `drop_oldest` or
    `drop_newest`. `table_share` is the part of `max_bytes` that one table may hold while space is
    short. `ages` has the stations whose records expire. `answers_window_s` is how long answers to
    requests are kept; 0 keeps none.
    """

    max_bytes: int = GIB
    min_free_bytes: int = 0
    table_share: float = 0.5
    drops: Mapping[str, str] = field(default_factory=dict)
    ages: Mapping[str, Age] = field(default_factory=dict)
    dead_max_bytes: int = 64 * MIB
    dead_max_count: int = 100_000
    answers_window_s: float = 0.0

    @classmethod
    def of(cls, config: "Config") -> Self:
        """Return the limits that a configuration has."""
        spool = config.spool
        tables = {one.table for one in config.stations if not one.is_heartbeat}
        rules = {one.name: one.when_full or spool.when_full for one in config.stations}
        return cls(
            max_bytes=spool.max_bytes,
            min_free_bytes=spool.min_free_bytes,
            # One table alone takes the room of no other; the heartbeat's needs none.
            table_share=spool.table_share if len(tables) > 1 else 1.0,
            drops={name: rule for name, rule in rules.items() if rule != "pause"},
            ages={
                one.name: Age(one.max_age, one.expired == "bury")
                for one in config.stations
                if one.max_age
            },
            dead_max_bytes=config.dead_letters.max_bytes,
            dead_max_count=config.dead_letters.max_count,
            answers_window_s=config.http.idempotency_window if config.http else 0.0,
        )

    @property
    def answers_max(self) -> int:
        """How many answers to requests are kept: they share a sixteenth of the spool at most."""
        return min(ANSWERS_MAX, self.max_bytes // 16 // ANSWER_BYTES)

    def become(self, other: Self) -> None:
        """Take the values of other limits, from the next look at each on."""
        for one in fields(self):
            setattr(self, one.name, getattr(other, one.name))
