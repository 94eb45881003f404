"""The columns of payloads that are no objects: one value per topic, or a list of plain values."""

from collector.discover.grouping import Group
from collector.discover.layout import Columns, Layout, guess_node
from collector.discover.limits import NOT_NULL_FROM
from collector.discover.names import plain
from collector.discover.records import Reading
from collector.discover.scalars import Guess, guess
from collector.discover.tree import Node
from collector.tables import DeltaType


def bare(group: Group, reading: Reading) -> Layout:
    """One bare value per message: a column if all topics have one type, else one for each kind."""
    columns = Columns(group.captures)
    name = _value_name(group)
    by_topic = [
        guess(name, node.values, from_one_word=True)
        for node in reading.by_topic.values()
        if node.values
    ]
    types = {one.delta.name for one in by_topic}
    words = {repr(one.steps.get("map")) for one in by_topic}
    joint = guess(name, reading.root.values)
    count = f"{len(reading.root.values):,} of {reading.records:,}"
    if joint.delta.name != "STRING" or (types == {"STRING"} and len(words) == 1):
        if len(by_topic) > 1 and "null_if" in joint.steps:
            # What stands apart from all topics together may be usual in one of them.
            joint = _without_sentinels(joint)
        nullable = joint.has_nulls or len(reading.root.values) < NOT_NULL_FROM
        said = Guess(joint.delta, f"{count}, {joint.evidence}", joint.steps)
        columns.add(name, ".", said, nullable=nullable)
        return columns.finished()
    columns.add(name, ".", Guess(DeltaType("STRING"), f"{count}, as text"), nullable=True)
    numbers = sum(one.delta.name in ("BIGINT", "DOUBLE") for one in by_topic)
    if numbers:
        text = f"{numbers:,} of {len(by_topic):,} topics have numbers"
        said = Guess(DeltaType("DOUBLE"), text, {"lenient": True})
        columns.add(f"{name}_number", ".", said, nullable=True)
    native = {"true": True, "false": False}
    maps = [one.steps.get("map", native) for one in by_topic if one.delta.name == "BOOLEAN"]
    if maps:
        meant = {word: value for one in maps for word, value in one.items()}
        text = f"{len(maps):,} of {len(by_topic):,} topics have such words"
        said = Guess(DeltaType("BOOLEAN"), text, {"map": meant, "lenient": True})
        columns.add(f"{name}_boolean", ".", said, nullable=True)
    return columns.finished()


def _without_sentinels(found: Guess) -> Guess:
    texts = [one for one in found.steps["null_if"] if isinstance(one, str)]
    steps = {key: value for key, value in found.steps.items() if key != "null_if"}
    return Guess(
        found.delta, found.evidence, steps | ({"null_if": texts} if texts else {}), bool(texts)
    )


def _value_name(group: Group) -> str:
    """What the value of a topic is called: by the last word of its filter, if it ends with one."""
    last = group.filter.rpartition("/")[2]
    return plain(last, "value") if "{" not in last else "value"


def lists(group: Group, reading: Reading) -> Layout:
    """Payloads that are lists of plain values: by position, or a row for each member."""
    element = reading.root.element or Node()
    if length := reading.by_position:
        columns = Columns(group.captures)
        for place in range(length):
            found = guess_node(f"value_{place}", element)
            columns.add(f"value_{place}", f"/{place}", found, nullable=True)
        layout = columns.finished()
        layout.notes.append(f"Each payload is a list of {length}: a column for each position.")
        return layout
    columns = Columns(group.captures)
    places = Guess(DeltaType("BIGINT"), "the place in the list, from 0")
    columns.add("place", "$index", places, nullable=False)
    columns.add("value", ".", guess_node("value", element), nullable=True)
    layout = columns.finished()
    layout.each = "/*"
    layout.notes.append("Each payload is a list: a row for each member.")
    return layout
