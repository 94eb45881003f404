"""Topics that their own few payloads do not explain, but their siblings do.

A device that sends half of its lines broken is still one of its family: where a topic fits the
filter of a group whose format reads some of its payloads, it belongs there, and what can't be read
is named at the end.
"""

from collections.abc import Sequence

from collector.discover.forms import LOOKED_AT, Form
from collector.discover.grouping import group
from collector.discover.heard import Topic
from collector.formats import Records
from collector.model import Arrival, DecodeError
from collector.router import parse_filter

_WEAK = frozenset({"text", ""})
_GROUPS_MAX = 200


def adopted(found: Sequence[tuple[Topic, Form]]) -> list[tuple[Topic, Form]]:
    """Give topics without a form of their own that of their siblings."""
    strong = [(topic, form) for topic, form in found if form.format not in _WEAK]
    families = [
        (parse_filter(one.filter).pattern, one.form)
        for one in group(strong)
        if one.captures and one.form.format not in ("json", "sparkplug")
    ][:_GROUPS_MAX]
    result = []
    for topic, form in found:
        chosen = form
        if form.format in _WEAK:
            fitting = (other for pattern, other in families if pattern.read(topic.name))
            chosen = next((other for other in fitting if _reads_some(other, topic)), form)
        result.append((topic, chosen))
    return result


def _reads_some(form: Form, topic: Topic) -> bool:
    decode = form.decode()
    for kept in topic.kept[:LOOKED_AT]:
        try:
            value = decode(kept.message.payload, Arrival(topic.name, kept.received_us))
        except DecodeError:
            continue
        records = value if isinstance(value, Records) else [value]
        if any(isinstance(one, dict) and _is_whole(one, form) for one in records):
            return True
    return False


def _is_whole(record: dict[str, object], form: Form) -> bool:
    """Whether a record is more than any text would give: a line of CSV has all of its fields."""
    names = dict(form.options).get("columns")
    return form.format != "csv" or not names or len(record) == len(names)
