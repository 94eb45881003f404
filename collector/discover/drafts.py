"""Drafts of stations: from a group of topics to what `stations.yaml` says of it.

Most formats give objects whose keys become columns. What is different: one bare value per topic, a
list by position, points of several measurements, and Sparkplug, whose records are known before.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from collector.discover.bare import bare, lists
from collector.discover.grouping import Group
from collector.discover.guessed import source_of
from collector.discover.layout import Columns, Layout
from collector.discover.names import plain, station_name
from collector.discover.particular import points, renamed, sparkplug
from collector.discover.records import Reading, read
from collector.discover.scalars import Guess
from collector.discover.tree import Node
from collector.tables import DeltaType


@dataclass(slots=True)
class Draft:
    """A station to be written; `group` has its topics, `layout` its columns."""

    name: str
    table: str
    group: Group
    layout: Layout

    @property
    def topics(self) -> int:
        """How many topics it takes."""
        return len(self.group.topics)


def draft(group: Group, schema: str, taken: Collection[str]) -> list[Draft]:
    """The stations of a group, with names that are not taken; their tables are in `schema`."""
    drafts: list[Draft] = []
    names = set(taken)
    for layout in _layouts(group):
        words = [*group.literals, layout.suffix] if layout.suffix else group.literals
        name = station_name(words, names)
        names.add(name)
        drafts.append(Draft(name, f"{schema}.{name}", group, layout))
    return drafts


def _layouts(group: Group) -> list[Layout]:
    if group.form.format == "sparkplug":
        return sparkplug()
    reading = read(group)
    options = dict(group.form.options)
    if group.form.format == "influx":
        layouts = points(group, reading)
    elif group.form.format == "senml":
        layouts = [renamed(group, reading)]
    elif reading.lists:
        layouts = [lists(group, reading)]
    elif reading.root.values and not reading.root.objects:
        layouts = [bare(group, reading)]
    else:
        layouts = [_objects(group, reading)]
    for layout in layouts:
        layout.options = options
    return layouts


# -- objects ---------------------------------------------------------------------------------------


def _objects(group: Group, reading: Reading) -> Layout:
    root = reading.root
    found = _each(root, reading.records, group)
    if found is None:
        columns = Columns(group.captures)
        columns.walk(root, reading.records, absolute=True)
        if root.values:
            text = f"{len(root.values):,} of {reading.records:,} are a bare word"
            words = Guess(DeltaType("STRING"), text, {"lenient": True})
            columns.add("word", ".", words, nullable=True)
        return columns.finished()
    path, node = found
    element = node.merged() if node.is_keyed else node.element
    each = f"{source_of(path, absolute=True)}/*" if path else "/*"
    columns = Columns(group.captures)
    if path:
        columns.walk(root, reading.records, absolute=True, skip=path)
    if element is None:
        return columns.finished()
    if node.is_keyed:
        noun = plain(path[-1], "key").removesuffix("s") if path else "key"
        columns.add(
            noun, "$key", Guess(DeltaType("STRING"), f"the {len(node.children):,} keys"),
            nullable=False,
        )  # fmt: skip
        count, what = len(node.children), "key"
    else:
        places = Guess(DeltaType("BIGINT"), "the place in the list, from 0")
        columns.add("place", "$index", places, nullable=False)
        count, what = sum(length * times for length, times in node.lengths.items()), "member"
    if element.objects and not element.values and not element.lists:
        columns.walk(element, element.objects, absolute=False)
    else:
        columns.add_node("value", ".", element, element.seen)
    layout = columns.finished()
    layout.each = each
    layout.notes.append(
        f"A row for each {what} of {each[:-2] or 'the message'} ({count:,} in"
        f" {reading.records:,} messages){'; keys of the message stand in each' if path else ''}."
    )
    return layout


def _each(root: Node, records: int, group: Group) -> tuple[tuple[str, ...], Node] | None:
    """The one list of objects that a message is about: always there, and most of its values."""
    if not root.is_object or group.form.format in ("csv", "kv"):
        return None
    if root.is_keyed:
        return (), root
    found = list(root.lists_of_objects())
    if len(found) != 1:
        return None
    path, node = found[0]
    inner = node.merged() if node.is_keyed else node.element
    outer = root.leaves() - node.leaves()
    is_always = node.seen == records and not node.lengths[0] and not node.nulls
    can_be_said = source_of(path, absolute=True) is not None
    if inner is None or not is_always or inner.leaves() < outer or not can_be_said:
        return None
    return path, node


def names_of(drafts: Sequence[Draft]) -> set[str]:
    """The names that are taken."""
    return {one.name for one in drafts}
