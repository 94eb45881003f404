"""Filters by their topic levels: what fits a topic is found without looking at each filter.

Knows the rules of MQTT for `+`, `#` and topics that begin with `$`; what a find means for a station
is decided in `router.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.router.filters import Filter


@dataclass(frozen=True, slots=True)
class Use:
    """A filter of a station; `number` is its place in the configuration."""

    station: int
    filter: Filter
    number: int


@dataclass(slots=True)
class _Node:
    """One level of the trie; `ends` stop here, `rest` goes on with `#`."""

    children: "dict[str, _Node]" = field(default_factory=dict)
    ends: list[Use] = field(default_factory=list)
    rest: list[Use] = field(default_factory=list)


class Trie:
    """Filters by their levels; `+` is a child of that name.

    Walks level by level, so that neither a deep topic nor a deep filter costs stack.
    """

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, levels: Sequence[str], use: Use) -> None:
        """Put a filter in."""
        node = self._root
        for level in levels:
            if level == "#":
                node.rest.append(use)
                return
            node = node.children.setdefault(level, _Node())
        node.ends.append(use)

    def fitting(self, levels: Sequence[str]) -> list[Use]:
        """All filters that a topic of these levels fits."""
        ends, found = self._walk(levels)
        return found + [use for node in ends for use in node.ends]

    def covering(self, levels: Sequence[str]) -> list[Use]:
        """All filters that every topic fits which fits the filter of these levels."""
        if levels[-1] == "#":
            return self._walk(levels[:-1])[1]
        return self.fitting(levels)

    def intersecting(self, levels: Sequence[str]) -> Iterator[Use | None]:
        """All filters that some topic fits which fits the filter of these levels as well.

        A None is a step without a find, so that the caller can bound the work.
        """
        stack = [(self._root, 0)]
        while stack:
            node, depth = stack.pop()
            yield None
            level = levels[depth] if depth < len(levels) else None
            if depth or level is None or not level.startswith("$"):
                yield from node.rest
            if level is None or level == "#":
                yield from node.ends
            if level is not None:
                following = depth if level == "#" else depth + 1
                crossing = _crossing(node, level, wild=node is not self._root)
                stack.extend((child, following) for child in crossing)

    def _walk(self, levels: Sequence[str]) -> tuple[list[_Node], list[Use]]:
        """Follow the levels, and `+`: where they end, and the filters with `#` on the way."""
        found: list[Use] = []
        nodes = [self._root]
        # A wildcard at the very beginning does not fit topics of the broker's own, like $SYS.
        wild = not (levels and levels[0].startswith("$"))
        for level in levels:
            following = []
            for node in nodes:
                if wild:
                    found += node.rest
                    if (plus := node.children.get("+")) is not None:
                        following.append(plus)
                if level != "+" and (child := node.children.get(level)) is not None:
                    following.append(child)
            nodes, wild = following, True
        for node in nodes:
            found += node.rest
        return nodes, found


def _crossing(node: _Node, level: str, *, wild: bool) -> Iterator[_Node]:
    """The children that share a topic level with this level of a filter."""
    if level in ("+", "#"):
        for name, child in node.children.items():
            if wild or not name.startswith("$"):
                yield child
        return
    if (child_here := node.children.get(level)) is not None:
        yield child_here
    if (wild or not level.startswith("$")) and (plus := node.children.get("+")) is not None:
        yield plus
