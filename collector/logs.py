"""Logs on stderr: one event a line, with journald's priorities when journald reads them."""

import logging
import os
import sys
from typing import Final

_PRIORITIES: Final = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}


class _Lines(logging.Formatter):
    """Keeps an event on one line, and control characters from a payload out of terminals."""

    def __init__(self, journald: bool) -> None:
        text = "%(levelname)-7s %(name)s: %(message)s"
        super().__init__(text if journald else "%(asctime)s " + text)
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        text = "".join(
            char if char.isprintable() else "\\n" if char == "\n" else repr(char)[1:-1]
            for char in super().format(record)
        )
        return f"<{_PRIORITIES[record.levelname]}>{text}" if self._journald else text


def configure(level: str) -> None:
    """Send logs of `level` and above to stderr."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Lines(journald="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)
