"""Who is connected over HTTP, what each is doing, and who has to go.

Anybody who can connect can ask slowly, or never, or not take the answer, without any token. So
everything but the work on an answer has a deadline; and when all places are taken, somebody makes
room for the next: first of those that had a moment already, then whoever is slow before whoever
may ask again, then the one that has been so for longest.
"""

import resource
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from collector.http.serving.counts import Counts


class Stage(Enum):
    """What a connection is doing."""

    SILENT = auto()
    """It has not asked: nothing came, or half a head."""
    SENDING = auto()
    """Its head is there, its body is still coming; `http.body_timeout` is its deadline."""
    ASKED = auto()
    """It waits for its answer."""
    TAKING = auto()
    """It takes its answer more slowly than it is given."""
    IDLE = auto()
    """It was answered, and may ask again."""
    LEAVING = auto()
    """It was answered for the last time, and is being closed."""


_MAKE_ROOM: Final = {
    Stage.LEAVING: 0,
    Stage.SILENT: 1,
    Stage.SENDING: 1,
    Stage.TAKING: 1,
    Stage.IDLE: 2,
}
"""Who makes room before whom. Whoever waits for its answer does not."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may be in a stage, in seconds; and how often that is looked at."""

    head_s: float = 5.0
    taking_s: float = 10.0
    idle_s: float = 15.0
    look_s: float = 1.0
    moment_s: float = 1.0
    """So long those are spared that are no slower than others, if somebody else can make room."""

    def of(self, stage: Stage) -> float:
        """Return the longest time in a stage: an answer takes as long as it takes."""
        return {
            Stage.SILENT: self.head_s,
            Stage.TAKING: self.taking_s,
            Stage.LEAVING: self.taking_s,
            Stage.IDLE: self.idle_s,
        }.get(stage, float("inf"))


def places_of(wanted: int) -> int:
    """Return for how many there is a place: the spool and the broker need descriptors as well."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else min(wanted, files // 2)


class Client(Protocol):
    """A connection, as far as it is known here."""

    def cut_off(self) -> None:
        """End it at once, whatever it is doing."""

    def shutdown(self) -> None:
        """End it after the answer that is due."""

    def let_go(self) -> None:
        """End it with its next answer."""


class Connections:
    """The connections by stage, in the order in which they came to it. For one thread.

    `most` is how many there may be.
    """

    def __init__(self, deadlines: Deadlines, counts: Counts, clock: Callable[[], float]) -> None:
        self.most = 0
        self._deadlines = deadlines
        self._counts = counts
        self._clock = clock
        self._stages: dict[Client, Stage] = {}
        self._since: dict[Stage, dict[Client, float]] = {stage: {} for stage in Stage}

    def __len__(self) -> int:
        return len(self._stages)

    def __repr__(self) -> str:
        told = ", ".join(f"{len(some)} {stage.name.lower()}" for stage, some in self._since.items())
        return f"Connections({told}, most {self.most})"

    def move(self, client: Client, stage: Stage) -> None:
        """Note what a client does; its time starts anew when that is something else."""
        before = self._stages.get(client)
        if before is stage:
            return
        if before is not None:
            del self._since[before][client]
        self._stages[client] = stage
        self._counts.connections = len(self)
        self._since[stage][client] = self._clock()

    def leave(self, client: Client) -> None:
        """Give the place of a client back, if it has one."""
        if (stage := self._stages.pop(client, None)) is not None:
            del self._since[stage][client]
        self._counts.connections = len(self)

    def make_room(self) -> bool:
        """Say whether there is a place for one more, if need be that of one who has to go."""
        if len(self) < self.most:
            return True
        if (client := self._first_to_go()) is None:
            self._counts.turned_away += 1
            return False
        self._cut_off(client)
        return True

    def cut_off_the_late(self) -> None:
        """End those that have been in a stage for too long."""
        now = self._clock()
        for stage, since in self._since.items():
            limit = self._deadlines.of(stage)
            for client in [one for one, at in since.items() if now - at > limit]:
                self._cut_off(client)

    def everyone(self) -> list[Client]:
        """Return all who are connected."""
        return list(self._stages)

    def _first_to_go(self) -> Client | None:
        """Return who makes room for another, if anybody does."""
        moment_ago = self._clock() - self._deadlines.moment_s

        def turn(one: tuple[Stage, Client, float]) -> tuple[bool, int, float]:
            stage, _, since = one
            return since > moment_ago, _MAKE_ROOM[stage], since

        stages = [(stage, self._since[stage]) for stage in _MAKE_ROOM]
        oldest = [(stage, *next(iter(since.items()))) for stage, since in stages if since]
        return min(oldest, key=turn)[1] if oldest else None

    def _cut_off(self, client: Client) -> None:
        self._counts.cut_off += 1
        self.leave(client)
        client.cut_off()
