"""A damaged spool file, read as far as it goes: first by SQLite, then page by page.

SQLite reads what its trees lead to; a damaged row costs only itself, since the search goes around
it by halving ranges of ids. What lies behind a damaged inner page, a damaged schema or a damaged
part of the WAL is found by looking at every page for rows of ours, whether SQLite reported an error
or not: a damaged inner page may also lead astray without a word. The file is never changed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from collector.spool.damage.frames import Frames
from collector.spool.damage.ids import Ids
from collector.spool.damage.names import Explained, read_names
from collector.spool.damage.pages import Pages, Row, page_size
from collector.spool.damage.quarantine import SPOOL
from collector.spool.damage.shapes import (
    FoundBatch,
    FoundLetter,
    as_batch,
    as_counter,
    as_letter,
    as_name,
    as_schema,
    is_payload,
)
from collector.spool.database import open_plain, wal_of

_HEADS: Final = (
    "table_id, station_id, schema_id, first_seq, records, received_us, suspect, checksum"
)
_BATCHES: Final = f"SELECT id, {_HEADS}, blob FROM batches"  # noqa: S608 - ours.
_BATCH_IDS: Final = "SELECT id FROM batches NOT INDEXED"
_INDEXED: Final = "SELECT id, table_id FROM batches INDEXED BY batches_by_table"
_LETTERS: Final = (
    "SELECT d.id, d.received_us, d.station, d.table_name, d.topic, d.kind, d.reason, d.field,"
    " d.position, d.seq, d.fingerprint, d.payload_id{more}, p.body"
    " FROM dead_letters d JOIN payloads p ON p.id = d.payload_id"
)
_MORE: Final = ", d.flags, d.properties, d.more"
_AT_ONCE: Final = 64
_ID_MAX: Final = 1 << 62
_ERRORS_MAX: Final = 20_000

# SQLite quotes in some errors what stands where text should be, and that may be none.
_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)


class Wreck:
    """One damaged file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._has_gaps = False
        try:
            self._connection = open_plain(self.path)
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except _UNREADABLE:
            self.close()
            self._has_gaps = True

    @cached_property
    def explained(self) -> Explained:
        """What the numbers in batches mean: by the file, its copy beside it, or its pages."""
        found = self._all("SELECT id, name FROM names")
        rows = self._all("SELECT id, fingerprint, stored FROM schemas")
        # A row that is damaged may still be a row, with NULL or zeros in it.
        names = {key: name for key, name in found if key and isinstance(name, str) and name}
        schemas = {
            key: (fingerprint, stored)
            for key, fingerprint, stored in rows
            if fingerprint and stored
        }
        is_less = len(names) < len(found) or len(schemas) < len(rows) or not schemas
        if is_less or self._has_gaps or self.wal_is_broken:
            kept = read_names(self.path.with_name(self.path.name + ".names"))
            names, schemas = kept.names | names, kept.schemas | schemas
            with closing(Pages(self.path)) as pages:
                for _, seen in pages.rows():
                    names = dict(filter(None, map(as_name, seen))) | names
                    schemas = dict(filter(None, map(as_schema, seen))) | schemas
        return Explained(names, schemas)

    def counters(self) -> dict[tuple[str, str], int]:
        """Return what can be read of the counters."""
        rows = self._all("SELECT scope, name, value FROM counters")
        counters = {(scope, name): value for scope, name, value in rows}
        if not counters:
            with closing(Pages(self.path)) as pages:
                for _, found in pages.rows():
                    counters = dict(filter(None, map(as_counter, found))) | counters
        return counters

    def next_seq(self) -> int | None:
        """Return a number behind all that the file is known to have given, or None."""
        kept = self.counters().get(("", "next_seq"))
        rows = self._all("SELECT max(first_seq + records) FROM batches")
        known = [one for one in (kept, *(row[0] for row in rows)) if one is not None]
        return max(known, default=None)

    def batches(self, after: int) -> Iterator[FoundBatch]:
        """Yield what SQLite can read of the batches behind an id."""
        for row in self._scan(_BATCHES, "id", "batches", after):
            yield FoundBatch(*row)

    def letters(self, after: int) -> Iterator[tuple[FoundLetter, bytes]]:
        """Yield what SQLite can read of the dead letters behind an id, with their payloads."""
        columns = self._all("SELECT name FROM pragma_table_info('dead_letters')")
        sql = _LETTERS.format(more=_MORE if ("flags",) in columns else "")
        for row in self._scan(sql, "d.id", "dead_letters", after):
            yield FoundLetter(*row[:-1]), row[-1]

    def batch_ids(self) -> Ids:
        """Return the ids of the batches that SQLite can read."""
        # By the rows themselves: an index would tell of those whose rows can't be read, too.
        return Ids(row[0] for row in self._scan(_BATCH_IDS, "id", "batches", 0))

    def letter_ids(self) -> Ids:
        """Return the ids of the dead letters that SQLite can read with their payloads."""
        return Ids(letter.id for letter, _ in self.letters(0))

    def batches_of_pages(self, after: int, known: Ids) -> Iterator[tuple[int, list[FoundBatch]]]:
        """Yield, for each page behind `after`, the whole batches in it that are not known."""
        with closing(Pages(self.path)) as pages:
            for number, rows in pages.rows(after + 1):
                found = filter(None, map(as_batch, rows))
                yield number, [one for one in found if known.add(one.id)]

    def letters_of_pages(
        self, after: int, known: Ids
    ) -> Iterator[tuple[int, list[tuple[FoundLetter, bytes]]]]:
        """Yield, for each page behind `after`, the dead letters in it that are not known."""
        with closing(Pages(self.path)) as pages:
            places = {
                row[0]: number for number, rows in pages.rows() for row in rows if is_payload(row)
            }
            for number, rows in pages.rows(after + 1):
                found = filter(None, map(as_letter, rows))
                bodies = ((one, _payload(pages, places, one.payload_id)) for one in found)
                there = [(one, body) for one, body in bodies if body is not None]
                yield number, [(one, body) for one, body in there if known.add(one.id)]

    def indexed(self) -> Iterator[tuple[int, int]]:
        """Yield id and table id of all batches, by the index, which has nothing of their rows."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                yield from self._connection.execute(_INDEXED)

    def numbers_around(self, first: int, last: int) -> tuple[int | None, int | None]:
        """Return the numbers that records of these batches can have: the first and the last."""
        # By the neighbours' own ids: a search for `first` would end in its damaged page.
        before = self._all(
            "SELECT first_seq + records FROM batches WHERE id <= ? ORDER BY id DESC LIMIT 1",
            first - 1,
        )
        behind = self._all(
            "SELECT first_seq - 1 FROM batches WHERE id >= ? ORDER BY id LIMIT 1", last + 1
        )
        low, high = (rows[0][0] if rows else None for rows in (before, behind))
        # Where replayed records stand, the numbers do not follow the ids.
        return (None, None) if low is not None and high is not None and low > high else (low, high)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @cached_property
    def wal_is_broken(self) -> bool:
        """Whether commits stand behind a damaged part of the WAL, where SQLite does not look."""
        return Frames(wal_of(self.path), page_size(self.path)).is_broken()

    def _all(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query up to the first error."""
        rows: list[tuple[Any, ...]] = []
        try:
            if self._connection is not None:
                rows.extend(self._connection.execute(sql, parameters))
        except _UNREADABLE:
            self._has_gaps = True
        return rows

    def _scan(self, sql: str, key: str, table: str, after: int) -> Iterator[tuple[Any, ...]]:
        """Yield rows behind an id, in its order, around those that raise errors.

        Whether one id is unreadable or a million, the search for the next that is not is bounded:
        the pages tell of what it leaves out.
        """
        given = self._all("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
        bounded = f"{sql} WHERE {key} BETWEEN ? AND ? ORDER BY {key} LIMIT {_AT_ONCE}"
        ranges, errors = [(after + 1, given[0][0] if given else _ID_MAX)], 0
        while ranges and errors < _ERRORS_MAX and self._connection is not None:
            low, high = ranges.pop()
            reached, count = low - 1, 0
            try:
                for row in self._connection.execute(bounded, (low, high)):
                    if row[0] <= reached:
                        break  # A tree that leads back.
                    reached, count = row[0], count + 1
                    yield row
            except _UNREADABLE:
                errors += 1
                self._has_gaps = True
                if reached >= low:
                    ranges.append((reached + 1, high))
                elif low < high:
                    middle = (low + high) // 2
                    ranges += [(middle + 1, high), (low, middle)]
                continue
            if count == _AT_ONCE and reached < high:
                ranges.append((reached + 1, high))


def highest_seq(folders: Iterable[Path]) -> int | None:
    """Return the number behind the highest that files in quarantine say was given, or None."""
    found: list[int] = []
    for folder in folders:
        with closing(Wreck(folder / SPOOL)) as wreck:
            found += filter(None, [wreck.next_seq()])
    return max(found, default=None)


def _payload(pages: Pages, places: dict[int, int], identity: int) -> bytes | None:
    """The payload of a number by the pages that payloads lie in; None when it can't be read."""
    rows: list[Row] = pages.rows_in(places[identity]) if identity in places else []
    return next((row[1][1] for row in rows if row[0] == identity and is_payload(row)), None)
