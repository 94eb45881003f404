"""The records of a group, as its format gives them, in the order of their arrival."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from collector.discover.grouping import Group
from collector.discover.heard import Kept, Topic
from collector.discover.limits import RECORDS_MAX
from collector.discover.tree import Node
from collector.formats import Bad, Records
from collector.model import Arrival, DecodeError

PLACES_MAX: Final = 16
"""Members of a list that stands alone and is read by position."""


@dataclass(slots=True)
class Reading:
    """What a group's payloads hold: the tree of all records, and of each topic.

    `lists` are the lengths of payloads that are lists of plain values.
    """

    root: Node = field(default_factory=Node)
    by_topic: dict[str, Node] = field(default_factory=dict)
    by_kind: dict[str, Node] = field(default_factory=dict)
    records: int = 0
    lists: set[int] = field(default_factory=set)

    @property
    def by_position(self) -> int:
        """How many members each list has that stands for a whole payload; 0 when that varies."""
        (length,) = self.lists if len(self.lists) == 1 else (0,)
        return length if 2 <= length <= PLACES_MAX and self.root.kinds == 1 else 0


def read(group: Group) -> Reading:
    """Read the payloads of a group; what can't be read is passed over."""
    reading = Reading()
    decode = group.form.decode()
    for topic, kept in _in_order(group.topics):
        if reading.records >= RECORDS_MAX:
            break
        try:
            arrival = Arrival(topic.name, kept.received_us)
            value = decode(kept.message.payload, arrival)
        except DecodeError:
            continue
        for record in _records(value, reading):
            reading.records += 1
            reading.root.add(record, kept.received_us)
            if group.form.format in ("text", "json"):
                reading.by_topic.setdefault(topic.name, Node()).add(record, kept.received_us)
            if group.form.format == "influx":
                kind = str(record["measurement"])
                reading.by_kind.setdefault(kind, Node()).add(record, kept.received_us)
    return reading


def _in_order(topics: list[Topic]) -> Iterator[tuple[Topic, Kept]]:
    found = [(kept.number, topic, kept) for topic in topics for kept in topic.kept]
    for _, topic, kept in sorted(found, key=lambda one: one[0]):
        yield topic, kept


def _records(value: Any, reading: Reading) -> Iterator[Any]:
    """The records of a payload, as the mapping takes them."""
    if isinstance(value, Records):
        yield from (one for one in value if one is not None and not isinstance(one, Bad))
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        yield from value
    elif isinstance(value, list):
        reading.lists.add(len(value))
        yield value
    else:
        yield value
