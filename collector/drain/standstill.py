"""What a drain does when nothing moves: say why, wait, and know when the next try is due.

The service is away, or it said no to the table, or nothing is left but batches that do not fit the
table any more. One of it for each drain, used by its thread.
"""

import logging
import time
from threading import Event
from typing import Final

from collector.backoff import Backoff
from collector.drain.encode_anew import Outdated
from collector.drain.front import Front
from collector.drain.refusals import Refusals
from collector.drain.shared import Shared
from collector.drain.state import DrainState
from collector.errors import SpoolError
from collector.stream import End, StreamError

_log = logging.getLogger(__name__)

_STABLE_S: Final = 60.0
_HELD_FIRST_S: Final = 5.0
_HELD_MAX_S: Final = 600.0
_TOLD_MAX_S: Final = 5.0
"""While an operator waits for a table, its drain tries again at least this often."""


class Standstill:
    """The waits of one table, and what its state says meanwhile."""

    def __init__(
        self,
        table: str,
        shared: Shared,
        state: DrainState,
        front: Front,
        refusals: Refusals,
        wake: Event,
    ) -> None:
        self._table = table
        self._shared = shared
        self._state = state
        self._front = front
        self._refusals = refusals
        self._wake = wake
        self._outdated = Outdated(table, shared, front)
        self._backoff = Backoff(0.5, 60.0)
        self._held_backoff = Backoff(_HELD_FIRST_S, _HELD_MAX_S)
        self._was_away = False
        self._changes = shared.changes

    @property
    def tries(self) -> int:
        """How often in a row the service was away."""
        return self._backoff.tries

    def ended_well(self) -> None:
        """Note that a stream ended as it should."""
        self._backoff.settled()

    def moves(self) -> None:
        """Note an acknowledgment: the service takes records of this table."""
        self._held_backoff.settled()
        if self._was_away:
            self._was_away = False
            self._shared.recovered()

    def wait_out(self, error: StreamError | SpoolError, began: float, word: int) -> None:
        """Wait after a failure: shortly when the service is away, longer when it said no.

        `began` is when the try began, and `word` what an operator had said then.
        """
        if time.monotonic() - began > _STABLE_S:
            self._backoff.settled()
        if isinstance(error, StreamError) and error.end is End.HELD:
            self._hold(error, word)
            return
        before, delay = self._said(), self._backoff.failed()
        self.set_state("waiting", str(error), getattr(error, "hint", ""))
        self._log_change(before, logging.WARNING)
        self._was_away = True
        self._shared.wait_for_recovery(delay)

    def wait_for_aside(self) -> None:
        """Wait until what was set aside is to be tried again, or something else is there."""
        remaining = self._held_backoff.remaining()
        changes, self._changes = self._changes, self._shared.changes
        is_told = self._shared.may_bury(self._table) or self._changes != changes
        if remaining > 0 and not is_told:
            self._wake.wait(remaining)
            self._wake.clear()
        else:
            self._outdated.take_up()

    def set_state(self, name: str, reason: str = "", hint: str = "") -> None:
        """Change what status and health say."""
        state = self._state
        if name == "streaming" and state.state in ("held", "waiting"):
            _log.info("%s: streaming again", self._table, extra={"table": self._table})
        state.state, state.reason, state.hint = name, reason, hint
        if reason:
            state.note_error(reason)
        state.stuck = self._outdated.stuck

    def _hold(self, error: StreamError, word: int) -> None:
        """Go on with what can be encoded anew, or say what is wrong with the table and wait."""
        if self._outdated.after_refusal():
            return
        before = self._said()
        hint = _joined(error.hint, self._outdated.stuck)
        if before[:2] != ("held", error.reason):
            # The look may take a while, and it is known already that the table is held.
            self.set_state("held", error.reason, hint)
        delay = self._held_backoff.failed()
        hint = _joined(hint, self._shared.look(self._table))
        self.set_state("held", error.reason, hint)
        self._log_change(before, logging.ERROR)
        if word or not self._is_only_aside_left():
            limit = min(delay, _TOLD_MAX_S) if word else delay
            self._shared.wait_for_word(self._table, word, limit)

    def _said(self) -> tuple[str, str, str]:
        return self._state.state, self._state.reason, self._state.hint

    def _log_change(self, before: tuple[str, str, str], level: int) -> None:
        said = self._said()
        if said != before:
            name, reason, hint = said
            shown = f" ({hint})" if hint else ""
            fields = {"table": self._table}
            _log.log(level, "%s: %s: %s%s", self._table, name, reason, shown, extra=fields)

    def _is_only_aside_left(self) -> bool:
        if not self._front.has_aside:
            return False
        try:
            return not (self._front.batches(1) or self._refusals.waiting(held=True))
        except SpoolError:
            return False  # The next try says what is wrong with the spool.


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))
