"""The last things that changed: what the collector logs at INFO and above, a few of them."""

import logging
from collections import deque
from typing import Any, Final

from collector.logs import Repeats

EVENTS_MAX: Final = 20
_TEXT_MAX: Final = 500


class Events(logging.Handler):
    """A handler for the logger `collector`; `number` grows with each event.

    What is repeated is taken as the log takes it: once, and then every minute with a count.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.addFilter(Repeats())
        self.number = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)

    def emit(self, record: logging.LogRecord) -> None:
        """Take an event; its text may be a stranger's."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]!r}"
        where = getattr(record, "table", None) or getattr(record, "station", None)
        if where and where not in text:
            text = f"{where}: {text}"
        self.number += 1
        self._events.appendleft(
            {
                "number": self.number,
                "at_us": int(record.created * 1e6),
                "level": record.levelname.lower(),
                "text": text if len(text) <= _TEXT_MAX else text[:_TEXT_MAX] + "…",
                "repeated": getattr(record, "repeated", 0),
            }
        )

    def latest(self) -> list[dict[str, Any]]:
        """Return the events, the newest first."""
        self.acquire()
        try:
            return list(self._events)
        finally:
            self.release()
