"""What the Zerobus SDK logs, joined into the logs of the collector.

Its Rust side writes coloured lines to stdout, whatever Python does. So stdout becomes a pipe whose
lines are logged here. What it calls an error is a stream that ended: the drain says what follows
from that, so its errors and warnings are INFO here, and the rest is DEBUG.
"""

import logging
import os
import re
import threading
from typing import Final

from collector.logs import SDK

_STDOUT: Final = 1
_LINE_MAX_BYTES: Final = 16 * 1024
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_EVENT: Final = re.compile(r"\S+Z\s+(ERROR|WARN|INFO|DEBUG|TRACE)\s+([\w:]+):\s*(.*)")


def join(level: str) -> None:
    """Read stdout from here on; to be called once, before the SDK is imported.

    The SDK never waits for the reader: what does not fit into the pipe is lost.
    """
    os.environ.setdefault("RUST_LOG", "info" if level == "debug" else "warn")
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    os.dup2(write_end, _STDOUT)
    os.close(write_end)
    threading.Thread(target=_read, args=(read_end,), name="SDK log", daemon=True).start()


def _read(descriptor: int) -> None:
    logger = logging.getLogger(SDK)
    with os.fdopen(descriptor, "rb") as lines:
        while line := lines.readline(_LINE_MAX_BYTES):
            level, text = parse(line.decode(errors="backslashreplace"))
            if text:
                logger.log(level, "%s", text)


def parse(line: str) -> tuple[int, str]:
    r"""Return the level and the text of a line.

    >>> parse("2026-11-28T17:11:44Z \x1b[31mERROR\x1b[0m a::b: gone \x1b[3mtable\x1b[0m=t")
    (20, 'b: gone table=t')
    """
    plain = _COLOURS.sub("", line).strip()
    event = _EVENT.match(plain)
    if event is None:
        return logging.INFO, plain
    level = logging.INFO if event[1] in ("ERROR", "WARN") else logging.DEBUG
    return level, f"{event[2].rpartition('::')[2]}: {event[3]}"
