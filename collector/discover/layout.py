"""From the records of a group to the columns of a station: what is flat, a list, or a row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from collector.discover.guessed import Guessed, source_of
from collector.discover.limits import COLUMNS_MAX, DEPTH_MAX, NOT_NULL_FROM
from collector.discover.names import plain, unique
from collector.discover.scalars import Guess, guess
from collector.discover.tree import Node
from collector.tables import DeltaType

REST: Final = "extra"
_FIXED: Final = (
    Guessed("received", "$received", DeltaType("TIMESTAMP"), "when it arrived here", False),
    Guessed("gateway", "$gateway", DeltaType("STRING"), "the name of this box", False),
    Guessed("seq", "$seq", DeltaType("BIGINT"), "identifies the record, with gateway", False),
)
_OPTIONAL_PART: Final = 0.5
"""A VARIANT of mixed values has a column of its numbers when so many of them are numbers."""


@dataclass(slots=True)
class Layout:
    """What a station says beside topic and table; `notes` are comments above it."""

    columns: list[Guessed]
    each: str = ""
    when: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    rest: str = ""
    suffix: str = ""
    notes: list[str] = field(default_factory=list)


class Columns:
    """Makes the columns of one station; names are unique, and those of captures come first."""

    def __init__(self, captures: Mapping[str, Sequence[str]]) -> None:
        self._taken = {one.name for one in _FIXED}
        self.rest = ""
        self.found: list[Guessed] = []
        for name, values in captures.items():
            shown = ", ".join(values[:3])
            more = f" and {len(values) - 3:,} more" if len(values) > 3 else ""
            text = f"{len(values):,} in the topics: {shown}{more}"
            self.add(name, f"${name}", Guess(DeltaType("STRING"), text), nullable=False)

    def add(self, wanted: str, source: str, found: Guess, *, nullable: bool) -> None:
        """Add a column; where its name is taken it gets another."""
        name = wanted if wanted not in self._taken else f"payload_{wanted}"
        name = unique(name, self._taken)
        self._taken.add(name)
        self.found.append(
            Guessed(
                name,
                source,
                found.delta,
                found.evidence,
                nullable or found.delta.name == "ARRAY",
                found.steps,
            )
        )

    def walk(
        self,
        node: Node,
        records: int,
        path: tuple[str, ...] = (),
        *,
        absolute: bool,
        skip: Any = (),
    ) -> None:
        """Add the columns of an object; `skip` is the path that `each` takes apart."""
        for key, child in node.children.items():
            inner = (*path, key)
            if not child.seen or inner == skip:
                continue
            source = source_of(inner, absolute=absolute)
            if source is None or len(self.found) >= COLUMNS_MAX:
                self._leave(path)
                continue
            if _is_flat(child, inner, absolute=absolute):
                self.walk(child, records, inner, absolute=absolute, skip=skip)
            else:
                name = plain("_".join(inner), "field")
                self.add_node(name, source, child, records)

    def finished(self) -> Layout:
        """The layout of all columns, with those that each station has."""
        rest = []
        if self.rest:
            text = "keys that no column takes"
            rest = [Guessed(self.rest, "", DeltaType("VARIANT"), text)]
        return Layout([*self.found, *rest, *_FIXED], rest=self.rest)

    def _leave(self, path: tuple[str, ...]) -> None:
        """A key at the top that gets no column of its own goes to the rest."""
        if not path and not self.rest:
            self.rest = unique(REST, self._taken)
            self._taken.add(self.rest)

    def add_node(self, name: str, source: str, node: Node, records: int) -> None:
        """Add a column for what stands at a place, if anything does."""
        if not node.seen:
            return
        found = guess_node(name, node)
        always = node.seen >= records >= NOT_NULL_FROM and not found.has_nulls
        text = f"{node.seen:,} of {records:,}, {found.evidence}"
        self.add(name, source, Guess(found.delta, text, found.steps), nullable=not always)
        if found.delta.name in ("VARIANT", "STRING") and not node.objects and not node.lists:
            self._numbers(name, source, node)

    def _numbers(self, name: str, source: str, node: Node) -> None:
        """A column for the numbers among values of several kinds."""
        numbers = [
            value
            for value, _ in node.values
            if isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        ]
        if len(numbers) < len(node.values) and len(numbers) >= _OPTIONAL_PART * len(node.values):
            text = f"{len(numbers):,} of {len(node.values):,} are numbers"
            steps = {"lenient": True}
            self.add(
                f"{name}_number", source, Guess(DeltaType("DOUBLE"), text, steps), nullable=True
            )


def _is_flat(node: Node, path: tuple[str, ...], *, absolute: bool) -> bool:
    """Whether the keys of an object become columns of their own."""
    return (
        node.is_object
        and node.has_stable_keys
        and not node.is_keyed
        and len(path) < DEPTH_MAX
        and all(source_of((*path, key), absolute=absolute) for key in node.children)
    )


def guess_node(name: str, node: Node) -> Guess:
    """The type of whatever stands at a place."""
    if node.kinds == 1 and node.values:
        return guess(name, node.values)
    if node.kinds == 1 and node.lists:
        return _list(name, node)
    if node.is_object:
        why = "its keys are ids" if node.is_keyed else f"{len(node.children):,} keys that vary"
        return Guess(DeltaType("VARIANT"), f"an object, {why if node.children else 'empty'}")
    return Guess(DeltaType("VARIANT"), "values of several kinds")


def _list(name: str, node: Node) -> Guess:
    element = node.element
    low, high = min(node.lengths), max(node.lengths)
    sizes = f"{low} members" if low == high else f"{low} to {high} members"
    if element is None or not element.seen:
        return Guess(DeltaType("VARIANT"), "empty lists")
    if element.kinds == 1 and element.values and not element.nulls:
        found = guess(name, element.values)
        if found.delta.name not in ("VARIANT", "ARRAY") and not found.has_nulls:
            delta = DeltaType("ARRAY", element=found.delta)
            return Guess(delta, f"{sizes}, {found.evidence}", found.steps)
    what = "objects" if element.objects else "lists" if element.lists else "values"
    hint = ": `each` in a station of its own gives a row for each" if element.objects else ""
    return Guess(DeltaType("VARIANT"), f"lists of {what}, {sizes}{hint}")
