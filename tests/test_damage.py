"""Damaged spool files: none keeps the daemon from starting, and no intact batch is lost.

Goal: whatever is damaged, a spool opens, and every batch whose own pages were not touched is in it
afterwards, once, with its number and bytes. Method: files of mixed batches, with zeros or noise
over a page of each kind, cut off, with a damaged WAL, or not ours at all.
"""

import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from itertools import islice

import pytest
from support.damaged import PAGE, kinds_of_pages, make, overwrite, overwrite_at, tree
from support.filled import fill, make_box
from support.line import Line, reading
from support.spools import FINGERPRINT, TABLE, letter, store
from support.terminal import run_plain
from support.waiting import wait_for

from collector.errors import SpoolDamagedError, SpoolError
from collector.model import DeadLetter, Fault
from collector.spool import Group, Limits, Spool, SpoolReader
from collector.spool.damage.quarantine import MOVED, find_damage, waiting
from collector.spool.damage.salvage import Salvage
from collector.spool.damage.told import losses
from collector.spool.tables import VERSION

NOISE = random.Random(5).randbytes(PAGE)
ZEROS = bytes(PAGE)


def salvage(path):
    """Open a spool and salvage all that waits beside it; returns first seq → records."""
    with closing(Spool(path, Limits())) as spool:
        for folder in waiting(path):
            for _ in Salvage(spool, folder).steps():
                pass
        check_balance(spool)
        found, position = [], 0
        while batches := spool.read(TABLE, position):
            position = batches[-1].id
            found += batches
        # A damaged id can make two rows of one: then they are the same, by number and by content.
        by_seq = {batch.seqs[0]: batch.records for batch in found}
        assert all(by_seq[batch.seqs[0]] == batch.records for batch in found)
        assert waiting(path) == []
        return by_seq


def check_balance(spool):
    count = {name: value for (scope, name), value in spool.reader.counters().items() if scope}
    came = sum(count.get(name, 0) for name in ("made", "salvaged"))
    gone = ("delivered", "spooled", "lost")
    assert came == sum(count.get(name, 0) for name in gone), count


def letters(path):
    with closing(SpoolReader(path)) as reader:
        return reader.rows("SELECT count(*) FROM dead_letters")[0][0]


@pytest.mark.parametrize(
    "files", [100, pytest.param(2_000, marks=pytest.mark.long)], ids=["100 files", "2000 files"]
)
def test_damaged_files_open_and_lose_no_intact_batch(tmp_path, files):
    """A page of each kind by turns; every third file has more, every seventh only parts of them."""
    chosen = random.Random(11)
    damaged = 0
    for number in range(files):
        path = tmp_path / str(number) / "spool.db"
        stored = make(path, batches=chosen.choice([12, 40, 60]), seed=number)
        kinds, of_batch = kinds_of_pages(path)
        kind = sorted(kinds)[number % len(kinds)]
        pages = {chosen.choice(kinds[kind])}
        if number % 3 == 0:
            pages |= {chosen.choice(kinds[chosen.choice(sorted(kinds))]) for _ in range(3)}
        for page in pages:
            content = chosen.choice([ZEROS, NOISE, chosen.randbytes(PAGE)])
            start = chosen.randrange(PAGE - 512) if number % 7 == 0 else 0
            end = start + 512 if number % 7 == 0 else PAGE
            overwrite_at(path, (page - 1) * PAGE + start, content[start:end])
        intact = {first for first in stored if not pages & of_batch[first]}
        found = salvage(path)
        missing = intact - set(found)
        assert not missing, (number, kind, pages, len(missing), len(intact))
        for first in set(found) & set(stored):
            assert found[first] == stored[first], (number, kind, pages)
        if not pages & {*kinds["root of dead_letters"], *kinds["root of payloads"]}:
            assert letters(path) == 10, (number, kind, pages)
        damaged += bool(list((path.parent / "quarantine").glob("*")))
        shutil.rmtree(path.parent)
    # Damage in a page that nobody reads, such as a free one, need not be found.
    assert damaged > files * 0.6


@pytest.mark.parametrize("kind", ["header", "free list", "pointer map", "root of batches"])
def test_what_was_delivered_and_deleted_long_ago_does_not_come_back(tmp_path, kind):
    path = tmp_path / "spool.db"
    with closing(Spool(path, Limits())) as spool:
        spool.add_schema(FINGERPRINT, b"schema")
        for _ in range(300):
            store(spool, b"x" * 3_000)
        ids = [row[0] for row in spool.reader.walk(TABLE, 0, 1_000)]
        left = {batch.seqs[0] for batch in spool.reader.batches(TABLE, 0, 300, ids[250:])}
        spool.acknowledge(ids[:250])
        spool.tick()
    overwrite(path, kinds_of_pages(path)[0][kind][0], NOISE)
    assert set(salvage(path)) == left


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_of_a_file_that_was_cut_off_what_is_left_is_saved(tmp_path, part):
    path = tmp_path / "spool.db"
    stored = make(path)
    _, of_batch = kinds_of_pages(path)
    size = int(path.stat().st_size * part)
    with path.open("r+b") as file:
        file.truncate(size)
    found = salvage(path)
    whole = size // PAGE
    intact = {first for first in stored if max(of_batch[first]) <= whole}
    assert intact <= set(found) <= set(stored)


def leave_a_wal(path, dead_letters=0):
    """Store, and die before the WAL goes into the database; returns first seq → records."""
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, 'tests')\n"
        "from support.damaged import *\n"
        f"spool = Spool(Path({str(path)!r}), Limits()); spool.add_schema(FINGERPRINT, b'schema')\n"
        "for n in range(30):\n"
        "    first = spool.reserve()\n"
        "    spool.append(Group([NewBatch(TABLE, 's', FINGERPRINT, [first], 1, [b'w' * 500])]))\n"
        "    print(first)\n"
        f"for n in range({dead_letters}):\n"
        "    spool.append(Group(dead_letters=[letter(b'p%d' % n)]))\n"
        "sys.stdout.flush(); os._exit(0)\n"
    )
    from support.line import ROOT

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {int(line): [b"w" * 500] for line in done.stdout.split()}


@pytest.mark.parametrize("kind", ["whole", "cut", "noise at the end", "gone"])
def test_of_a_damaged_wal_the_commits_before_the_damage_are_kept(tmp_path, kind):
    path = tmp_path / "spool.db"
    make(path)
    before = leave_a_wal(path)
    wal = path.with_name("spool.db-wal")
    size = wal.stat().st_size
    if kind == "cut":
        with wal.open("r+b") as file:
            file.truncate(size * 2 // 3)
    elif kind == "noise at the end":
        overwrite_at(wal, size - PAGE, NOISE)
    elif kind == "gone":
        wal.unlink()
    found = salvage(path)
    saved = [first for first in before if first in found]
    assert saved == list(before)[: len(saved)]
    assert len(saved) == 30 if kind == "whole" else len(saved) < 30
    if kind == "cut":
        assert len(saved) >= 15
    if kind == "noise at the end":
        assert len(saved) == 29


@pytest.mark.parametrize("content", [ZEROS, NOISE], ids=["zeros", "noise"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.35, 0.5, 0.75, 0.9])
def test_what_stands_behind_damage_in_the_wal_is_saved_too(tmp_path, part, content):
    """SQLite drops commits behind a wrong frame, though they were synced and acknowledged."""
    path = tmp_path / "spool.db"
    stored = make(path)
    before = leave_a_wal(path)
    wal = path.with_name("spool.db-wal")
    overwrite_at(wal, int(wal.stat().st_size * part), content)
    found = salvage(path)
    assert set(stored) <= set(found)
    # A page that was hit lies over the ends of two frames: the batch that only they have is lost.
    assert len(set(before) - set(found)) <= 2
    assert all(found[first] == before[first] for first in before if first in found)
    with closing(Spool(path, Limits())) as spool:
        assert ["WAL" in one["reason"] for one in losses(spool.reader)] == [True]


def test_a_schema_that_is_damaged_while_the_wal_holds_batches_costs_none_of_them(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path) | leave_a_wal(path)
    overwrite(path, 1, NOISE)
    assert set(stored) <= set(salvage(path))


@pytest.mark.parametrize("kind", ["empty", "gone"])
def test_of_a_database_that_is_empty_or_gone_all_that_its_wal_has_is_saved(tmp_path, kind):
    """SQLite deletes the WAL of an empty database, also when it opens that to read."""
    path = tmp_path / "spool.db"
    before = leave_a_wal(path)
    wal = path.with_name("spool.db-wal")
    there = wal.read_bytes()
    path.write_bytes(b"")
    if kind == "gone":
        path.unlink()
    with pytest.raises(SpoolError):
        SpoolReader(path)
    assert wal.read_bytes() == there
    found = salvage(path)
    assert found == before


@pytest.mark.parametrize("part", [0.02, 0.1, 0.3, 0.5, 0.9])
def test_of_a_spool_that_lies_in_its_wal_alone_records_and_dead_letters_are_saved(tmp_path, part):
    path = tmp_path / "spool.db"
    before = leave_a_wal(path, dead_letters=10)
    wal = path.with_name("spool.db-wal")
    overwrite_at(wal, int(wal.stat().st_size * part), NOISE)
    found = salvage(path)
    assert len(set(before) - set(found)) <= 2
    assert letters(path) >= 9


@pytest.mark.parametrize("done", range(len(MOVED) + 1))
def test_a_move_to_quarantine_that_was_interrupted_goes_on_and_loses_nothing(tmp_path, done):
    path = tmp_path / "spool.db"
    stored = make(path)
    kinds, of_batch = kinds_of_pages(path)
    before = leave_a_wal(path)
    page = kinds["leaf of batches"][0]
    overwrite(path, page, NOISE)
    folder = tmp_path / "quarantine" / "20261124T000000.000000Z"
    folder.mkdir(parents=True)
    path.with_name("spool.db.damaged").write_text(f"damaged\n{folder.name}\n")
    for suffix in MOVED[:done]:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(folder / f"spool.db{suffix}")
    intact = {first for first in stored if page not in of_batch[first]} | set(before)
    assert intact <= set(salvage(path))
    assert [one.name for one in (tmp_path / "quarantine").iterdir()] == [folder.name]
    assert not path.with_name("spool.db.damaged").exists()


def test_an_empty_file_where_a_spool_was_is_kept_aside_and_a_new_one_is_new(tmp_path):
    path = tmp_path / "spool.db"
    make(path)
    path.write_bytes(b"")
    assert salvage(path) == {}
    assert len(list((tmp_path / "quarantine").glob("*/spool.db"))) == 1
    fresh = tmp_path / "new" / "spool.db"
    fresh.parent.mkdir()
    fresh.write_bytes(b"")
    assert salvage(fresh) == {}
    assert not (fresh.parent / "quarantine").exists()


def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path):
    foreign, text, folder = tmp_path / "app.db", tmp_path / "notes.db", tmp_path / "folder.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    text.write_text("shopping list\n" * 100)
    folder.mkdir()
    # Even where a spool was before.
    foreign.with_name("app.db.seq").write_text("5\n")
    before = foreign.read_bytes(), text.read_bytes()
    for path in (foreign, text, folder):
        with pytest.raises(SpoolError, match=path.name):
            Spool(path, Limits())
    assert (foreign.read_bytes(), text.read_bytes()) == before
    assert not (tmp_path / "quarantine").exists()


def test_numbers_go_on_behind_those_of_a_damaged_file_also_without_the_mark(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path)
    overwrite(path, kinds_of_pages(path)[0]["leaf of batches"][0], NOISE)
    with closing(Spool(path, Limits())) as spool:
        assert spool.reserve() > max(stored)
    folder = waiting(path)[0]
    path.with_name("spool.db.seq").unlink()
    path.unlink()
    with closing(Spool(path, Limits())) as spool:
        assert spool.reserve() > max(stored)
    assert folder in waiting(path) or not waiting(path)


def test_an_interrupted_salvage_goes_on_and_saves_nothing_twice(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path, batches=300)
    kinds, of_batch = kinds_of_pages(path)
    page = kinds["leaf of batches"][3]
    overwrite(path, page, NOISE)
    rounds = 0
    while True:
        with closing(Spool(path, Limits())) as spool:
            left = waiting(path)
            if not left:
                break
            steps = Salvage(spool, left[0]).steps()
            list(islice(steps, 2))
            steps.close()
        rounds += 1
        assert rounds < 100
    assert rounds > 2
    intact = {first for first in stored if page not in of_batch[first]}
    assert intact <= set(salvage(path))


@pytest.mark.parametrize("table", ["dead_letters", "payloads"])
@pytest.mark.parametrize("kind", ["root", "header", "leaf"])
def test_dead_letters_behind_a_damaged_page_are_saved_with_all_that_a_replay_needs(
    tmp_path, table, kind
):
    path = tmp_path / "spool.db"
    wanted = [
        DeadLetter(
            Fault("bad_value", f"reason {n}", "temp", 1, (2, 5)), "a/b", b"payload %d" % n * 40, n,
            "s", TABLE, flags=5, properties=b"\x26\x00\x01a\x00\x01b",
        )
        for n in range(3_000)
    ]  # fmt: skip
    with closing(Spool(path, Limits())) as spool:
        spool.append(Group(dead_letters=wanted))
    with closing(sqlite3.connect(path)) as connection:
        ((root,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        )
    leaf = next(number for number in tree(path.read_bytes(), root) if number > root + 20)
    overwrite(path, {"root": root, "header": 1, "leaf": leaf}[kind], NOISE)
    with closing(Spool(path, Limits())) as spool:
        for folder in waiting(path):
            for _ in Salvage(spool, folder).steps():
                pass
        rows = spool.reader.rows(
            "SELECT d.reason, d.position, d.more, d.flags, d.properties, p.body"
            " FROM dead_letters d JOIN payloads p ON p.id = d.payload_id"
        )
        lost = spool.reader.counters().get(("", "dead_lost"), 0)
    found = {row[0]: row[1:] for row in rows}
    assert len(found) == len(rows)
    if kind == "leaf":
        assert 0 < 3_000 - len(found) == lost < 100
    else:
        assert len(found) == 3_000
    for one in wanted:
        if one.fault.reason in found:
            assert found[one.fault.reason] == (1, "2,5", 5, one.properties, one.payload)


def test_a_batch_whose_checksum_is_wrong_is_taken_out_alone_and_its_loss_is_stated(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path)
    kinds, of_batch = kinds_of_pages(path)
    page = kinds["overflow"][0]
    (hit,) = (first for first in stored if page in of_batch[first])
    # Other bytes in a blob, with the chain of its pages left as it is: SQLite sees nothing.
    overwrite_at(path, (page - 1) * PAGE + 100, NOISE[:500])
    with closing(Spool(path, Limits())) as spool:
        assert waiting(path) == []
        position, found = 0, set()
        while batches := spool.read(TABLE, position):
            position = batches[-1].id
            found |= {batch.seqs[0] for batch in batches}
        assert found == set(stored) - {hit}
        spool.tick()
        (loss,) = losses(spool.reader)
        assert (loss["table"], loss["records"]) == (TABLE, len(stored[hit]))
        assert (loss["first_seq"], loss["last_seq"]) == (hit, hit + len(stored[hit]) - 1)
        (kept,) = (tmp_path / "quarantine").glob("*-batch-*.bin")
        assert NOISE[:500] in kept.read_bytes()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        check_balance(spool)


def test_lost_batches_are_stated_by_table_and_by_the_numbers_they_are_among(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path)
    kinds, of_batch = kinds_of_pages(path)
    page = kinds["leaf of batches"][2]
    hit = [first for first in stored if page in of_batch[first]]
    overwrite(path, page, NOISE)
    salvage(path)
    with closing(Spool(path, Limits())) as spool:
        (loss,) = losses(spool.reader)
    assert (loss["table"], loss["records"]) == (TABLE, sum(len(stored[one]) for one in hit))
    assert hit
    assert loss["first_seq"] <= min(hit)
    assert loss["last_seq"] >= max(hit) + len(stored[max(hit)]) - 1
    others = [first for first in stored if first not in hit]
    assert not [first for first in others if loss["first_seq"] <= first <= loss["last_seq"]]


def test_damage_that_is_found_in_use_marks_the_file_for_the_next_start(tmp_path):
    path = tmp_path / "spool.db"
    stored = make(path)
    kinds, of_batch = kinds_of_pages(path)
    page = kinds["leaf of batches"][2]
    with closing(Spool(path, Limits())) as spool:
        overwrite(path, page, NOISE)
        with pytest.raises(SpoolError):
            _ = [spool.read(TABLE, position) for position in range(100)]
        with pytest.raises(SpoolDamagedError, match="next start"):
            spool.tick()
    assert path.with_name("spool.db.damaged").exists()
    intact = {first for first in stored if page not in of_batch[first]}
    assert intact <= set(salvage(path))
    assert find_damage(path) == ""


# -- by hand, and in the daemon ----------------------------------------------------------------


def test_repair_says_what_it_would_save_saves_it_and_leaves_a_sound_spool_alone(tmp_path):
    box = make_box(tmp_path)
    path = fill(box, batches=40, records=200)
    sound = run_plain("spool", "repair", folder=box)
    assert sound.returncode == 0
    assert "nothing is wrong" in sound.stdout
    overwrite(path, kinds_of_pages(path)[0]["leaf of batches"][1], NOISE)
    before = path.read_bytes()
    planned = run_plain("spool", "repair", "--dry-run", folder=box)
    assert planned.returncode == 1, planned.stderr
    assert path.read_bytes() == before
    done = run_plain("spool", "repair", folder=box)
    assert done.returncode == 1, done.stderr
    assert "are lost" in done.stdout
    assert run_plain("spool", "verify", folder=box).returncode == 0
    saved = run_plain("spool", "stats", "--json", folder=box).stdout
    assert '"salvaged": 8000' in saved


def test_repair_lets_no_dead_letter_go_for_a_limit(tmp_path):
    box = make_box(tmp_path)
    path = box / "state" / "spool.db"
    many = 100_500  # More than dead_letters.max_count is unless configured.
    with closing(Spool(path, Limits(dead_max_count=1 << 40))) as spool:
        spool.append(Group(dead_letters=[letter(b"same")] * many))
    overwrite(path, 1, NOISE)
    done = run_plain("spool", "repair", folder=box)
    assert done.returncode == 0, done.stderr
    assert f"{many:,} dead letters are saved" in done.stdout
    assert letters(path) == many


def test_repair_mends_a_file_that_was_carried_here(tmp_path):
    box = make_box(tmp_path)
    path = fill(box)
    card = tmp_path / "card"
    card.mkdir()
    run_plain("spool", "backup", card / "spool.db", folder=box)
    overwrite(card / "spool.db", 1, NOISE)
    done = run_plain("spool", "repair", card / "spool.db", folder=box)
    assert done.returncode in (0, 1), done.stderr
    listed = run_plain("spool", "list", "--json", "--file", card / "spool.db", folder=box)
    assert len(listed.stdout.splitlines()) == 12
    assert find_damage(path) == ""


def test_the_daemon_starts_on_a_damaged_spool_delivers_what_is_intact_and_says_what_is_lost(
    line_folder,
):
    with Line(line_folder, zerobus={"ack_timeout": "5s"}) as line:
        line.zerobus.faults({"faults": [{"fault": "refuse_connections"}]})
        publisher = line.publisher()
        publisher.publish([reading(n, device="d" + "x" * 300) for n in range(5_000)], rate=2_000)
        wait_for(lambda: line.spooled() == 5_000, "the backlog")
        line.daemon.stop()
        kinds, of_batch = kinds_of_pages(line.spool_path)
        page = kinds["leaf of batches"][0]
        with closing(sqlite3.connect(line.spool_path)) as connection:
            records = dict(connection.execute("SELECT first_seq, records FROM batches"))
        hit = sum(records[first] for first, pages in of_batch.items() if page in pages)
        overwrite(line.spool_path, page, NOISE)
        line.zerobus.faults(None)
        line.start_daemon()
        publisher.publish([reading(n) for n in range(5_000, 6_000)])
        wait_for(lambda: len(set(line.zerobus.ids())) >= 6_000 - hit, "what is intact", 60)
        wait_for(lambda: states(line) == {"done"}, "the salvage")
        line.wait_drained()
        line.check_balances()
        assert set(range(5_000, 6_000)) <= set(line.zerobus.ids())
        shown = run_plain("status", folder=line_folder)
        assert shown.returncode == 1
        assert f"{hit:,} records of main.iot.station_one are lost" in shown.stdout


def states(line):
    return {one["state"] for one in line.status()["spool"]["quarantine"]}


# -- versions ----------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL,
    station_id INTEGER NOT NULL, schema_id INTEGER NOT NULL, first_seq INTEGER NOT NULL,
    records INTEGER NOT NULL, received_us INTEGER NOT NULL, suspect INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE INDEX batches_by_table ON batches (table_id, id);
CREATE INDEX suspects ON batches (table_id) WHERE suspect = 1;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE schemas (id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE,
    stored BLOB NOT NULL);
CREATE TABLE payloads (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE dead_letters (id INTEGER PRIMARY KEY AUTOINCREMENT, received_us INTEGER NOT NULL,
    station TEXT NOT NULL, table_name TEXT NOT NULL, topic TEXT NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL, field TEXT NOT NULL, position INTEGER, seq INTEGER,
    fingerprint BLOB NOT NULL, payload_id INTEGER NOT NULL);
CREATE TABLE counters (scope TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (scope, name)) WITHOUT ROWID;
CREATE TABLE granted (filter TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE retained (id INTEGER PRIMARY KEY, topic BLOB NOT NULL UNIQUE, hash BLOB NOT NULL);
INSERT INTO names VALUES (1, 'main.iot.t'), (2, 's');
INSERT INTO schemas VALUES (1, x'66666666666666666666666666666666', x'736368656d61');
INSERT INTO payloads VALUES (1, x'7b7d');
INSERT INTO dead_letters VALUES (1, 5, 's', 'main.iot.t', 'topic', 'undecodable', 'why', '',
    NULL, NULL, x'', 1);
INSERT INTO counters VALUES ('', 'dead', 1), ('', 'dead_bytes', 2), ('', 'next_seq', 77),
    ('table:main.iot.t', 'made', 1), ('table:main.iot.t', 'spooled', 1),
    ('table:main.iot.t', 'spooled_bytes', 5);
PRAGMA application_id = 1514296659;
PRAGMA user_version = 1;
"""


def version_1(path):
    from collector.spool import blob

    body = blob.pack([b"old"], [76])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;")
        connection.executescript(VERSION_1)
        row = (1, 2, 1, 76, 1, 5, 0, blob.checksum(body), body)
        connection.execute(f"INSERT INTO batches VALUES (NULL, {', '.join('?' * 9)})", row)


def test_a_spool_of_version_1_is_migrated_with_all_that_is_in_it(tmp_path):
    path = tmp_path / "spool.db"
    version_1(path)
    with closing(Spool(path, Limits())) as spool:
        (batch,) = spool.read(TABLE, 0)
        assert (batch.records, list(batch.seqs), batch.fingerprint) == ([b"old"], [76], FINGERPRINT)
        rows = spool.reader.rows("SELECT kind, flags, properties, more FROM dead_letters")
        assert rows == [("undecodable", 1, b"", "")]
        assert spool.reader.rows("PRAGMA user_version") == [(VERSION,)]
        assert spool.reader.memories("any") == {}
        assert spool.reserve() >= 77
        store(spool, b"new")
    assert len(salvage(path)) == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "spool.db"
    version_1(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE losses (other TEXT)")
    with pytest.raises(SpoolError):
        Spool(path, Limits())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(dead_letters)")]
        assert "flags" not in columns


def test_commands_read_a_file_of_version_1_as_it_is(tmp_path):
    path = tmp_path / "old.db"
    version_1(path)
    before = path.read_bytes()
    for command in (("spool", "stats"), ("dead", "list"), ("dead", "list", "--by", "kind")):
        done = run_plain(*command, "--file", path, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
