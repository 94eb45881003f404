"""A disk that is really full: what is stored stays, deletes go through, and the line comes back.

Goal: nothing that a commit took is lost, whatever fails for want of space. Method: the spool lies
on a small tmpfs that another file fills to the last byte. `min_free_bytes` is 0, so that the limits
that come before it do not help.
"""

import contextlib
import subprocess

import pytest

from collector.errors import SpoolFullError
from collector.model import NewBatch
from collector.spool import Group, Spool
from collector.spool.ballast import BALLAST_BYTES

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
    spool = Spool(disk / "state" / "spool.db", 1 << 30, 0)
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
    spool._connection.close()
    take_all_room(disk)
    spool = opened(disk)
    deliver(spool, 80)
    assert found(spool) == []
    assert store(spool) > stored[-1]
    spool.close()
