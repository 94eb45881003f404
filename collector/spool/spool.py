"""The writer of the spool: what one commit stores, deletes and counts."""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.errors import SpoolDamagedError, SpoolFullError
from collector.latency import Latency
from collector.model import Batch, Fault
from collector.spool.ages import Ages
from collector.spool.damage.batches import DamagedBatches
from collector.spool.damage.names import Names
from collector.spool.damage.quarantine import leave_marker
from collector.spool.database import disk_error
from collector.spool.drops import Drops
from collector.spool.group import Group, Stored
from collector.spool.limits import Limits
from collector.spool.reader import READ_BYTES, Damaged, SpoolReader
from collector.spool.room import Room
from collector.spool.rows import Rows
from collector.spool.seq import numbers_of
from collector.spool.steps import BREATH_S
from collector.spool.taken import Taken
from collector.spool.watched import Watched
from collector.spool.writer import open_or_quarantine

_DELETES_AT_ONCE: Final = 500


class Spool:
    """The only writer of a spool file. Every method may be called from any thread."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._writer = open_or_quarantine(path, limits)
        self._seqs = numbers_of(path, self._writer)
        self.reader = SpoolReader(path)
        self._writer.ballast.keep()
        self.room = Room(path, limits, self._writer)
        self.taken = Taken(self.reader.has_batches)
        self.watched = Watched()
        self._drops = Drops(limits, self.reader, self.taken, self.remove, self.room.check)
        self._ages = Ages(limits, self.reader, self.taken, self.transaction)
        self._disk_is_full = False
        self._names = Names(path, self.reader)
        self._damaged = DamagedBatches(self.reader, self.transaction)
        self.stored: Stored = lambda _tables, _awaited: None
        self.commits = 0

    def reserve(self, count: int = 1) -> int:
        """Reserve numbers for records and return the first."""
        try:
            return self._seqs.take(count)
        except OSError as error:
            raise disk_error(error, self.path) from error

    def add_schema(self, fingerprint: bytes, stored: bytes) -> None:
        """Keep a schema, so that batches which name it can be decoded by this file alone."""
        with self.transaction() as rows:
            rows.add_schema(fingerprint, stored)

    def append(self, group: Group) -> None:
        """Store a group in one commit, together with the deletes that wait.

        Raises:
            SpoolFullError: a limit is reached; nothing was stored.
            SpoolError: the file can't be written; the next commit reopens it first.
        """
        self._ages.notice_a_step()
        if group.batches or group.dead_letters:
            self._fit(group)
        watching = self.watched.commit(group.watches)
        with self._noticing_a_full_disk(), watching as note, self.transaction() as rows:
            for batch in group.batches:
                note(rows.insert(batch), batch.seqs[0])
            rows.bury(group.dead_letters)
            rows.kept.keep_retained(group.retained)
            rows.kept.keep_memories(group.memories)
            rows.kept.keep_answers(group.answers, self.limits.answers_max)
            rows.count(group.counts)
            self.keep_numbers(rows)
        self.stored({batch.table for batch in group.batches}, group.awaited)

    def keep_numbers(self, rows: Rows) -> None:
        """Keep, by the commit that stores records, which number is to be given next."""
        rows.keep_next_seq(self._seqs.next)

    def _fit(self, group: Group) -> None:
        """Make room for a group, or drop of it what its stations let go."""
        if self.limits.drops:
            used = self.room.used_bytes()[0]
            self._drops.fit(group, used, disk_is_full=self._disk_is_full)
        else:
            self.room.check()

    @contextmanager
    def _noticing_a_full_disk(self) -> Iterator[None]:
        """Remember that the disk had no room, so that the next group is fitted to that."""
        try:
            yield
        except SpoolFullError:
            self._disk_is_full = True
            raise
        self._disk_is_full = False

    def grant(self, filters: Iterable[str]) -> dict[str, int]:
        """Keep the filters that the broker granted; returns all, by number of the first grant."""
        with self.transaction() as rows:
            rows.kept.grant(filters)
        return self.reader.granted()

    def forget_grant(self, filters: Iterable[str]) -> None:
        """Drop filters that were unsubscribed."""
        with self.transaction() as rows:
            rows.kept.forget_grant(filters)

    def read(
        self, table: str, after: int, limit: int = 16, max_bytes: int = READ_BYTES
    ) -> Sequence[Batch]:
        """Return the next batches of a table behind the id `after`: none when there are no more.

        Up to `limit`, and none behind the one that fills `max_bytes`. Batches that are acknowledged
        and not yet deleted are left out, damaged ones too: those stay in the file and are named by
        `damaged`.
        """
        # Copied before the read: what a commit deletes meanwhile is still known as acknowledged.
        acknowledged = set(self.taken.acknowledged())
        while batches := list(self.reader.batches(table, after, limit, max_bytes=max_bytes)):
            if found := self._sound(batches, table, acknowledged):
                return found
            after = batches[-1].id
        return []

    def pick(self, table: str, batches: Iterable[int], limit: int) -> Sequence[Batch]:
        """Return the first of these batches that are still to be sent; suspects are left out."""
        acknowledged = set(self.taken.acknowledged())
        wanted = [one for one in batches if one not in acknowledged]
        return self._sound(self.reader.batches(table, 0, limit, wanted), table, acknowledged)

    def _sound(
        self, batches: Iterable[Batch | Damaged], table: str, acknowledged: AbstractSet[int]
    ) -> list[Batch]:
        found: list[Batch] = []
        for batch in batches:
            if isinstance(batch, Damaged):
                self._damaged.note(table, batch)
            elif batch.id not in acknowledged:
                found.append(batch)
        return found

    def take(self, batches: Sequence[int]) -> bool:
        """Mark batches that are about to be sent; False, and no mark, when one is gone."""
        return self.taken.take(batches)

    def release(self, batches: Iterable[int]) -> None:
        """Say that batches which were taken are not in flight any more."""
        self.taken.release(batches)

    def acknowledge(self, batches: Iterable[int]) -> None:
        """Note that Zerobus has these batches; the next commit, or tick, deletes them."""
        self.taken.acknowledge(batches := list(batches))
        self.watched.settle(batches)

    def remove(self, batches: Iterable[int], counted: str, reason: str = "") -> int:
        """Delete batches that no drain has taken, and count their records as `counted`.

        Returns the number of records. With a `reason` they are counted by station as well.
        """
        with self.taken.removing() as taken, self.transaction() as rows:
            chosen = [one for one in batches if one not in taken]
            count = rows.delete(chosen, counted, reason)
        self.watched.settle(chosen, counted)
        return count

    def cut(self, batch: int, count: int) -> None:
        """Take the first `count` records, which Zerobus has acknowledged, out of a batch."""
        with self.transaction() as rows:
            rows.cut(batch, count, "delivered")
        self.watched.settle_first(batch, count)

    def set_aside(self, batch: int) -> int:
        """Make the first record of a batch a suspect: a batch of its own; returns its id."""
        with self.transaction() as rows:
            suspect = rows.set_aside(batch)
        self.watched.move_first(batch, suspect)
        return suspect

    def bury(self, batch: Batch, fault: Fault) -> None:
        """Make a dead letter of the first record of a batch."""
        with self.transaction() as rows:
            rows.cut(batch.id, 1, "buried")
            rows.bury_records([batch.letter(0, fault)])
        self.watched.settle_first(batch.id, 1, fault.reason)

    def encode_anew(
        self, batch: Batch, fingerprint: bytes, records: Sequence[bytes | Fault]
    ) -> None:
        """Give a batch other bytes and another schema, under the same id and numbers.

        `records` has, for each of its records, the bytes, or the fault that makes it a dead letter.
        """
        pairs = list(zip(batch.seqs, records, strict=True))
        kept = {seq: one for seq, one in pairs if not isinstance(one, Fault)}
        buried = {place: one for place, one in enumerate(records) if isinstance(one, Fault)}
        with self.transaction() as rows:
            if rows.replace(batch, fingerprint, kept):
                rows.bury_records([batch.letter(place, fault) for place, fault in buried.items()])
        self.watched.settle_places(batch.id, buried, "it does not fit the table's schema")

    def tick(self) -> None:
        """What a second brings, beside commits: deletes, expiry, a summary of drops, free pages.

        Raises:
            SpoolDamagedError: some statement found the file damaged; it is marked for the next
                start, which saves what is intact.
        """
        if damage := self.reader.damage or self._writer.damage:
            leave_marker(self.path, damage)
            raise SpoolDamagedError(damage, "The next start saves what is intact.")
        self._delete()
        self._names.keep()
        self._ages.expire()
        self._tell_of_drops()
        self._forget_answers()
        disk_free = shutil.disk_usage(self.path.parent).free
        if disk_free < 2 * self.limits.min_free_bytes:
            self.room.give_pages_back()
        else:
            self._writer.ballast.keep()
        self._damaged.take_out()
        if self.failure:
            # Nothing that comes would tell that the file can be written again.
            with self.transaction() as rows:
                self.keep_numbers(rows)

    def _forget_answers(self) -> None:
        """Drop answers that are too old, also while the spool is full."""
        before_us = int((time.time() - self.limits.answers_window_s) * 1e6)
        if self.reader.has_answers(before_us):
            with self.transaction() as rows:
                rows.kept.forget_answers(before_us)

    def _tell_of_drops(self, *, at_once: bool = False) -> None:
        if summary := self._drops.summary(at_once=at_once):
            with self.transaction() as rows:
                rows.bury(summary.dead_letters)
                rows.count(summary.counts)
            self._drops.told(summary)

    @property
    def failure(self) -> str:
        """Why the last commit failed; empty when it went well."""
        return self._writer.failure

    @property
    def commit_latency(self) -> Latency:
        """How long the commits since the start took."""
        return self._writer.latency

    @property
    def damaged(self) -> dict[int, str]:
        """Batches that were found damaged since the start: id → table and reason."""
        return dict(self._damaged.found)

    def close(self) -> None:
        """Commit the deletes that wait and close the file."""
        try:
            self._delete()
            self._tell_of_drops(at_once=True)
        finally:
            self.reader.close()
            self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One commit, which also deletes some of what was acknowledged before it began."""
        with self._writer.transaction() as rows:
            acknowledged = self.taken.acknowledged()[:_DELETES_AT_ONCE]
            yield rows
            if acknowledged:
                rows.delete(acknowledged)
        self.commits += 1
        self.taken.deleted(acknowledged)

    def _delete(self) -> None:
        """Delete what is acknowledged by now, in commits so short that the intake can wait."""
        for at in range(0, len(self.taken.acknowledged()), _DELETES_AT_ONCE):
            if at:
                time.sleep(BREATH_S)
            with self.transaction():
                pass
