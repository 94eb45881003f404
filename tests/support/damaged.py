"""Spool files with damage in a page of a chosen kind, and which of their batches it left intact."""

import sqlite3
from contextlib import closing

from collector.model import NewBatch
from collector.spool import Group, Limits, Spool
from support.spools import FINGERPRINT, TABLE, letter

PAGE = 4096
SIZES = (20, 300, 3_000, 9_000, 40_000)


def make(path, batches=60, seed=0):
    """Store batches of one to three records of mixed sizes, and some dead letters; returns them:
    first seq → records."""
    stored = {}
    with closing(Spool(path, Limits())) as spool:
        spool.add_schema(FINGERPRINT, b"schema")
        for number in range(batches):
            count = 1 + (number + seed) % 3
            size = SIZES[(number * 7 + seed) % len(SIZES)]
            first = spool.reserve(count)
            records = [bytes([65 + (first + n) % 26]) * size for n in range(count)]
            seqs = range(first, first + count)
            spool.append(Group([NewBatch(TABLE, "s", FINGERPRINT, seqs, 1, records)]))
            stored[first] = records
        spool.append(Group(dead_letters=[letter(b"p%d" % n * 50) for n in range(10)]))
        # Some holes, so that there are free pages and half-empty ones.
        gone = list(stored)[5:12]
        ids = [row[0] for row in spool.reader.walk(TABLE, 0, 1_000)][5:12]
        spool.acknowledge(ids)
        spool.tick()
        for first in gone:
            del stored[first]
    return stored


def kinds_of_pages(path):
    """Return the pages of a file by kind, and for each batch the pages that it lies in."""
    data = path.read_bytes()
    count = len(data) // PAGE
    kinds, of_batch = {"header": [1]}, {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
        batches = connection.execute("SELECT id, first_seq FROM batches").fetchall()
    for name, root in roots.items():
        kinds[f"root of {name}"] = [root]
    from collector.spool.damage.pages import _cells, _varint

    owner = {}
    for number in tree(data, roots["batches"]):
        page = data[(number - 1) * PAGE : number * PAGE]
        if page[0] == 13:
            kinds.setdefault("leaf of batches", []).append(number)
            for at in _cells(page, 0, 8):
                length, behind = _varint(page, at)
                identity, behind = _varint(page, behind)
                pages = [number]
                if length > PAGE - 35:
                    least = (PAGE - 12) * 32 // 255 - 23
                    local = least + (length - least) % (PAGE - 4)
                    local = local if local <= PAGE - 35 else least
                    at_next = behind + local
                    following = int.from_bytes(page[at_next : at_next + 4])
                    while following:
                        pages.append(following)
                        kinds.setdefault("overflow", []).append(following)
                        start = (following - 1) * PAGE
                        following = int.from_bytes(data[start : start + 4])
                owner[identity] = set(pages)
        else:
            kinds.setdefault("inner page of batches", []).append(number)
    for number in tree(data, roots["batches_by_table"]):
        kinds.setdefault("index", []).append(number)
    # The first page behind the header is always one of the map of pointers.
    kinds["pointer map"] = [2]
    trunk = int.from_bytes(data[32:36])
    if trunk:
        kinds["free list"] = [trunk]
    for identity, first in batches:
        of_batch[first] = owner[identity]
    assert max(max(pages) for pages in kinds.values()) <= count
    return kinds, of_batch


def tree(data, root):
    """The pages of a b-tree, from its root on."""
    todo, seen = [root], []
    while todo:
        number = todo.pop()
        seen.append(number)
        page = data[(number - 1) * PAGE : number * PAGE]
        if page[0] in (2, 5):
            cells = int.from_bytes(page[3:5])
            todo.append(int.from_bytes(page[8:12]))
            for cell in range(cells):
                at = int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell])
                todo.append(int.from_bytes(page[at : at + 4]))
    return seen


def overwrite(path, page, content):
    overwrite_at(path, (page - 1) * PAGE, content)


def overwrite_at(path, place, content):
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)
