"""The columns of formats whose records are known before: line protocol, SenML, Sparkplug."""

from typing import Final

from collector.discover.grouping import Group
from collector.discover.guessed import source_of
from collector.discover.layout import Columns, Layout
from collector.discover.limits import NOT_NULL_FROM
from collector.discover.names import plain
from collector.discover.records import Reading
from collector.discover.scalars import Guess
from collector.discover.tree import Node
from collector.tables import DeltaType

MEASUREMENTS_MAX: Final = 8
"""So many measurements of line protocol get a station each."""

_SENML_NAMES: Final = {"v": "value", "vs": "value_text", "vb": "value_boolean", "vd": "value_bytes"}
_SPARKPLUG: Final = {
    "metrics": {
        "group": "STRING", "node": "STRING", "device": "STRING", "type": "STRING",
        "metric": "STRING", "alias": "BIGINT", "datatype": "STRING", "time": "TIMESTAMP",
        "number": "DOUBLE", "boolean": "BOOLEAN", "text": "STRING", "bytes": "BINARY",
        "dataset": "VARIANT", "array": "VARIANT", "is_null": "BOOLEAN", "historical": "BOOLEAN",
    },
    "states": {
        "group": "STRING", "node": "STRING", "device": "STRING", "type": "STRING",
        "host": "STRING", "online": "BOOLEAN", "time": "TIMESTAMP", "bd_seq": "BIGINT",
    },
}  # fmt: skip


def points(group: Group, reading: Reading) -> list[Layout]:
    """A station for each measurement; of many one, with tags and fields as they came."""
    if len(reading.by_kind) > MEASUREMENTS_MAX:
        columns = Columns(group.captures)
        kinds = Guess(DeltaType("STRING"), f"{len(reading.by_kind):,} measurements")
        columns.add("measurement", "measurement", kinds, nullable=False)
        for part in ("tags", "fields"):
            columns.add(part, part, Guess(DeltaType("VARIANT"), f"{part} as sent"), nullable=True)
        columns.add_node("time", "time", reading.root.children["time"], reading.records)
        return [columns.finished()]
    layouts = []
    for kind, node in reading.by_kind.items():
        columns = Columns(group.captures)
        records = node.objects
        columns.add_node("time", "time", node.children["time"], records)
        for part in ("tags", "fields"):
            for key, child in node.children[part].children.items():
                source = source_of((part, key), absolute=False)
                if source is not None and part == "tags":
                    _add_tag(columns, key, source, child, records)
                elif source is not None:
                    columns.add_node(plain(key, "field"), source, child, records)
        layout = columns.finished()
        if len(reading.by_kind) > 1:
            layout.when = {"measurement": kind}
            layout.suffix = kind
        layouts.append(layout)
    return layouts


def renamed(group: Group, reading: Reading) -> Layout:
    """The columns of SenML, with names for its labels."""
    columns = Columns(group.captures)
    for key, child in reading.root.children.items():
        columns.add_node(_SENML_NAMES.get(key, key), key, child, reading.records)
    return columns.finished()


def _add_tag(columns: Columns, key: str, source: str, node: Node, records: int) -> None:
    """A tag is a name, though it may be of digits."""
    values = sorted({str(value) for value, _ in node.values})
    text = f"{node.seen:,} of {records:,}, a tag: {', '.join(values[:3])}"
    always = node.seen >= records >= NOT_NULL_FROM
    found = Guess(DeltaType("STRING"), text)
    columns.add(plain(key, "tag"), source, found, nullable=not always)


def sparkplug() -> list[Layout]:
    """A station for metrics, and one for births, deaths and STATE messages."""
    return [_sparkplug(records, types) for records, types in _SPARKPLUG.items()]


def _sparkplug(records: str, types: dict[str, str]) -> Layout:
    columns = Columns({})
    for name, delta in types.items():
        steps = {"time": "ms"} if name == "time" else {}
        found = Guess(DeltaType(delta), "as docs/formats.md has it", steps)
        columns.add(name, name, found, nullable=True)
    layout = columns.finished()
    layout.options = {} if records == "metrics" else {"records": "states"}
    layout.suffix = records
    layout.notes.append(
        "A row for each metric." if records == "metrics" else "A row for each birth, death, STATE."
    )
    return layout
