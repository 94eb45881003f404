"""What commands read of the dead letters in a spool file: a live one, a stopped one or a copy.

Reads pages in short transactions. A file of version 1 can be read as well: what version 2 added is
not shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.spool.reader import SpoolReader
from collector.spool.selection import Selection

GROUPS: Final = {"kind": "d.kind", "station": "d.station", "table": "d.table_name"}
_PAGE: Final = 256
_LETTERS: Final = """
SELECT d.id, d.received_us, d.station, d.table_name, d.topic, d.kind, d.reason, d.field,
       d.position, d.seq, d.fingerprint, p.body
FROM dead_letters d JOIN payloads p ON p.id = d.payload_id
WHERE {where} AND d.id {sign} ? ORDER BY d.id {order} LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter as it lies in the spool; `seq` is None for one of a message."""

    id: int
    received_us: int
    station: str
    table: str
    topic: str
    kind: str
    reason: str
    field: str
    position: int | None
    seq: int | None
    fingerprint: bytes
    payload: bytes


class Letters:
    """The dead letters of a spool file."""

    def __init__(self, path: Path) -> None:
        self._reader = SpoolReader(path)

    def all(
        self, selection: Selection, *, after: int | None = None, newest: bool = False
    ) -> Iterator[StoredLetter]:
        """Yield letters, the oldest first or the newest; behind the id `after` in that order."""
        sign, order = ("<", "DESC") if newest else (">", "ASC")
        where, parameters = selection.of_dead_letters()
        sql = _LETTERS.format(where=where, sign=sign, order=order)
        cursor = after if after is not None else (1 << 62 if newest else 0)
        while rows := self._reader.rows(sql, *parameters, cursor, _PAGE):
            for row in rows:
                cursor = row[0]
                yield StoredLetter(*row)

    def count(self, selection: Selection) -> int:
        """Return how many letters a selection has."""
        where, parameters = selection.of_dead_letters()
        sql = f"SELECT count(*) FROM dead_letters d WHERE {where}"  # noqa: S608 - ours.
        ((count,),) = self._reader.rows(sql, *parameters)
        return int(count)

    def by(self, groups: Sequence[str], selection: Selection) -> list[dict[str, str | int]]:
        """Return counts by `GROUPS`, the largest first, each with its first and last arrival."""
        where, parameters = selection.of_dead_letters()
        columns = ", ".join(GROUPS[group] for group in groups)
        rows = self._reader.rows(
            f"SELECT {columns}, count(*), min(d.received_us), max(d.received_us)"  # noqa: S608
            f" FROM dead_letters d WHERE {where} GROUP BY {columns} ORDER BY count(*) DESC,"
            f" {columns}",
            *parameters,
        )
        names = (*groups, "letters", "first_us", "last_us")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def stored_schema(self, fingerprint: bytes) -> bytes:
        """Return the schema of a fingerprint; see `Schema.from_stored`."""
        return self._reader.schema(fingerprint)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
