"""The spool against a plain model: whatever the order of events, nothing is lost or counted twice.

Goal: every record that a commit took is in the spool until it is acknowledged, buried or cut out,
also over a reopen and after refused commits; both balances hold at every step. Method: hypothesis
drives a real file with two writers' numbers (one reserves early and commits late), acknowledgments
in any order, acknowledgments of batches that are gone, and a spool that is full at times. The model
is a dict of what must be there.
"""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from support.spools import limit

from collector.errors import SpoolFullError
from collector.model import DeadLetter, Fault, NewBatch
from collector.spool import Group, Limits, Spool

FINGERPRINT = b"f" * 16
TABLES = ("a.b.one", "a.b.two")
ROOMY, FULL = 1 << 30, 1


class SpoolModel(RuleBasedStateMachine):
    batches = Bundle("batches")
    reserved = Bundle("reserved")

    @initialize()
    def open_first(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "spool.db"
        self.spool = Spool(self.path, Limits(ROOMY))
        self.spool.add_schema(FINGERPRINT, b"schema")
        self.rows = {}  # batch id -> (table, [(seq, record)]), what must be in the spool
        self.waiting = set()  # acknowledged, maybe not deleted yet
        self.gone = set()
        self.made = dict.fromkeys(TABLES, 0)
        self.delivered = dict.fromkeys(TABLES, 0)
        self.buried = dict.fromkeys(TABLES, 0)
        self.dead = 0
        self.received = 0
        self.seqs = set()
        self.life = 0

    @rule(target=reserved, count=st.integers(1, 5))
    def a_second_writer_reserves_numbers(self, count):
        first = self.spool.reserve(count)
        return (self.life, first, count)

    @rule(
        target=batches,
        table=st.sampled_from(TABLES),
        counts=st.lists(st.integers(1, 6), max_size=3),
    )
    def append(self, table, counts):
        return self.commit([(table, self.spool.reserve(count), count) for count in counts])

    @rule(target=batches, table=st.sampled_from(TABLES), late=consumes(reserved))
    def the_second_writer_commits_late(self, table, late):
        life, first, count = late
        # The writers live in one process: what one reserved dies with it.
        return self.commit([(table, first, count)]) if life == self.life else multiple()

    def commit(self, parts):
        group = Group()
        stored = []
        for table, first, count in parts:
            records = [b"%d" % (first + at) for at in range(count)]
            seqs = range(first, first + count)
            group.batches.append(NewBatch(table, "s", FINGERPRINT, seqs, 1, records))
            stored.append((table, list(zip(seqs, records, strict=True))))
        group.counts["", "received"] += len(parts)
        known = set(self.rows)
        self.spool.append(group)
        self.settle()
        self.received += len(parts)
        new_ids = sorted(self.ids() - known)
        assert len(new_ids) == len(stored)
        assert not new_ids or new_ids[0] > max(known | self.gone, default=0)
        for batch, (table, rows) in zip(new_ids, stored, strict=True):
            assert not self.seqs & {seq for seq, _ in rows}
            self.seqs |= {seq for seq, _ in rows}
            self.rows[batch] = (table, rows)
            self.made[table] += len(rows)
        return multiple(*new_ids)

    @rule(table=st.sampled_from(TABLES))
    def a_full_spool_refuses_and_stores_nothing(self, table):
        limit(self.spool, FULL)
        group = Group([NewBatch(table, "s", FINGERPRINT, [self.spool.reserve()], 1, [b"x"])])
        group.counts["", "received"] += 1
        with pytest.raises(SpoolFullError):
            self.spool.append(group)
        limit(self.spool, ROOMY)

    @rule(batch=batches)
    def acknowledge(self, batch):
        """Also of a batch that is gone: a late acknowledgment of a closed stream."""
        self.spool.acknowledge([batch])
        if batch in self.rows:
            self.waiting.add(batch)

    @rule()
    def tick_deletes_what_is_acknowledged(self):
        self.spool.tick()
        self.settle()

    @rule(batch=batches, share=st.floats(0, 1))
    def cut_what_was_accepted(self, batch, share):
        if batch not in self.rows or batch in self.waiting:
            return
        table, rows = self.rows[batch]
        count = 1 + int(share * (len(rows) - 1))
        self.spool.cut(batch, count)
        self.settle()
        self.delivered[table] += count
        self.take(batch, count)

    @rule(target=batches, batch=batches)
    def set_the_first_record_aside(self, batch):
        if batch not in self.rows or batch in self.waiting:
            return multiple()
        table, rows = self.rows[batch]
        suspect = self.spool.set_aside(batch)
        self.settle()
        self.take(batch, 1)
        self.rows[suspect] = (table, rows[:1])
        return suspect

    @rule(batch=batches)
    def bury_a_batch_of_one(self, batch):
        if batch not in self.rows or batch in self.waiting or len(self.rows[batch][1]) != 1:
            return
        table, _ = self.rows[batch]
        (found,) = self.spool.read(table, batch - 1, 1)
        self.spool.bury(found, Fault("refused", "no"))
        self.settle()
        self.buried[table] += 1
        self.dead += 1
        self.take(batch, 1)

    @rule(count=st.integers(1, 3))
    def bury_messages(self, count):
        letters = [DeadLetter(Fault("undecodable", "?"), "t", b"raw", 1) for _ in range(count)]
        self.spool.append(Group(dead_letters=letters))
        self.settle()
        self.dead += count

    @rule()
    def reopen(self):
        """A clean close deletes what waits; numbers go on where they were."""
        self.spool.close()
        self.settle()
        self.spool = Spool(self.path, Limits(ROOMY))
        self.life += 1

    @rule()
    def crash(self):
        """Without close: acknowledgments in memory are lost, and nothing else is."""
        self.spool.reader.close()
        self.spool._writer._connection.close()
        self.waiting.clear()
        self.spool = Spool(self.path, Limits(ROOMY))
        self.life += 1

    def take(self, batch, count):
        table, rows = self.rows[batch]
        self.rows[batch] = (table, rows[count:])
        if not rows[count:]:
            del self.rows[batch]
            self.gone.add(batch)

    def settle(self):
        """A commit has deleted what was acknowledged before it."""
        for batch in self.waiting:
            table, rows = self.rows.pop(batch)
            self.delivered[table] += len(rows)
            self.gone.add(batch)
        self.waiting.clear()

    def ids(self):
        return {row[0] for row in self.spool.reader.rows("SELECT id FROM batches")}

    @invariant()
    def what_must_be_there_is_there_in_order(self):
        if not hasattr(self, "spool"):
            return
        for table in TABLES:
            wanted = [
                (batch, rows)
                for batch, (name, rows) in sorted(self.rows.items())
                if name == table and batch not in self.waiting
            ]
            found, position = [], 0
            while batches := self.spool.read(table, position, 2):
                position = batches[-1].id
                found += [(b.id, list(zip(b.seqs, b.records, strict=True))) for b in batches]
            assert found == wanted

    @invariant()
    def both_balances_hold(self):
        if not hasattr(self, "spool"):
            return
        counters = self.spool.reader.counters()
        assert counters.get(("", "received"), 0) == self.received
        assert counters.get(("", "dead"), 0) == self.dead
        for table in TABLES:
            count = {
                name: value
                for (scope, name), value in counters.items()
                if scope == f"table:{table}"
            }
            spooled = sum(len(rows) for name, rows in self.rows.values() if name == table)
            assert count.get("made", 0) == self.made[table]
            assert count.get("delivered", 0) == self.delivered[table]
            assert count.get("buried", 0) == self.buried[table]
            assert count.get("spooled", 0) == spooled
            assert self.made[table] == self.delivered[table] + self.buried[table] + spooled

    def teardown(self):
        if hasattr(self, "spool"):
            self.spool.close()
            self.folder.cleanup()


SpoolModel.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_the_spool_agrees_with_a_plain_model = SpoolModel.TestCase
