"""Records that Zerobus refuses, buried one by one on an operator's word (decision 16).

For a table that is held because every record is refused, or whose older records do not fit its
schema any more. The drain of the table does it; this gives it the word, watches, and takes it back.
"""

import logging
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from collector.errors import CollectorError, SpoolError
from collector.spool import Spool

if TYPE_CHECKING:
    # It brings the SDK, and commands that have no drains start without it.
    from collector.drain import Drains

_log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 0.2
_STUCK_S: Final = 30.0
"""Without progress for so long, the state of the drain is the answer."""


def bury(
    spool: Spool,
    drains: "Drains",
    table: str,
    tick: Callable[[], None],
    stuck_s: float = _STUCK_S,
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Send what a table has at this moment, and bury what is refused.

    `tick` is called as often as the spool's tick is to be, where no daemon does it.

    Raises:
        SpoolError: the table has nothing in the spool.
        CollectorError: nothing moves: the service is away, or does not open the table at all.
    """
    last = spool.reader.newest(table)
    if not last:
        known = ", ".join(spool.reader.tables()) or "none"
        raise SpoolError(f"{table} has nothing in the spool", f"Tables that have: {known}.")
    before = _counts(spool, table)
    _log.warning("%s: an operator lets what is refused be buried, up to batch %d", table, last)
    drains.bury(table, last)
    try:
        seen, seen_at = before, time.monotonic()
        while _is_left(spool, table, last):
            time.sleep(_LOOK_EVERY_S)
            tick()
            now, counts = time.monotonic(), _counts(spool, table)
            yield _progress(before, counts)
            if counts != seen:
                seen, seen_at = counts, now
            elif now - seen_at > stuck_s:
                raise _stuck(drains, table, _progress(before, counts))
    finally:
        drains.bury(table, 0)
    done = _progress(before, _counts(spool, table))
    _log.warning("%s: %d records were buried by an operator's word", table, done["buried"])
    return done


def _is_left(spool: Spool, table: str, last: int) -> bool:
    """Say whether one of them is in the file; what is acknowledged counts when it is deleted."""
    first = spool.reader.walk(table, 0, 1)
    return bool(first) and first[0][0] <= last


def _counts(spool: Spool, table: str) -> tuple[int, int]:
    counters = spool.reader.counters()
    scope = f"table:{table}"
    return counters.get((scope, "buried"), 0), counters.get((scope, "delivered"), 0)


def _progress(before: tuple[int, int], after: tuple[int, int]) -> dict[str, Any]:
    return {"buried": after[0] - before[0], "delivered": after[1] - before[1]}


def _stuck(drains: "Drains", table: str, done: dict[str, Any]) -> CollectorError:
    state = drains.states().get(table)
    what = f"{state.state}: {state.reason}" if state else "not drained"
    hint = state.hint if state else ""
    counts = f"{done['buried']:,} records were buried, {done['delivered']:,} delivered"
    return CollectorError(f"nothing moves: {table} is {what}; {counts}", hint)
