"""The last things that changed: what the collector logs at INFO and above, a few of them."""

import logging
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final

EVENTS_MAX: Final = 20
LIKE_IT_S: Final = 60.0
_TEXT_MAX: Final = 500


@dataclass(slots=True)
class Event:
    """A line of the log; `more` are those like it within a minute. Its text may be a stranger's."""

    at_us: int
    level: str
    text: str
    more: int = 0


class Events(logging.Handler):
    """A handler for the logger `collector`; `number` grows with all that it is given.

    What is said again, or of another table or station, is no event of its own: an outage would
    push out what was before it.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.number = 0
        self._events: deque[tuple[object, float, Event]] = deque(maxlen=EVENTS_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        self.number += 1
        where = getattr(record, "table", None) or getattr(record, "station", None)
        key = _key(record, where)
        for known, at, event in self._events:
            if known == key and record.created - at < LIKE_IT_S:
                event.more += 1
                return
        event = Event(int(record.created * 1e6), record.levelname.lower(), _text(record, where))
        self._events.appendleft((key, record.created, event))

    def latest(self) -> list[dict[str, Any]]:
        """Return the events, the newest first."""
        self.acquire()
        try:
            return [asdict(event) for *_, event in self._events]
        finally:
            self.release()


def _key(record: logging.LogRecord, where: str | None) -> object:
    """What makes a line the same as another: neither its numbers, nor of whom it tells."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    texts = [str(one) for one in arguments if not isinstance(one, int | float) and one != where]
    return record.name, record.levelno, record.msg, texts


def _text(record: logging.LogRecord, where: str | None) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}: {record.exc_info[1]!r}"
    if where and where not in text:
        text = f"{where}: {text}"
    return text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + "…"
