"""Logs on stderr: one event a line, as key=value or JSON, with journald's priorities if it reads.

What is repeated is said once and then every minute with a count, so that a week without a network
does not fill a disk. Control characters of payloads never reach a terminal.
"""

import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any, Final

AGAIN_S: Final = 60.0
_REPEATED_MAX: Final = 1_000
_PRIORITIES: Final = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}
_FIELDS: Final = ("table", "station")
"""What a log call may give as `extra`, to be found by."""
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_ANSWERS: Final = (
    "collector.daemon.reload",
    "collector.daemon.control",
    "collector.operations",
)
"""Loggers that say what becomes of something an operator has asked for: each time anew."""
_SYSTEM_LOG: Final = "/dev/log"
SDK: Final = "zerobus.sdk"
"""The logger of what the Zerobus SDK says."""


class _Lines(logging.Formatter):
    """One line for a record: `time=… level=… logger=… message="…"`, or the same as JSON."""

    def __init__(self, *, as_json: bool = False, journald: bool = False) -> None:
        super().__init__()
        self._as_json = as_json
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        values = self._values(record)
        if self._as_json:
            text = json.dumps(values)
        else:
            text = " ".join(f"{key}={_quoted(value)}" for key, value in values.items())
        return f"<{_PRIORITIES[record.levelname]}>{text}" if self._journald else text

    def _values(self, record: logging.LogRecord) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if not self._journald:
            values["time"] = _iso(record.created)
        values |= {"level": record.levelname.lower(), "logger": record.name}
        values["message"] = record.getMessage()
        values |= {key: found for key in _FIELDS if (found := getattr(record, key, None))}
        if repeated := getattr(record, "repeated", 0):
            values["repeated"] = repeated
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return values


def _iso(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: Any) -> str:
    r"""Return a value as a terminal may see it: in quotes unless it is one plain word.

    >>> print(_quoted("a b"), _quoted("ok"), _quoted("\x1b[2J"))
    "a b" ok "\x1b[2J"
    """
    text = str(value)
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in escaped)
    return f'"{shown}"'


class Repeats(logging.Filter):
    """Lets a warning or error through once, and then at most every minute with what was left out.

    Numbers in its arguments do not make it another one: `next in 1.2 s` is `next in 2.4 s`. What
    the SDK says is held to the same, at every level.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        # What was said: when, how often since, and the last record of it.
        self._said: dict[object, tuple[float, int, logging.LogRecord]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be written; one that is carries what was left out before."""
        if record.levelno < logging.WARNING and record.name != SDK:
            return True
        if record.name.startswith(_ANSWERS):
            return True
        key, now = _key(record), self._clock()
        with self._lock:
            at, count, _ = self._said.pop(key, (now - AGAIN_S, 0, record))
            is_due = now - at >= AGAIN_S
            self._said[key] = (now, 0, record) if is_due else (at, count + 1, record)
            if len(self._said) > _REPEATED_MAX:
                del self._said[next(iter(self._said))]
        if is_due and count:
            record.repeated = count
        return is_due

    def take_untold(self) -> list[tuple[int, logging.LogRecord]]:
        """Return what was left out and has not come again for a minute: how often, and the last."""
        now, untold = self._clock(), []
        with self._lock:
            over = [key for key, (at, _, _) in self._said.items() if now - at >= AGAIN_S]
            for key in over:
                _, count, record = self._said.pop(key)
                if count:
                    untold.append((count, record))
        return untold


def _key(record: logging.LogRecord) -> object:
    """What makes a record the same as another."""
    if record.name == SDK:
        return record.levelno, re.sub(r"[0-9a-f-]{8,}|\d+", "#", record.getMessage())
    arguments = record.args if isinstance(record.args, tuple) else ()
    texts = tuple(str(one) for one in arguments if not isinstance(one, int | float))
    return record.name, record.levelno, record.msg, texts


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to stderr what is no repeat."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(lines)
        self.repeats = Repeats()
        self.addFilter(self.repeats)

    def tell(self) -> None:
        """Write the counts of what was left out; INFO, since it may be mended by now."""
        for count, last in self.repeats.take_untold():
            text = f"{count} more like it, the last at {_iso(last.created)}: {last.getMessage()}"
            record = logging.makeLogRecord(
                {"name": last.name, "levelno": logging.INFO, "levelname": "INFO", "msg": text}
            )
            self.acquire()
            try:
                self.emit(record)
            finally:
                self.release()


def tell_repeats() -> None:
    """Write, once a minute for each, what was left out of the logs; to be called now and then."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.tell()


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
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)


def configure(level: str, form: str = "text") -> None:
    """Send logs of `level` and above to stderr, as `text` (key=value) or `json`."""
    lines = _Lines(as_json=form == "json", journald=_is_journal())
    logging.basicConfig(level=level.upper(), handlers=[_Stderr(lines)], force=True)


def _is_journal() -> bool:
    """Whether stderr is journald's: a variable that a shell has inherited is not enough."""
    about = os.fstat(sys.stderr.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"
