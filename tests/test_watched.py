"""Who waits for records hears of their delivery, and never of one that was not.

Goal: a watch is called delivered exactly when each of its records was acknowledged, whatever became
of the batches meanwhile. Method: random fates for the batches of a real spool, against a plain list
of what was acknowledged.
"""

import random

import pytest
from support.spools import FINGERPRINT, opened

from collector.errors import SpoolError
from collector.model import Fault, NewBatch
from collector.spool import Group
from collector.spool.watched import Watch

TABLE = "main.iot.t"


def commit(spool, *owners):
    """Store a batch whose records belong to these watches, None for nobody's; returns its id."""
    first = spool.reserve(len(owners))
    records = [b"%d" % place for place in range(len(owners))]
    seqs = range(first, first + len(owners))
    group = Group([NewBatch(TABLE, "s", FINGERPRINT, seqs, 1, records)])
    group.watches[first] = [(1, owner) for owner in owners]
    spool.append(group)
    return spool.reader.last_batch()


def batch_of(spool, identity):
    return next(one for one in spool.reader.batches(TABLE, identity - 1, 1) if one.id == identity)


@pytest.fixture
def spool(tmp_path):
    with opened(tmp_path / "spool.db") as one:
        yield one


def test_a_watch_ends_with_the_acknowledgment_of_its_last_batch_and_tells_once(spool):
    watch, told = Watch(3), []
    watch.tell(lambda: told.append("a"))
    one, two = commit(spool, watch, None, watch), commit(spool, watch)
    spool.acknowledge([one])
    assert (watch.has_ended, told) == (False, [])
    spool.acknowledge([two])
    assert (watch.is_delivered, told) == (True, ["a"])
    watch.tell(lambda: told.append("late"))
    assert told == ["a", "late"]
    assert len(spool.watched) == 0


def test_a_record_that_is_set_aside_is_not_delivered_with_its_batch(spool):
    watch = Watch(2)
    batch = commit(spool, watch, watch)
    suspect = spool.set_aside(batch)
    spool.acknowledge([batch])
    assert not watch.has_ended
    spool.acknowledge([suspect])
    assert watch.is_delivered


def test_what_is_buried_purged_or_does_not_fit_any_more_is_never_delivered(spool):
    buried, purged, unfit = Watch(1), Watch(1), Watch(2)
    batch = commit(spool, buried)
    spool.bury(batch_of(spool, batch), Fault("refused", "Zerobus says no"))
    assert (buried.has_ended, buried.is_delivered) == (True, False)
    assert buried.undelivered == "Zerobus says no"
    spool.remove([commit(spool, purged)], "purged")
    assert (purged.has_ended, purged.is_delivered) == (True, False)
    batch = commit(spool, unfit, unfit)
    faults = [b"anew", Fault("schema", "no such column")]
    spool.encode_anew(batch_of(spool, batch), FINGERPRINT, faults)
    spool.acknowledge([batch])
    assert (unfit.has_ended, unfit.is_delivered) == (True, False)
    assert len(spool.watched) == 0


def test_a_commit_that_fails_is_watched_by_nobody(spool):
    watch = Watch(1)
    first = spool.reserve()
    group = Group([NewBatch(TABLE, "s", b"unknown schema", [first], 1, [b"x"])])
    group.watches[first] = [(1, watch)]
    with pytest.raises((SpoolError, TypeError)):
        spool.append(group)
    assert (len(spool.watched), watch.has_ended) == (0, False)


def test_a_watch_that_is_dropped_leaves_nothing_behind(spool):
    watch, other = Watch(2), Watch(1)
    batch = commit(spool, watch, other, watch)
    spool.watched.drop(watch)
    assert len(spool.watched) == 1
    spool.watched.drop(other)
    assert len(spool.watched) == 0
    spool.acknowledge([batch])
    assert (watch.has_ended, other.has_ended) == (False, False)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_to_batches_no_watch_is_delivered_without_its_acknowledgments(
    tmp_path, seed
):
    """`open` are the batches as lists of (watch, record); each step gives one of them a fate."""
    chance = random.Random(seed)
    with opened(tmp_path / "spool.db") as spool:
        counts = [chance.randrange(1, 8) for _ in range(6)]
        watches = [Watch(count) for count in counts]
        owners = [one for one, count in zip(watches, counts, strict=True) for _ in range(count)]
        chance.shuffle(owners)
        left = {watch: owners.count(watch) for watch in watches}
        refused = set()
        there = {}
        while owners:
            size = chance.randrange(1, 6)
            part, owners = owners[:size], owners[size:]
            there[commit(spool, *part)] = part
        while there:
            identity = chance.choice(sorted(there))
            part = there[identity]
            match chance.randrange(5):
                case 0:
                    spool.acknowledge([identity])
                    spool.tick()
                    for watch in there.pop(identity):
                        left[watch] -= 1
                case 1:
                    count = chance.randrange(1, len(part) + 1)
                    spool.cut(identity, count)
                    for watch in part[:count]:
                        left[watch] -= 1
                    there[identity] = part[count:]
                case 2:
                    spool.bury(batch_of(spool, identity), Fault("refused", "no"))
                    refused.add(part[0])
                    there[identity] = part[1:]
                case 3 if len(part) > 1:
                    there[spool.set_aside(identity)] = part[:1]
                    there[identity] = part[1:]
                case 4 if chance.random() < 0.3:
                    spool.remove([identity], "purged")
                    refused |= set(there.pop(identity))
            if not there.get(identity, True):
                del there[identity]
            for watch in watches:
                assert watch.is_delivered == (left[watch] == 0 and watch not in refused)
        assert all(watch.has_ended for watch in watches)
        assert len(spool.watched) == 0
