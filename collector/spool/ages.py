"""Records that got older than their station's `max_age`: buried as `expired`, or dropped.

Age is a matter of clocks, and a gateway's clock may be wrong for days and then be set. So:

- while the clock shows a time before this program was released, nothing expires;
- a batch whose arrival lies before that, or in the future, never expires by its age;
- when the clock is stepped, the batches of this run that it stamped before are known by their ids,
  and the step is kept in the file and added to their arrival;
- what this run has stored is never older than this run, by a clock that nobody sets.

What nobody can know is a clock that was wrong for the whole of an earlier run.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from collector.model import Batch, DeadLetter, Fault
from collector.spool.limits import Age, Limits
from collector.spool.reader import SpoolReader
from collector.spool.rows import Rows
from collector.spool.seq import RELEASED_US
from collector.spool.steps import Steps
from collector.spool.taken import Taken

_log = logging.getLogger(__name__)

STEP_US: Final = 10_000_000
"""A clock that moves this far beside the monotonic one, from one look to the next, was set."""
_AT_A_TIME: Final = 64
_BUDGET_S: Final = 0.1


class Ages:
    """Looks for records that are too old; one look takes 100 ms at most."""

    def __init__(
        self,
        limits: Limits,
        reader: SpoolReader,
        taken: Taken,
        transaction: Callable[[], AbstractContextManager[Rows]],
        clock_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    ) -> None:
        self._limits = limits
        self._reader = reader
        self._taken = taken
        self._transaction = transaction
        self._clock_ns = clock_ns
        self._steady_ns = steady_ns
        self._lock = threading.Lock()
        self._began_ns = steady_ns()
        self._offset_us = self._clock_offset()
        self._first_of_run = reader.last_batch() + 1
        self._steps = reader.clock_steps()
        # Behind these ids nothing of a station with an age was seen.
        self._walked: dict[str, int] = {}
        self._portions = Steps(1, _AT_A_TIME)

    def expire(self) -> None:
        """Take out what is too old, as far as the time allows."""
        self.notice_a_step()
        now_us = self._clock_ns() // 1000
        if not self._limits.ages or now_us < RELEASED_US:
            return
        deadline = time.monotonic() + _BUDGET_S
        for table in self._reader.tables():
            count, may_be_more = 0, True
            while may_be_more and time.monotonic() < deadline:
                taken_out, may_be_more = self._expire_some(table, now_us)
                count += taken_out
            if count:
                _log.warning("%s: %d records expired", table, count, extra={"table": table})

    def _expire_some(self, table: str, now_us: int) -> tuple[int, bool]:
        """Look at the next batches of a table; returns what went, and whether to look on."""
        began_at = self._walked.get(table, 0)
        found = self._reader.walk(table, began_at, _AT_A_TIME)
        marked = self._taken.marked()
        expired: dict[int, Age] = {}
        walking, seen_aged = True, False
        for identity, station, _, received_us in found:
            age = self._limits.ages.get(station)
            if age is None:
                # Behind one that is in flight now, the next look begins again.
                if not seen_aged:
                    self._walked[table] = identity
                continue
            seen_aged = True
            if not self._is_over(identity, received_us, age, now_us):
                walking = False
                break
            if identity not in marked:
                expired[identity] = age
        # Each record of a batch becomes a letter: a few thousand are much for one commit.
        chosen = dict(islice(expired.items(), self._portions.size))
        taken_out = 0
        if chosen:
            with self._portions.one():
                taken_out = self._take_out(table, chosen)
        moved = taken_out > 0 or self._walked.get(table, 0) > began_at
        left = len(chosen) < len(expired) or (walking and len(found) == _AT_A_TIME)
        return taken_out, moved and left

    def _is_over(self, batch: int, received_us: int, age: Age, now_us: int) -> bool:
        run_s = (self._steady_ns() - self._began_ns) / 1e9
        if batch >= self._first_of_run and run_s < age.max_s:
            return False
        arrived = received_us + sum(
            step for first, last, step in self._steps if first <= batch <= last
        )
        return RELEASED_US <= arrived <= now_us - age.max_s * 1e6

    def _take_out(self, table: str, expired: dict[int, Age]) -> int:
        """Delete batches, and bury their records where the station wants that; returns records."""
        batches = [
            one
            for one in self._reader.batches(table, 0, len(expired), expired)
            if isinstance(one, Batch)
        ]
        with self._taken.removing() as taken, self._transaction() as rows:
            chosen = [one for one in batches if one.id not in taken]
            for batch in chosen:
                if expired[batch.id].bury:
                    rows.bury_records(_letters(batch, expired[batch.id]))
            return rows.delete([one.id for one in chosen], "expired", "age")

    # -- the clock ---------------------------------------------------------------------------

    def _clock_offset(self) -> int:
        """The clock against one that nobody sets, and which goes on while the box sleeps."""
        return (self._clock_ns() - self._steady_ns()) // 1000

    def notice_a_step(self) -> None:
        """Look whether the clock was set; called before a commit, which stores what it stamped."""
        with self._lock:
            offset_us = self._clock_offset()
            step_us, self._offset_us = offset_us - self._offset_us, offset_us
            if abs(step_us) >= STEP_US:
                self._keep_step(step_us)

    def _keep_step(self, step_us: int) -> None:
        last = self._reader.last_batch()
        _log.warning("the clock was set by %+.0f s: ages are counted on", step_us / 1e6)
        if last >= self._first_of_run:
            with self._transaction() as rows:
                rows.keep_clock_step(self._first_of_run, last, step_us)
            self._steps = self._reader.clock_steps()


def _letters(batch: Batch, age: Age) -> list[DeadLetter]:
    fault = Fault("expired", f"older than max_age of the station, {age.max_s:.0f} s")
    return [batch.letter(place, fault) for place in range(len(batch.records))]
