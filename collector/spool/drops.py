"""What goes when the spool is full, by the rules of the stations (`when_full`, `table_share`).

The order of giving way: a table over its share while space is short; then, when the spool is full,
what stations with `drop_oldest` have stored, the table that holds most of it first; then what comes
for a station with a rule. What is left of a group waits (`pause`), and the gateway with it: there
is one window and PUBACKs go in order. Nothing that a drain has taken is dropped.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from collector.errors import SpoolFullError
from collector.model import DeadLetter, Fault, NewBatch
from collector.spool.group import Group
from collector.spool.limits import Limits
from collector.spool.reader import SpoolReader
from collector.spool.taken import Taken
from collector.status import SHORT_PART

_log = logging.getLogger(__name__)

_SLACK_PART: Final = 100
_LOOK_AT: Final = 256
_TELL_EVERY_S: Final = 60.0
_REASONS: Final = {
    "full": "the spool is full",
    "share": "their table holds more than spool.table_share while space is short",
}


class Drops:
    """Makes a group fit; `remove` deletes batches that no drain has taken and counts them."""

    def __init__(
        self,
        limits: Limits,
        reader: SpoolReader,
        taken: Taken,
        remove: Callable[[list[int], str, str], int],
        check_room: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._reader = reader
        self._taken = taken
        self._remove = remove
        self._check_room = check_room
        # Where the walk over a table's batches goes on: nothing before may be dropped.
        self._walked: dict[str, int] = {}
        # What an earlier run has left untold is told at the first look.
        self._may_tell = True
        self._told_at = -_TELL_EVERY_S

    def fit(self, group: Group, used_bytes: int, *, disk_is_full: bool) -> None:
        """Make room for a group, and take out of it what is to be dropped.

        Raises:
            SpoolFullError: what is left of it doesn't fit, or it may not be thinned and has to be.
        """
        is_short = used_bytes > self._limits.max_bytes * SHORT_PART or disk_is_full
        if is_short and self._limits.table_share < 1:
            self._hold_to_shares(group)
        size = group.size_bytes
        try:
            self._check(size, disk_is_full=disk_is_full)
        except SpoolFullError as full:
            self._make_room(size)
            try:
                self._check_room(size)
            except SpoolFullError:
                if not group.may_be_thinned:
                    raise
                self._drop_coming(group, "full", set(self._limits.drops))
                if group.batches or group.dead_letters:
                    raise full from None

    def summary(self, *, at_once: bool = False) -> Group | None:
        """Return what is to be stored of the drops that no letter tells of, once a minute at most.

        A counter says how many are told, so that a stop or a crash leaves none out.
        """
        since = time.monotonic() - self._told_at
        if not self._may_tell or (since < _TELL_EVERY_S and not at_once):
            return None
        group, received_us = Group(), time.time_ns() // 1000
        for (station, reason), count in sorted(self._untold().items()):
            text = f"{count:,} records of {station} were dropped: {_REASONS[reason]}"
            fault = Fault("dropped", text)
            group.dead_letters.append(DeadLetter(fault, "", b"", received_us, station))
            group.counts[f"station:{station}", f"told:{reason}"] += count
        self._may_tell = bool(group.dead_letters)
        return group if group.dead_letters else None

    def told(self, group: Group) -> None:
        """Note that a summary is stored, and log it."""
        self._told_at = time.monotonic()
        for letter in group.dead_letters:
            _log.error("%s", letter.fault.reason)

    def _untold(self) -> Counter[tuple[str, str]]:
        """What was dropped and not told: (station, reason) → records."""
        untold: Counter[tuple[str, str]] = Counter()
        for (scope, name), value in self._reader.counters().items():
            what, _, reason = name.partition(":")
            if scope.startswith("station:") and what in ("dropped", "told"):
                station = scope.removeprefix("station:")
                untold[station, reason] += value if what == "dropped" else -value
        return +untold

    def _check(self, size: int, *, disk_is_full: bool) -> None:
        if disk_is_full:
            raise SpoolFullError(f"{self._reader.path}: the disk is full")
        self._check_room(size)

    # -- the rules ---------------------------------------------------------------------------

    def _hold_to_shares(self, group: Group) -> None:
        """Let tables that hold more than their share fall to the rules of their stations."""
        share = int(self._limits.max_bytes * self._limits.table_share)
        for table, held in self._held().items():
            coming = sum(len(r) for b in group.batches if b.table == table for r in b.records)
            excess = held + coming - share
            if excess > 0:
                newest = self._with_rule("drop_newest")
                if not group.may_be_thinned and coming and _brings(group, newest, table):
                    raise SpoolFullError(f"{table} holds more than spool.table_share")
                self._drop_coming(group, "share", newest, table)
                # A little more, so that the next groups find room without a commit of their own.
                self._drop_oldest(table, excess + share // _SLACK_PART, "share")

    def _make_room(self, size: int) -> None:
        """Drop the oldest of what may be dropped, from the table that holds most of it on."""
        wanted = size + self._limits.max_bytes // _SLACK_PART
        for table in sorted(held := self._held(), key=held.__getitem__, reverse=True):
            wanted -= self._drop_oldest(table, wanted, "full")
            if wanted <= 0:
                return

    def _drop_oldest(self, table: str, wanted: int, reason: str) -> int:
        """Drop batches of a table's `drop_oldest` stations; returns the bytes that it freed."""
        stations = self._with_rule("drop_oldest")
        freed, position = 0, self._walked.get(table, 0)
        passed_one = False
        while stations and freed < wanted:
            found = self._reader.walk(table, position, _LOOK_AT)
            marked = self._taken.marked()
            chosen: list[int] = []
            for identity, station, size, _ in found:
                position = identity
                # Behind one that may be dropped, now or when it is not in flight any more, the
                # next walk begins again.
                if station not in stations:
                    if not passed_one:
                        self._walked[table] = identity
                    continue
                passed_one = True
                if identity not in marked:
                    chosen.append(identity)
                    freed += size
                    if freed >= wanted:
                        break
            self._may_tell = self._may_tell or bool(chosen)
            self._remove(chosen, "dropped", reason)
            if len(found) < _LOOK_AT:
                break
        return freed

    def _drop_coming(
        self, group: Group, reason: str, stations: AbstractSet[str], table: str = ""
    ) -> None:
        """Take what these stations bring out of the group; its records are counted."""
        kept: list[NewBatch] = []
        for batch in group.batches:
            if batch.station in stations and table in ("", batch.table):
                self._may_tell = True
                count = len(batch.records)
                group.counts["table:" + batch.table, "made"] += count
                group.counts["table:" + batch.table, "dropped"] += count
                group.counts["station:" + batch.station, "dropped:" + reason] += count
            else:
                kept.append(batch)
        group.batches = kept
        if not table:
            letters = [one for one in group.dead_letters if one.station not in stations]
            group.counts["", "dead_dropped"] += len(group.dead_letters) - len(letters)
            group.dead_letters = letters

    def _with_rule(self, wanted: str) -> AbstractSet[str]:
        return {station for station, rule in self._limits.drops.items() if rule == wanted}

    def _held(self) -> Mapping[str, int]:
        counters = self._reader.counters()
        return {
            scope[6:]: size for (scope, name), size in counters.items() if name == "spooled_bytes"
        }


def _brings(group: Group, stations: AbstractSet[str], table: str) -> bool:
    return any(one.station in stations and one.table == table for one in group.batches)
