"""Logs on stderr: one event a line, with journald's priorities when journald reads them."""

import logging
import os
import sys
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Final

_PRIORITIES: Final = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}
_TEXT: Final = "%(levelname)-7s %(name)s: %(message)s"
_SYSTEM_LOG: Final = "/dev/log"


class _Lines(logging.Formatter):
    """Keeps an event on one line, and control characters from a payload out of terminals."""

    def __init__(self, journald: bool, text: str = "") -> None:
        text = text or ("" if journald else "%(asctime)s ") + _TEXT
        super().__init__(text)
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        text = "".join(
            char if char.isprintable() else "\\n" if char == "\n" else repr(char)[1:-1]
            for char in super().format(record)
        )
        return f"<{_PRIORITIES[record.levelname]}>{text}" if self._journald else text


def operations_to_system_log() -> None:
    """Send what operations log to the system's log, where a command runs them without a daemon.

    The command says the same on the terminal; `journalctl -t collector` shows who did it later.
    """
    logger = logging.getLogger("collector.operations")
    logger.propagate = False
    if not Path(_SYSTEM_LOG).exists():  # As in a container.
        logger.addHandler(logging.NullHandler())
        return
    handler = SysLogHandler(_SYSTEM_LOG)
    handler.ident = "collector: "
    handler.setFormatter(_Lines(journald=False, text="%(message)s"))
    logger.addHandler(handler)


def configure(level: str) -> None:
    """Send logs of `level` and above to stderr."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Lines(journald="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[stream], force=True)
