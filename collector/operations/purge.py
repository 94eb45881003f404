"""Records and dead letters that an operator wants gone; each is counted as purged."""

import logging
from collections.abc import Generator
from typing import Any, Final

from collector.spool import Spool
from collector.spool.selection import Selection
from collector.spool.steps import Steps

_log = logging.getLogger(__name__)

_AT_LEAST: Final = 50
_AT_MOST: Final = 500


def purge_records(
    spool: Spool, selection: Selection
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Delete the records that were stored before this moment; what is in flight stays."""
    newest, position = spool.reader.last_batch(), 0
    purged = left = 0
    steps = Steps(_AT_LEAST, _AT_MOST)
    while found := spool.reader.selected(selection, position, steps.size):
        chosen = [identity for identity, _ in found if identity <= newest]
        position = found[-1][0]
        with steps.one():
            deleted = spool.remove(chosen, "purged")
        purged += deleted
        left += sum(records for identity, records in found if identity <= newest) - deleted
        yield {"purged": purged}
        if position >= newest:
            break
    _log.warning("%d records were purged by an operator, %d are in flight", purged, left)
    return {"purged": purged, "in_flight": left}


def purge_letters(
    spool: Spool, selection: Selection
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Delete the dead letters that were there before this moment."""
    newest, position, purged = spool.reader.last_letter(), 0, 0
    steps = Steps(_AT_LEAST, _AT_MOST)
    while found := spool.reader.letters(selection, position, steps.size):
        position = found[-1][0]
        with steps.one(), spool.transaction() as rows:
            chosen = [letter[0] for letter in found if letter[0] <= newest]
            purged += rows.delete_letters(chosen, "dead_purged")
        yield {"purged": purged}
        if position >= newest:
            break
    _log.warning("%d dead letters were purged by an operator", purged)
    return {"purged": purged}
