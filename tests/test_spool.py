"""The spool file: its settings, its numbers, its lock, its limits.

What must be in it after which events is the business of `test_spool_model.py`.
"""

import contextlib
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from support.spools import TABLE, batch, letter, limit, opened, store

from collector.errors import LockedError, SpoolError, SpoolFullError
from collector.spool import Group, Limits, Spool
from collector.spool.database import BUSY_MS, open_reader
from collector.spool.kept_rows import StoredAnswer
from collector.spool.lock import SpoolLock
from collector.spool.seq import BLOCK, SeqNumbers
from collector.spool.tables import VERSION


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "spool.db"


def fill(spool):
    while True:
        store(spool, *[b"x" * 1_000] * 50)


def one(spool, sql):
    return spool._writer._connection.execute(sql).fetchone()[0]


# -- settings --------------------------------------------------------------------------------


def test_a_commit_is_synced_before_it_is_answered(path):
    with opened(path) as spool:
        assert one(spool, "PRAGMA synchronous") == 2
        assert one(spool, "PRAGMA journal_mode") == "wal"
        spool._writer._broken = True
        store(spool, b"x")
        assert one(spool, "PRAGMA synchronous") == 2


def test_the_file_says_what_it_is_and_can_shrink(path):
    with opened(path) as spool:
        assert one(spool, "PRAGMA auto_vacuum") == 2
        assert one(spool, "PRAGMA journal_size_limit") == 16 * 1024 * 1024
        assert one(spool, "PRAGMA secure_delete") == 2
        assert one(spool, "PRAGMA user_version") == VERSION
        assert one(spool, "PRAGMA application_id") == 0x5A425553


def test_nobody_else_can_read_the_spool_or_its_wal(path):
    lock = SpoolLock(path)
    assert lock.take()
    with opened(path) as spool:
        store(spool, b"x")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    lock.release()
    assert {"spool.db", "spool.db-wal", "spool.db.seq", "spool.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# -- what is no spool ------------------------------------------------------------------------


def test_another_programs_file_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(SpoolError, match="not a spool"):
        Spool(path, Limits())
    assert path.read_bytes() == before


def test_a_spool_of_a_newer_version_is_refused_and_left_as_it_is(path):
    with opened(path) as spool:
        spool._writer._connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(SpoolError, match=f"version {VERSION + 1}"):
        Spool(path, Limits())
    assert path.read_bytes() == before


def test_garbage_a_folder_and_a_file_above_are_refused_with_the_path(tmp_path):
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"no database at all, however long it may be" * 100)
    (tmp_path / "folder.db").mkdir()
    for place in (garbage, tmp_path / "folder.db", garbage / "spool.db"):
        with pytest.raises(SpoolError, match=str(tmp_path)):
            Spool(place, Limits())
    with pytest.raises(SpoolError, match=r"garbage\.db"):
        SpoolLock(garbage / "spool.db").take()


# -- numbers ---------------------------------------------------------------------------------


def test_the_mark_is_on_the_disk_before_a_number_beyond_it_is_given(path):
    mark = path.with_name("spool.db.seq")
    with opened(path) as spool:
        for count in (1, BLOCK, 5, 3 * BLOCK, 1):
            first = spool.reserve(count)
            assert int(mark.read_text()) >= first + count


def test_a_new_file_and_an_old_copy_begin_behind_every_number_that_was_given(path, tmp_path):
    copy = tmp_path / "copy.db"
    with opened(path) as spool:
        store(spool, b"a")
    shutil.copy(path, copy)
    with opened(path) as spool:
        store(spool, b"b")
        highest = spool.reserve(1_000)
    shutil.copy(copy, path)
    with opened(path) as spool:
        assert spool.reserve() >= highest + 1_000
        highest = spool.reserve()
    path.unlink()
    with opened(path) as spool:
        assert spool.reserve() > highest


def test_without_a_mark_numbers_go_on_behind_the_highest_that_was_stored(path):
    with opened(path) as spool:
        store(spool, *[b"x"] * 10)
        (stored,) = spool.read(TABLE, 0)
    path.with_name("spool.db.seq").unlink()
    with opened(path) as spool:
        assert spool.reserve() > stored.seqs[-1]


def test_numbers_begin_at_the_clock_or_where_no_clock_gets_when_it_is_wrong(tmp_path):
    now_us = 1_800_000_000_000_000
    assert SeqNumbers(tmp_path / "a", None, lambda: now_us * 1_000).take() == now_us
    in_1970 = [SeqNumbers(tmp_path / name, None, lambda: 5).take() for name in ("b", "c")]
    assert all(1 << 60 <= first < 1 << 61 for first in in_1970)
    assert in_1970[0] != in_1970[1]


def test_records_keep_their_numbers_though_they_are_in_no_run(path):
    with opened(path) as spool:
        first = spool.reserve(100)
        seqs = [first + 90, first, first + 7]
        spool.append(Group([batch(spool, [b"a", b"b", b"c"], seqs)]))
        (found,) = spool.read(TABLE, 0)
        assert list(zip(found.seqs, found.records, strict=True)) == [
            (first + 90, b"a"),
            (first, b"b"),
            (first + 7, b"c"),
        ]
        spool.cut(found.id, 1)
        (found,) = spool.read(TABLE, 0)
        assert list(found.seqs) == seqs[1:]


def test_what_is_acknowledged_is_deleted_in_commits_of_a_bounded_size(path):
    with opened(path) as spool:
        spool.append(Group([batch(spool, [b"x"]) for _ in range(1_200)]))
        spool.acknowledge(spool_ids(spool))
        before = spool.commits
        store(spool, b"y")
        assert spool.reader.counters()[f"table:{TABLE}", "delivered"] == 500
        spool.tick()
        assert spool.commits == before + 3
        assert spool.reader.counters()[f"table:{TABLE}", "delivered"] == 1_200
        assert [found.records for found in spool.read(TABLE, 0)] == [[b"y"]]


def spool_ids(spool):
    return [row[0] for row in spool.reader.walk(TABLE, 0, 100_000)]


def test_a_read_ends_behind_the_batch_that_fills_it_and_leaves_acknowledged_ones_out(path):
    with opened(path) as spool:
        for _ in range(40):
            store(spool, b"x" * 1_000)
        ids = spool_ids(spool)
        assert [one.id for one in spool.read(TABLE, 0, 100, 2_500)] == ids[:3]
        assert [one.id for one in spool.read(TABLE, 0, 100, 1)] == ids[:1]
        spool.acknowledge(ids[:-1])
        assert [one.id for one in spool.read(TABLE, 0, 16)] == ids[-1:]
        assert spool.read(TABLE, ids[-1]) == []


# -- the lock --------------------------------------------------------------------------------


def test_a_spool_that_another_process_holds_is_locked_and_free_when_it_dies(path):
    program = (
        "import sys, pathlib; from collector.spool.lock import SpoolLock\n"
        "assert SpoolLock(pathlib.Path(sys.argv[1])).take(); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        lock, began = SpoolLock(path), time.monotonic()
        with pytest.raises(LockedError, match=f"process {other.pid} owns the spool"):
            lock.wait(0.3)
        assert 0.3 <= time.monotonic() - began < 3
        other.kill()
        other.wait()
        lock.wait(5)
        lock.release()


# -- full ------------------------------------------------------------------------------------


def test_a_full_spool_stores_nothing_and_still_deletes(path):
    with opened(path, max_bytes=1 << 20) as spool:
        with pytest.raises(SpoolFullError, match=r"spool\.max_bytes"):
            fill(spool)
        before = spool.reader.counters()
        with pytest.raises(SpoolFullError):
            spool.append(Group(dead_letters=[letter()]))
        assert spool.reader.counters() == before
        while found := spool.read(TABLE, 0):
            spool.acknowledge([entry.id for entry in found])
        spool.tick()
        assert spool.reader.counters()[f"table:{TABLE}", "spooled"] == 0
        store(spool, b"room again")


def test_an_empty_spool_with_a_large_wal_is_not_full(path):
    """SQLite writes a WAL over and over without shrinking it: its size alone says nothing."""
    with opened(path) as spool:
        store(spool, *[b"x" * 1_000] * 4_000)
        spool.acknowledge([entry.id for entry in spool.read(TABLE, 0)])
        spool.tick()
        assert path.with_name("spool.db-wal").stat().st_size > 1 << 20
        limit(spool, 1 << 20)
        store(spool, b"x")


def test_a_disk_with_too_little_room_is_full_and_gets_free_pages_back(path):
    with opened(path) as spool:
        store(spool, *[b"x" * 1_000] * 2_000)
        spool.acknowledge([entry.id for entry in spool.read(TABLE, 0)])
        spool.tick()
    with opened(path, min_free_bytes=1 << 50) as spool:
        size = path.stat().st_size
        with pytest.raises(SpoolFullError, match=r"spool\.min_free_bytes"):
            store(spool, b"x")
        spool.tick()
        spool._writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert path.stat().st_size < size / 2


def test_nobody_waits_for_a_reader_while_the_wal_is_emptied(path):
    with opened(path) as spool:
        store(spool, b"before")
        with closing(open_reader(path)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM batches").fetchall()
            store(spool, b"behind the reader")
            emptying = threading.Thread(target=empty_often, args=(spool._writer,), daemon=True)
            emptying.start()
            # A hundred times the timeout of one would be minutes.
            emptying.join(60)
            assert not emptying.is_alive()
            assert one(spool, "PRAGMA busy_timeout") == BUSY_MS
            assert path.with_name("spool.db-wal").stat().st_size
        spool._writer.empty_wal()
        assert not path.with_name("spool.db-wal").stat().st_size


def empty_often(writer):
    for _ in range(100):
        writer.empty_wal()


# -- answers to requests ---------------------------------------------------------------------


def answer(key, at_us, text="{}"):
    return StoredAnswer(b"%d" % key, b"body", at_us, text)


def test_no_more_answers_are_kept_than_take_a_sixteenth_of_the_spool(tmp_path):
    with opened(tmp_path / "spool.db", max_bytes=8 << 20, answers_window_s=1e12) as spool:
        assert spool.limits.answers_max == 512
        for key in range(600):
            spool.append(Group(answers=[answer(key, at_us=key, text="x" * 896)]))
        ((count, size),) = spool.reader.rows(
            "SELECT count(*), sum(length(key) + length(body) + length(text)) FROM answers"
        )
        assert (count, size < spool.limits.max_bytes // 16) == (512, True)
        assert spool.reader.answer(b"87", 0) is None
        assert spool.reader.answer(b"599", 0) == (b"body", "x" * 896)
        # One of another time is none, though it may still be in the file.
        assert spool.reader.answer(b"599", 600) is None


def test_old_answers_go_by_the_tick_also_while_the_spool_is_full(tmp_path):
    with opened(tmp_path / "spool.db", max_bytes=8 << 20, answers_window_s=60) as spool:
        now_us = time.time_ns() // 1000
        old = [answer(key, now_us - 61_000_000) for key in range(20)]
        spool.append(Group(answers=[*old, answer(100, now_us)]))
        with contextlib.suppress(SpoolFullError):
            for _ in range(100):
                store(spool, b"x" * 200_000)
        with pytest.raises(SpoolFullError):
            store(spool, b"x")
        spool.tick()
        assert spool.reader.rows("SELECT count(*) FROM answers") == [(1,)]
        assert spool.reader.answer(b"100", 0) is not None
