"""The loop: read the status file, draw what it says, wait."""

import time
from pathlib import Path

from collector import status
from collector.commands._watch.history import STEP_S, History
from collector.commands._watch.picture import Picture
from collector.commands._watch.reading import Reading, take
from collector.commands._watch.screen import Screen, Wish
from collector.errors import CollectorError


def watch(folder: Path, every_s: float) -> None:
    """Show what the status file in a folder says, until q or a signal.

    Raises:
        CollectorError: this user may not read the file, or the terminal is gone.
    """
    watched = _Watched(folder, every_s)
    try:
        with Screen() as screen:
            watched.picture.ascii_only = screen.ascii_only
            while True:
                screen.show(watched.lines(*screen.size()))
                wish = screen.wait(every_s)
                if wish is Wish.QUIT:
                    return
                if wish is Wish.SUSPEND:
                    screen.suspend()
                elif wish is Wish.REDRAW:
                    screen.redraw()
    except OSError as error:
        raise CollectorError(f"the terminal is gone: {error.strerror}") from error


class _Watched:
    """What was read so far: the last good reading, and the history of the backlogs."""

    def __init__(self, folder: Path, every_s: float) -> None:
        self._file = folder / status.FILE
        self._last: Reading | None = None
        self._history = History(max(STEP_S, every_s))
        self.picture = Picture(self._history, every_s)

    def lines(self, columns: int, rows: int) -> list[str]:
        """Read the file and return the lines of a screen."""
        try:
            self._last = take(status.read(self._file.parent))
        except status.NotRunningError as error:
            return self.picture.without(
                self._last, "not running", str(error), self._last_sign(), columns, rows
            )
        except ValueError as error:
            text = f"{self._file} can't be understood: {error}\nIs it of another version?"
            return self.picture.without(self._last, "unknown", text, None, columns, rows)
        if self._last.is_fresh:
            self._history.note(time.monotonic(), self._last.backlogs)
        return self.picture.of(self._last, columns, rows)

    def _last_sign(self) -> float | None:
        """When the daemon last said something, as far as that is known."""
        try:
            return self._file.stat().st_mtime
        except OSError:
            return self._last.updated_us / 1e6 if self._last else None
