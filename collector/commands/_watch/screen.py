"""The terminal while something is watched on it: drawn by lines, and given back as it was.

Writes only lines that differ from what is there, in one go: a serial line of 9600 baud carries ten
full lines a second. No line reaches the last column, since terminals disagree on what follows.
"""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, Self

_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_CLEAR: Final = "\x1b[0m\x1b[H\x1b[2J"
_SIGNALS: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP,
)  # fmt: skip
_QUIT: Final = b"qQ\x03"
_REDRAW: Final = b"\x0c"
_FALLBACK: Final = (80, 24)


class Wish(Enum):
    """What ended a wait."""

    NOTHING = "the time is over"
    REDRAW = "the size changed, or Ctrl-L"
    SUSPEND = "Ctrl-Z"
    QUIT = "q, Ctrl-C, or the end of the terminal"


class Screen:
    """A context; what was on the terminal before comes back at its end, whatever ends it."""

    def __init__(self) -> None:
        self._output = sys.stdout.fileno()
        self._keys: int | None = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._encoding = sys.stdout.encoding or "ascii"
        self._mode: list[Any] = []
        self._shown: list[str] = []
        self._handlers: dict[int, Any] = {}
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)

    @property
    def ascii_only(self) -> bool:
        """Whether the terminal takes no more than ASCII can say."""
        return not self._encoding.lower().replace("-", "").startswith("utf")

    def __enter__(self) -> Self:
        # Signals only wake the wait up: whatever is being drawn is drawn to its end.
        self._handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The terminal may be gone, and then nobody misses what it showed.
        with contextlib.suppress(OSError, termios.error):
            self._end()
        signal.set_wakeup_fd(-1)
        for number, before in self._handlers.items():
            signal.signal(number, before)
        os.close(self._woken)
        os.close(self._waker)

    def _begin(self) -> None:
        if self._keys is not None:
            self._mode = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._write(_ENTER)
        self.redraw()

    def _end(self) -> None:
        """Terminals without a second screen keep this one: what follows stands below it."""
        _, rows = self.size()
        self._write(f"\x1b[0m\x1b[{rows};1H\r\n\x1b[?25h\x1b[?1049l")
        if self._keys is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._mode)

    def size(self) -> tuple[int, int]:
        """Return columns and rows; a serial line often knows neither."""
        columns, rows = os.get_terminal_size(self._output)
        return (columns, rows) if columns and rows else _FALLBACK

    def show(self, lines: Sequence[str]) -> None:
        """Write the lines that differ from those that stand there."""
        rows = max(len(lines), len(self._shown))
        wanted = [*lines, *[""] * (rows - len(lines))]
        known = [*self._shown, *[""] * (rows - len(self._shown))]
        self._shown = list(lines)
        self._write(
            "".join(
                f"\x1b[{row};1H{line}\x1b[K"
                for row, (line, before) in enumerate(zip(wanted, known, strict=True), 1)
                if line != before
            )
        )

    def redraw(self) -> None:
        """Clear the terminal; what is shown next is written whole."""
        self._shown = []
        self._write(_CLEAR)

    def suspend(self) -> None:
        """Give the terminal back and stop; goes on when the shell says so."""
        self._end()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._begin()

    def wait(self, seconds: float) -> Wish:
        """Wait for the time, a key or a signal."""
        sources = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready, _, _ = select.select(sources, [], [], seconds)
        if self._woken in ready:
            return _wish_of_signals(os.read(self._woken, 64))
        return self._wish_of_keys() if ready else Wish.NOTHING

    def _wish_of_keys(self) -> Wish:
        assert self._keys is not None  # noqa: S101 - it was waited for.
        typed = os.read(self._keys, 64)
        if not typed or any(key in typed for key in _QUIT):
            return Wish.QUIT
        return Wish.REDRAW if any(key in typed for key in _REDRAW) else Wish.NOTHING

    def _write(self, text: str) -> None:
        left = text.encode(self._encoding, "replace")
        while left:
            left = left[os.write(self._output, left) :]


def _wish_of_signals(numbers: bytes) -> Wish:
    if set(numbers) & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
        return Wish.QUIT
    return Wish.SUSPEND if signal.SIGTSTP in numbers else Wish.REDRAW
