"""What lies in a spool file: damaged batches, dead letters, retained copies, granted filters; and
who reads it meanwhile."""

import shutil
import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from support.spools import TABLE, batch, letter, opened, store

from collector.spool import RETAINED_MAX, Group, Limits, SpoolReader
from collector.spool.contents import Contents


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "spool.db"


# -- damage ----------------------------------------------------------------------------------


def test_a_damaged_batch_is_named_and_not_sent_and_the_others_are(path):
    with opened(path) as spool:
        for number in range(20):
            store(spool, b"record %d" % number)
        first = spool.read(TABLE, 0, 1)[0].id
        broken = [first + 3, first + 4, *range(first + 8, first + 19)]
        flipped = "UPDATE batches SET blob = cast(substr(blob, 1, 5) || x'00' ||"
        for identity in broken:
            spool._writer._connection.execute(
                f"{flipped} substr(blob, 7) AS BLOB) WHERE id = ?", (identity,)
            )
        found, position = [], 0
        while batches := spool.read(TABLE, position, 4):
            position = batches[-1].id
            found += [entry.id for entry in batches]
        assert found == [n for n in range(first, first + 20) if n not in broken]
        assert set(spool.damaged) == set(broken)
        assert all(reason.startswith(TABLE) for reason in spool.damaged.values())
        assert spool.reader.counters()[f"table:{TABLE}", "spooled"] == 20


# -- dead letters, retained copies, granted filters ------------------------------------------


def test_the_oldest_dead_letters_make_room_and_are_counted(path):
    big = Limits().dead_max_bytes // 4
    with opened(path) as spool:
        for number in range(6):
            spool.append(Group(dead_letters=[letter(b"%d" % number * big, f"n{number}")]))
        found = spool.reader.rows("SELECT reason FROM dead_letters ORDER BY id")
        counters = spool.reader.counters()
    assert [reason for (reason,) in found] == ["n2", "n3", "n4", "n5"]
    assert (counters["", "dead"], counters["", "dead_dropped"]) == (4, 2)
    assert counters["", "dead_bytes"] == 4 * big


def test_a_payload_that_many_share_stands_once_until_the_last_is_dropped(path):
    payload = b"p" * (Limits().dead_max_bytes - 10)
    with opened(path) as spool:
        shared = [letter(payload, f"n{number}") for number in range(100)]
        spool.append(Group(dead_letters=shared))
        assert spool.reader.rows("SELECT count(*) FROM payloads") == [(1,)]
        assert spool.reader.counters()["", "dead_bytes"] == len(payload)
        spool.append(Group(dead_letters=[letter(b"more than ten bytes", "last")]))
        assert spool.reader.rows("SELECT reason FROM dead_letters") == [("last",)]
        assert spool.reader.rows("SELECT count(*) FROM payloads") == [(1,)]
        assert spool.reader.counters()["", "dead_bytes"] == len(b"more than ten bytes")


def test_retained_copies_are_known_for_the_last_topics_only(path):
    with opened(path) as spool:
        topics = [b"t/%d" % number for number in range(RETAINED_MAX + 50)]
        spool.append(Group(retained=dict.fromkeys(topics[:-50], b"h")))
        spool.append(Group(retained=dict.fromkeys([topics[0], *topics[-50:]], b"new")))
        known = spool.reader.retained()
        assert len(known) == RETAINED_MAX
        assert known[topics[0]] == b"new"
        assert topics[1] not in known


def test_granted_filters_keep_the_number_of_their_first_grant(path):
    with opened(path) as spool:
        assert spool.grant(["a", "b"]) == {"a": 1, "b": 2}
        assert spool.grant(["c", "a"])["a"] == 1
        spool.forget_grant(["a"])
    with opened(path) as spool:
        granted = spool.grant(["a"])
        assert granted["b"] < granted["c"] < granted["a"]


# -- records by their numbers ----------------------------------------------------------------


def test_a_record_is_found_by_its_number_wherever_its_batch_lies(path):
    with opened(path) as spool:
        first = spool.reserve(1_000)
        runs = [range(first + at, first + at + 5) for at in (0, 500, 20, 10)]
        scattered = [first + 30, first + 40, first + 600]
        for seqs in (*runs, scattered, range(first + 700, first + 701)):
            spool.append(Group([batch(spool, [b"%d" % seq for seq in seqs], seqs)]))
    with closing(Contents(path)) as contents:
        stored = {seq for seqs in (*runs, scattered, [first + 700]) for seq in seqs}
        for seq in range(first - 2, first + 702):
            found = contents.find(seq)
            assert (found is not None) == (seq in stored), seq
            assert found is None or found.body == b"%d" % seq


# -- readers ---------------------------------------------------------------------------------


def test_readers_see_whole_commits_while_a_writer_is_at_work(path):
    over = threading.Event()
    with opened(path) as spool:

        def write():
            while not over.is_set():
                spool.append(
                    Group([batch(spool, [b"x"] * 3)], counts=Counter({("", "recorded"): 3}))
                )

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen, deadline = 0, time.monotonic() + 30
            while seen < 300:
                assert time.monotonic() < deadline
                reader = SpoolReader(path)
                counters = reader.counters()
                seen = counters.get((f"table:{TABLE}", "spooled"), 0)
                assert seen == counters.get(("", "recorded"), 0)
                reader.close()
        finally:
            over.set()
            writer.join()


def test_a_copy_of_the_file_alone_can_be_read(path, tmp_path):
    with opened(path) as spool:
        store(spool, b"one", b"two")
    copy = shutil.copy(path, tmp_path / "copy.db")
    reader = SpoolReader(tmp_path / "copy.db")
    (found,) = reader.batches(TABLE, 0)
    assert found.records == [b"one", b"two"]
    assert reader.schema(found.fingerprint) == b"schema"
    reader.close()
    assert copy.exists()
