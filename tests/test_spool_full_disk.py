"""A disk that is really full: what is stored stays, deletes go through, and the line comes back.

Goal: nothing that a commit took is lost, whatever fails for want of space. Method: the spool lies
on a small tmpfs that another file fills to the last byte. `min_free_bytes` is 0, so that the limits
that come before it do not help.
"""

import contextlib
import subprocess

import pytest
from support.damaged import PAGE, overwrite
from support.filled import make_box
from support.terminal import run_plain

from collector.errors import SpoolFullError
from collector.model import NewBatch
from collector.spool import Group, Limits, Spool
from collector.spool.ballast import BALLAST_BYTES
from collector.spool.damage.quarantine import waiting
from collector.spool.damage.salvage import Salvage

FINGERPRINT = b"f" * 16
TABLE = "main.iot.t"
DISK_BYTES = 32 * 1024 * 1024

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


@pytest.fixture
def spool(disk):
    one = opened(disk)
    yield one
    one.close()


def opened(disk):
    spool = Spool(disk / "state" / "spool.db", Limits())
    spool.add_schema(FINGERPRINT, b"schema")
    return spool


def store(spool, record=b"x" * 100_000):
    first = spool.reserve()
    spool.append(Group([NewBatch(TABLE, "s", FINGERPRINT, [first], 1, [record])]))
    return first


def store_until_full(spool):
    stored = []
    with contextlib.suppress(SpoolFullError):
        while True:
            stored.append(store(spool))
    return stored


def take_all_room(disk):
    with (disk / "hog").open("ab", buffering=0) as hog:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while hog.write(b"h" * size):
                    pass
            except OSError:
                continue


def found(spool):
    position, seqs = 0, []
    while batches := spool.read(TABLE, position):
        position = batches[-1].id
        seqs += [batch.seqs[0] for batch in batches]
    return seqs


def deliver(spool, count):
    """Acknowledge the oldest batches and let ticks delete them; the first may give up ballast."""
    position, ids = 0, []
    while len(ids) < count:
        batches = spool.read(TABLE, position)
        position = batches[-1].id
        ids += [batch.id for batch in batches]
    spool.acknowledge(ids[:count])
    for _ in range(3):
        try:
            spool.tick()
        except SpoolFullError:
            continue
        if spool.reader.counters()[f"table:{TABLE}", "delivered"] >= count:
            return
    raise AssertionError("a full disk refuses deletes")


def test_a_full_disk_refuses_new_records_and_keeps_what_was_stored(disk, spool):
    stored = store_until_full(spool)
    take_all_room(disk)
    for _ in range(3):
        with pytest.raises(SpoolFullError):
            store(spool, b"x" * 2 * BALLAST_BYTES)
    assert found(spool) == stored


def test_deletes_go_through_on_a_full_disk_and_the_ballast_comes_back(disk, spool):
    ballast = disk / "state" / "spool.db.ballast"
    assert ballast.stat().st_size == BALLAST_BYTES
    stored = [store(spool) for _ in range(100)]
    take_all_room(disk)
    with pytest.raises(SpoolFullError):
        store(spool, b"x" * 2 * BALLAST_BYTES)
    assert not ballast.exists()
    take_all_room(disk)
    with pytest.raises(SpoolFullError):
        store(spool, b"x" * 2 * BALLAST_BYTES)
    (disk / "hog").unlink()
    deliver(spool, 60)
    assert found(spool) == stored[60:]
    spool.tick()
    assert ballast.stat().st_size == BALLAST_BYTES
    assert store(spool) > stored[-1]


def test_what_is_acknowledged_is_deleted_by_the_room_of_the_ballast(disk, spool):
    stored = [store(spool) for _ in range(80)]
    take_all_room(disk)
    deliver(spool, 70)
    assert found(spool) == stored[70:]
    assert store(spool) > stored[-1]


def test_a_line_starts_on_a_full_disk_and_drains(disk):
    spool = opened(disk)
    stored = [store(spool) for _ in range(80)]
    # As a crash leaves it: no last checkpoint, no goodbye.
    spool.reader.close()
    spool._writer._connection.close()
    take_all_room(disk)
    spool = opened(disk)
    deliver(spool, 80)
    assert found(spool) == []
    assert store(spool) > stored[-1]
    spool.close()


def test_a_damaged_spool_goes_to_quarantine_on_a_full_disk_and_is_saved_as_room_comes(disk, spool):
    stored = [store(spool) for _ in range(50)]
    spool.close()
    path = disk / "state" / "spool.db"
    overwrite(path, 1, b"\xff" * PAGE)
    take_all_room(disk)
    with contextlib.closing(opened(disk)) as fresh:
        (folder,) = waiting(path)
        with contextlib.suppress(SpoolFullError):
            for _ in Salvage(fresh, folder).steps():
                pass
        (disk / "hog").unlink()
        for _ in Salvage(fresh, folder).steps():
            pass
        assert sorted(found(fresh)) == stored


def test_on_a_full_disk_a_tick_does_without_what_it_can_not_write(disk, spool):
    store(spool)
    spool.tick()
    names = disk / "state" / "spool.db.names"
    names.unlink()
    spool.add_schema(b"g" * 16, b"another")
    take_all_room(disk)
    spool.tick()
    assert not names.exists()
    (disk / "hog").unlink()
    spool.tick()
    assert b"another".hex().encode() in names.read_bytes()


def test_what_fills_a_full_disk_can_be_purged_without_a_daemon(tmp_path, disk):
    box = make_box(tmp_path / "box")
    text = (box / "stations.yaml").read_text()
    (box / "stations.yaml").write_text(
        text.replace(
            "  # path: state/spool.db", f"  path: {disk}/state/spool.db\n  min_free_bytes: 0"
        )
    )
    with contextlib.closing(opened(disk)) as spool:
        for _ in range(50):
            store(spool)
    take_all_room(disk)
    done = run_plain("spool", "purge", TABLE, "--all", "--yes", folder=box)
    assert done.returncode == 0, done.stderr
    assert "50 records" in done.stdout


def test_a_damaged_file_that_fills_the_disk_is_brought_over_in_portions(disk):
    """Below the reserve, where nothing new is stored: what is sent makes room for what comes."""
    limits = Limits(min_free_bytes=20 * 1024 * 1024)
    spool = opened(disk)
    stored = [store(spool) for _ in range(100)]
    spool.close()
    overwrite(disk / "state" / "spool.db", 1, b"\xff" * PAGE)
    fresh = Spool(disk / "state" / "spool.db", limits)
    delivered = []
    with contextlib.closing(fresh):
        with pytest.raises(SpoolFullError):
            fresh.room.check()
        for _ in range(100):
            with contextlib.suppress(SpoolFullError):
                for folder in waiting(fresh.path):
                    for _ in Salvage(fresh, folder).steps():
                        pass
                break
            batches = fresh.read(TABLE, 0, 1_000)
            assert batches
            delivered += [batch.seqs[0] for batch in batches]
            fresh.acknowledge([batch.id for batch in batches])
            fresh.tick()
        delivered += found(fresh)
    assert sorted(delivered) == stored
