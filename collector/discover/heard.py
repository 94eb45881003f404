"""What was heard: messages by topic, within limits, and what was let go at each."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from collector.discover.limits import (
    KEPT_BYTES_MAX,
    MESSAGES_MAX,
    PAYLOAD_MAX,
    PER_TOPIC_MAX,
    TOPICS_MAX,
)
from collector.model import Message


class Source(Protocol):
    """What gives messages with the times of their arrival."""

    def next(self, timeout: float) -> tuple[Message, int] | None:
        """Return the next message; None when none came in time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that is kept; `number` counts all of them in the order of their arrival."""

    number: int
    message: Message
    received_us: int


@dataclass(slots=True)
class Topic:
    """A topic and its messages; `count` has also those that were not kept."""

    name: str
    count: int = 0
    kept: list[Kept] = field(default_factory=list)

    @property
    def levels(self) -> list[str]:
        """The levels of the topic."""
        return self.name.split("/")


class Heard:
    """Keeps messages by topic; what `is_known` is only counted, and so is what has no payload.

    `let_go` counts what was not kept, by the limit that was reached.
    """

    def __init__(self, is_known: Callable[[str], bool] = lambda _: False) -> None:
        self.topics: dict[str, Topic] = {}
        self.messages = 0
        self.empty = 0
        self.known: Counter[str] = Counter()
        self.let_go: Counter[str] = Counter()
        self._is_known = is_known
        self.kept = 0
        self._bytes = 0

    def take(self, message: Message, received_us: int) -> None:
        """Take a message, whatever it is."""
        name = message.topic.decode(errors="replace")
        self.messages += 1
        if name in self.known or (name not in self.topics and self._is_known(name)):
            self.known[name if len(self.known) < TOPICS_MAX else ""] += 1
            return
        if not message.payload:
            self.empty += 1
            return
        topic = self.topics.get(name)
        if topic is None:
            if len(self.topics) >= TOPICS_MAX:
                self.let_go[f"messages of topics beyond the first {TOPICS_MAX:,}"] += 1
                return
            topic = self.topics[name] = Topic(name)
        topic.count += 1
        limit = self._limit(topic, len(message.payload))
        if limit:
            self.let_go[limit] += 1
            return
        self.kept += 1
        self._bytes += len(message.payload)
        topic.kept.append(Kept(self.kept, message, received_us))

    def take_next(self, source: "Source", timeout: float) -> None:
        """Take the next message of a source, if one comes in time."""
        came = source.next(timeout)
        if came is not None:
            self.take(*came)

    def _limit(self, topic: Topic, size: int) -> str:
        """The limit that a message would exceed, in words; empty when there is none."""
        if size > PAYLOAD_MAX:
            return f"messages over {PAYLOAD_MAX >> 20} MiB"
        if len(topic.kept) >= PER_TOPIC_MAX:
            return f"messages beyond {PER_TOPIC_MAX:,} of one topic"
        if self.kept >= MESSAGES_MAX:
            return f"messages beyond {MESSAGES_MAX:,}"
        if self._bytes + size > KEPT_BYTES_MAX:
            return f"messages beyond {KEPT_BYTES_MAX >> 20} MiB in all"
        return ""
