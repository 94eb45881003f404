"""What was heard so far, by groups, while more is heard: cheap enough to be asked each second."""

from dataclasses import dataclass

from collector.discover.forms import Form, recognise
from collector.discover.grouping import group
from collector.discover.heard import Heard
from collector.discover.overlaps import part

_AT_ONCE = 500
"""Topics that are recognised for one picture; the others wait for the next ones."""


@dataclass(frozen=True, slots=True)
class Line:
    """A group of topics as it is shown."""

    filter: str
    format: str
    topics: int
    messages: int
    fields: int


class Overview:
    """Remembers what topics are, and asks again when a topic has twice as many messages."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._forms: dict[str, tuple[int, Form]] = {}

    def lines(self) -> list[Line]:
        """Return the groups, the largest first."""
        left = _AT_ONCE
        found = []
        for topic in self._heard.topics.values():
            count, form = self._forms.get(topic.name, (0, None))
            if left and topic.kept and len(topic.kept) >= 2 * count:
                left -= 1
                form = recognise(topic.name, [kept.message.payload for kept in topic.kept])
                self._forms[topic.name] = (len(topic.kept), form)
            if form is not None:
                found.append((topic, form))
        return [
            Line(
                one.filter,
                one.form.format or "?",
                len(one.topics),
                one.messages,
                len(one.form.keys),
            )
            for one in part(group(found), ())
        ]
