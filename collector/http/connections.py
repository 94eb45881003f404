"""Who is connected over HTTP, what each is doing, and who has to go.

Anybody who can connect can ask slowly, or never, or not take the answer, without any token. So
everything but the work on an answer has a deadline; and when all places are taken, whoever has
asked nothing makes room for the next, the oldest first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from collector.http.counts import Counts


class Stage(Enum):
    """What a connection is doing."""

    SILENT = auto()
    """It has not asked: nothing came, or half a head."""
    ASKED = auto()
    """It waits for its answer, or still sends what it asks."""
    TAKING = auto()
    """It takes its answer more slowly than it is given."""
    IDLE = auto()
    """It was answered, and may ask again."""
    LEAVING = auto()
    """It was answered for the last time, and is being closed."""


_MAKE_ROOM: Final = (Stage.LEAVING, Stage.SILENT, Stage.TAKING, Stage.IDLE)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may be in a stage, in seconds; and how often that is looked at."""

    head_s: float = 5.0
    taking_s: float = 10.0
    idle_s: float = 15.0
    look_s: float = 1.0

    def of(self, stage: Stage) -> float:
        """Return the longest time in a stage: an answer takes as long as it takes."""
        return {
            Stage.SILENT: self.head_s,
            Stage.TAKING: self.taking_s,
            Stage.LEAVING: self.taking_s,
            Stage.IDLE: self.idle_s,
        }.get(stage, float("inf"))


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
        """Say whether there is a place for one more, if need be that of one who asks nothing."""
        if len(self) < self.most:
            return True
        for stage in _MAKE_ROOM:
            if self._since[stage]:
                self._cut_off(next(iter(self._since[stage])))
                return True
        self._counts.turned_away += 1
        return False

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

    def _cut_off(self, client: Client) -> None:
        self._counts.cut_off += 1
        self.leave(client)
        client.cut_off()
