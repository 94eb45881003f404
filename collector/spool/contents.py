"""What commands read of the records in a spool file: a live one, a stopped one or a copy.

Reads pages of batches in short transactions, so that the daemon's checkpoints are not held up and
memory stays flat, however large the spool is. Knows nothing of columns: who shows a record decodes
it by its schema.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from collector.errors import SpoolError
from collector.spool import blob as batch_blob
from collector.spool.reader import SpoolReader
from collector.spool.selection import Selection

_PAGE: Final = 64
_BEHIND_ALL: Final = 1 << 32
_BATCHES: Final = """
SELECT b.id, t.name, s.name, c.fingerprint, b.first_seq, b.records, b.received_us, b.suspect,
       b.checksum, b.blob
FROM batches b JOIN names t ON t.id = b.table_id JOIN names s ON s.id = b.station_id
JOIN schemas c ON c.id = b.schema_id
WHERE {where} AND b.id {sign} ? ORDER BY b.id {order} LIMIT ?
"""
_COUNT: Final = """
SELECT coalesce(sum(b.records), 0) FROM batches b JOIN names t ON t.id = b.table_id
JOIN names s ON s.id = b.station_id WHERE {where}
"""
_SCATTERED: Final = """
SELECT id, blob FROM batches
WHERE first_seq < ? AND first_seq + records <= ? AND records > 1 AND id > ? ORDER BY id LIMIT ?
"""
_HEADS: Final = "SELECT id, first_seq, records, length(blob) FROM batches"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it lies in the spool, and where."""

    seq: int
    batch: int
    position: int
    table: str
    station: str
    received_us: int
    fingerprint: bytes
    suspect: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class BrokenBatch:
    """A batch that can't be read."""

    batch: int
    table: str
    records: int
    reason: str


class Contents:
    """The records of a spool file."""

    def __init__(self, path: Path) -> None:
        self._reader = SpoolReader(path)
        self.path = path

    def records(
        self,
        selection: Selection,
        *,
        after: tuple[int, int] | None = None,
        newest: bool = False,
    ) -> Iterator[StoredRecord | BrokenBatch]:
        """Yield records in the order of sending, or the newest first.

        `after` is batch and position of a record: what comes behind it in that order is meant.
        """
        sign, order = ("<", "DESC") if newest else (">", "ASC")
        where, parameters = selection.of_batches()
        sql = _BATCHES.format(where=where, sign=sign, order=order)
        cursor = (1 << 62) if newest else 0
        if after is not None:
            cursor = after[0] + 1 if newest else after[0] - 1
        while rows := self._reader.rows(sql, *parameters, cursor, _PAGE):
            for row in rows:
                cursor = row[0]
                for record in _unpacked(row, newest=newest):
                    if not _is_passed(record, after, newest=newest):
                        yield record

    def find(self, seq: int) -> StoredRecord | None:
        """Return the record of a number, or None when it is not in the file.

        Numbers follow the ids of batches nearly everywhere, so that halving finds most; where two
        writers, a salvage or a replay broke the order, or it is not there, all batches are read:
        about two seconds for ten million records.
        """
        for batch in chain(self._halved(seq), self._covering(seq), self._scattered(seq)):
            selection = Selection(ids=(batch,))
            for record in self.records(selection):
                if isinstance(record, StoredRecord) and record.seq == seq:
                    return record
        return None

    def place(self, seq: int) -> tuple[int, int]:
        """Return batch and position of a record, for `after`.

        Of one that was delivered meanwhile the place is where it would be: behind the last batch
        that begins with a lower number.
        """
        if (record := self.find(seq)) is not None:
            return record.batch, record.position
        return next(self._halved(seq), 0), _BEHIND_ALL

    def stored_schema(self, fingerprint: bytes) -> bytes:
        """Return the schema of a fingerprint; see `Schema.from_stored`."""
        return self._reader.schema(fingerprint)

    def require_table(self, table: str) -> None:
        """Raise SpoolError, with the tables that there are, when the file knows no such table."""
        if not self._reader.rows(
            "SELECT 1 FROM counters WHERE scope = ? LIMIT 1", f"table:{table}"
        ):
            known = ", ".join(self.tables()) or "none"
            raise SpoolError(f"{self.path} has no table {table}", f"It has: {known}.")

    def tables(self) -> Sequence[str]:
        """Return the tables that have records in the file."""
        return self._reader.tables()

    def fingerprints(self, table: str) -> list[bytes]:
        """Return the fingerprints of the schemas that waiting records of a table have."""
        rows = self._reader.rows(
            "SELECT DISTINCT c.fingerprint FROM batches b JOIN schemas c ON c.id = b.schema_id"
            " WHERE b.table_id = (SELECT id FROM names WHERE name = ?)",
            table,
        )
        return [fingerprint for (fingerprint,) in rows]

    def count(self, selection: Selection) -> int:
        """Return how many records a selection has."""
        where, parameters = selection.of_batches()
        ((count,),) = self._reader.rows(_COUNT.format(where=where), *parameters)
        return int(count)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _halved(self, seq: int) -> Iterator[int]:
        ((low, high),) = self._reader.rows("SELECT min(id), max(id) FROM batches")
        found = None
        while low is not None and low <= high:
            middle = (low + high) // 2
            row = self._reader.rows(f"{_HEADS} WHERE id <= ? ORDER BY id DESC LIMIT 1", middle)[0]
            if row[1] <= seq:
                found, low = row[0], middle + 1
            else:
                high = row[0] - 1
        if found is not None:
            yield found

    def _covering(self, seq: int) -> Iterator[int]:
        """Batches that hold a number if theirs are one run; more than one only by mistake."""
        sql = "SELECT id FROM batches WHERE first_seq <= ? AND ? < first_seq + records LIMIT ?"
        yield from (batch for (batch,) in self._reader.rows(sql, seq, seq, _PAGE))

    def _scattered(self, seq: int) -> Iterator[int]:
        """Batches that hold a number among others which are not one run."""
        cursor = 0
        while rows := self._reader.rows(_SCATTERED, seq, seq, cursor, _PAGE):
            cursor = rows[-1][0]
            yield from (batch for batch, body in rows if batch_blob.names(body, seq))


def _unpacked(row: tuple[Any, ...], *, newest: bool) -> Iterator[StoredRecord | BrokenBatch]:
    identity, table, station, fingerprint, first_seq, count, received_us, suspect = row[:8]
    checksum, body = row[8:]
    reason = ""
    try:
        records, seqs = batch_blob.unpack(body, first_seq)
    except ValueError as error:
        reason = str(error)
    if batch_blob.checksum(body) != checksum:
        reason = "its checksum does not fit its bytes"
    if reason:
        yield BrokenBatch(identity, table, count, reason)
        return
    places = range(len(records))
    for place in reversed(places) if newest else places:
        yield StoredRecord(
            seq=seqs[place],
            batch=identity,
            position=place,
            table=table,
            station=station,
            received_us=received_us,
            fingerprint=fingerprint,
            suspect=bool(suspect),
            body=records[place],
        )


def _is_passed(
    record: StoredRecord | BrokenBatch, after: tuple[int, int] | None, *, newest: bool
) -> bool:
    if after is None or record.batch != after[0]:
        return False
    position = record.position if isinstance(record, StoredRecord) else -1
    return position >= after[1] if newest else position <= after[1]


def require(found: StoredRecord | None, seq: int, path: Path) -> StoredRecord:
    """Return a record that must be there.

    Raises:
        SpoolError: it is not.
    """
    if found is None:
        raise SpoolError(
            f"{path}: no record has the number {seq}",
            "It may be delivered; `collector dead list` shows what could not be.",
        )
    return found
