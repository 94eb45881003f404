"""What stands where in the records of a station: a tree of keys with the values that were seen."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from collector.discover.limits import DEPTH_MAX, KEYS_MAX
from collector.discover.looks import is_strong_id

CHILDREN_MAX: Final = 2_000
"""Keys of one object that are told apart; further ones are counted only."""
RARE: Final = 0.2
"""A key that fewer of the objects have makes a shape unstable, if there are many such."""

Value = tuple[Any, int]
"""A value and the time of its arrival."""
Places = Iterator[tuple[tuple[str, ...], "Node"]]


@dataclass(slots=True)
class Node:
    """A place in the records: `values` are plain ones, `children` those of the objects there.

    `objects`, `lists` and `nulls` count what else stood there; `element` is what the lists held,
    `lengths` how long they were.
    """

    values: list[Value] = field(default_factory=list)
    objects: int = 0
    lists: int = 0
    nulls: int = 0
    children: "dict[str, Node]" = field(default_factory=dict)
    element: "Node | None" = None
    lengths: Counter[int] = field(default_factory=Counter)
    is_cut: bool = False

    def add(self, value: Any, received_us: int, depth: int = 0) -> None:
        """Take what stands here in one record."""
        if value is None:
            self.nulls += 1
        elif isinstance(value, dict):
            self.objects += 1
            self._add_object(value, received_us, depth)
        elif isinstance(value, list):
            self.lists += 1
            self.lengths[len(value)] += 1
            if self.element is None:
                self.element = Node()
            for one in value[:100]:
                self.element.add(one, received_us, depth + 1)
        else:
            self.values.append((value, received_us))

    def _add_object(self, value: dict[str, Any], received_us: int, depth: int) -> None:
        if depth > DEPTH_MAX + 2:
            self.is_cut = True
            return
        for key, inner in value.items():
            child = self.children.get(key)
            if child is None:
                if len(self.children) >= CHILDREN_MAX:
                    self.is_cut = True
                    continue
                child = self.children[key] = Node()
            child.add(inner, received_us, depth + 1)

    @property
    def seen(self) -> int:
        """How often something other than null stood here."""
        return len(self.values) + self.objects + self.lists

    @property
    def kinds(self) -> int:
        """How many of the three kinds of values stood here: plain ones, objects, lists."""
        return bool(self.values) + bool(self.objects) + bool(self.lists)

    @property
    def is_object(self) -> bool:
        """Whether nothing but objects stood here."""
        return self.kinds == 1 and self.objects > 0

    @property
    def has_stable_keys(self) -> bool:
        """Whether the keys of the objects name fields: few, or most of them always there."""
        if self.is_cut or not self.children:
            return False
        if len(self.children) <= KEYS_MAX:
            return True
        least = RARE * self.objects
        rare = sum(child.seen + child.nulls < least for child in self.children.values())
        return rare * 2 < len(self.children)

    @property
    def is_keyed(self) -> bool:
        """Whether the keys of the objects are ids, and what they lead to is of one kind."""
        if not self.is_object or not self.children:
            return False
        ids = sum(map(is_strong_id, self.children))
        kinds = {_kind(child) for child in self.children.values() if child.seen}
        return ids * 5 >= len(self.children) * 4 and len(kinds) == 1

    def merged(self) -> "Node":
        """All children as one: what stands below an id."""
        result = Node()
        for child in self.children.values():
            result.join(child)
        return result

    def join(self, other: "Node") -> None:
        """Add what another node has seen."""
        self.values += other.values
        self.objects += other.objects
        self.lists += other.lists
        self.nulls += other.nulls
        self.lengths += other.lengths
        self.is_cut |= other.is_cut
        for key, child in other.children.items():
            self.children.setdefault(key, Node()).join(child)
        if other.element is not None:
            self.element = self.element or Node()
            self.element.join(other.element)

    def leaves(self) -> int:
        """How many places with values there are at or below this one."""
        if self.children:
            return sum(child.leaves() for child in self.children.values())
        return self.element.leaves() if self.element is not None else 1

    def lists_of_objects(self, path: tuple[str, ...] = ()) -> Places:
        """Lists of objects and objects whose keys are ids, with the paths to them."""
        element = self.element
        of_objects = element is not None and element.objects and element.kinds == 1
        if (self.lists and self.kinds == 1 and of_objects) or self.is_keyed:
            yield path, self
        elif self.objects and len(path) < DEPTH_MAX:
            for key, child in self.children.items():
                yield from child.lists_of_objects((*path, key))


def _kind(node: Node) -> str:
    if node.kinds != 1:
        return "mixed"
    if node.objects:
        return "object"
    if node.lists:
        return "list"
    return "number" if all(_is_number(value) for value, _ in node.values) else "text"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool | date)
