"""The rows of an SQLite file, read without SQLite: from every page that looks like one of a tree.

For a file whose trees can't be followed any more. The format is that of
https://www.sqlite.org/fileformat2.html: leaf pages of tables begin with 13; each cell has the
length of its row, the id and the row, whose end may lie in a chain of pages. Pages of tables
WITHOUT ROWID begin with 10, or 2 within the tree; their rows have no id, and none of ours a chain.
The file is never changed. What the rows mean is told by `shapes.py`.
"""

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from collector.spool.damage.frames import Frames
from collector.spool.database import wal_of

PAGE_SIZE: Final = 4096
_LEAF: Final = 13
_INNER_INDEX: Final = 2
_HEADERS: Final = {_LEAF: 8, 10: 8, _INNER_INDEX: 12}
"""The kinds of pages that have rows, and the length of their header."""
_CHILD: Final = 4
_MAP_FREE: Final = 2
_MAP_TYPES: Final = b"\1\2\3\4\5"
_ROW_MAX_BYTES: Final = 64 * 1024 * 1024

Row = tuple[int, list[Any]]
"""The id of a row, 0 where it has none, and its columns: None, integers, text and bytes."""


class Pages:
    """The pages of a file, with those of its WAL that were committed; closed by `close`.

    Pages that the file says are free are left out: what stands in them was deleted. It says so
    twice, by the chain of free pages and, as our files are made, by the map of pointers; the map is
    believed where it makes sense. Of a WAL that is damaged older versions of a page count as well:
    the newest may be what was damaged.
    """

    def __init__(self, path: Path) -> None:
        self.size = page_size(path)
        self._files = ExitStack()
        # Without a buffer: a page that can't be read must not cost its neighbours.
        self._file = self._files.enter_context(path.open("rb", buffering=0))
        frames = Frames(wal_of(path), self.size)
        self._places = frames.places
        self._all_versions = frames.is_broken()
        if frames.places:
            self._wal = self._files.enter_context(frames.path.open("rb", buffering=0))
        self.count = max(path.stat().st_size // self.size, frames.pages)
        self._chained = self._find_free()
        self._maps: dict[int, bytes | None] = {}

    def rows(self, first: int = 1) -> Iterator[tuple[int, list[Row]]]:
        """Yield each page's number, from `first` on, and the rows that begin in it."""
        for number in range(first, self.count + 1):
            yield number, self.rows_in(number)

    def rows_in(self, number: int) -> list[Row]:
        """Return the rows that begin in a page; what can't be read is left out."""
        if self._is_free(number):
            return []
        versions = [self._read(number)]
        if self._all_versions and number in self._places:
            older = [*self._places[number][-2::-1], -1]
            versions += [self._read(number, place) for place in older]
        return [row for content in versions for row in self._rows(number, content)]

    def _rows(self, number: int, content: bytes) -> Iterator[Row]:
        start = 100 if number == 1 else 0
        if len(content) < self.size or content[start] not in _HEADERS:
            return
        read = self._row if content[start] == _LEAF else self._row_without_id
        for at in _cells(content, start, _HEADERS[content[start]]):
            if (row := read(content, at)) is not None:
                yield row

    def _read(self, number: int, place: int | None = None) -> bytes:
        """Return a page, by default its newest version; pages count from 1, -1 is the database."""
        if place is None:
            place = self._places.get(number, [-1])[-1]
        file, at = (self._wal, place) if place >= 0 else (self._file, (number - 1) * self.size)
        try:
            file.seek(at)
            return file.read(self.size)
        except OSError:
            return b""  # A page that a worn card does not give any more.

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _is_free(self, number: int) -> bool:
        entries = self.size // 5
        place = (number - 2) // (entries + 1) * (entries + 1) + 2
        if number < 3 or place == number:
            return False
        if place not in self._maps:
            content = self._read(place)
            types = content[: 5 * min(entries, self.count - place) : 5]
            makes_sense = len(content) == self.size and not types.translate(None, _MAP_TYPES)
            self._maps[place] = types if makes_sense else None
        types_there = self._maps[place]
        if types_there is None:
            return number in self._chained
        return types_there[number - place - 1] == _MAP_FREE

    def _find_free(self) -> set[int]:
        """The pages that the header says are free, as far as its chain can be followed."""
        free: set[int] = set()
        header = self._read(1)
        trunk = struct.unpack(">I", header[32:36])[0] if len(header) == self.size else 0
        while 1 < trunk <= self.count and trunk not in free:
            free.add(trunk)
            content = self._read(trunk)
            trunk, count = struct.unpack(">II", content[:8]) if content else (0, 0)
            if count > self.size // 4 - 2:
                break
            free |= set(struct.unpack(f">{count}I", content[8 : 8 + 4 * count]))
        return free

    def _row(self, content: bytes, at: int) -> Row | None:
        try:
            length, at = _varint(content, at)
            identity, at = _varint(content, at)
            if not 2 <= length <= _ROW_MAX_BYTES:
                return None
            return identity, _columns(self._payload(content, at, length))
        except (IndexError, struct.error, ValueError):
            return None

    def _row_without_id(self, content: bytes, at: int) -> Row | None:
        try:
            length, at = _varint(content, at + (_CHILD if content[0] == _INNER_INDEX else 0))
            return (0, _columns(content[at : at + length])) if length else None
        except (IndexError, ValueError):
            return None

    def _payload(self, content: bytes, at: int, length: int) -> bytes:
        """The bytes of a row: what the page holds of it, and the chain of pages behind."""
        usable = self.size
        if length <= usable - 35:
            return content[at : at + length]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
        parts = [content[at : at + local]]
        (following,) = struct.unpack(">I", content[at + local : at + local + 4])
        left = length - local
        while left > 0:
            if not 1 <= following <= self.count:
                raise ValueError("a chain of pages leads nowhere")
            overflow = self._read(following)
            (following,) = struct.unpack(">I", overflow[:4])
            parts.append(overflow[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
        return b"".join(parts)


def page_size(path: Path) -> int:
    """Return the size of pages that a file says it has, or the usual one."""
    try:
        with path.open("rb") as file:
            header = file.read(18)
    except OSError:
        header = b""
    size = struct.unpack(">H", header[16:18])[0] if header.startswith(b"SQLite format 3\0") else 0
    return size if size in (512, 1024, 2048, 4096, 8192, 16384, 32768) else PAGE_SIZE


def _cells(content: bytes, start: int, header: int) -> list[int]:
    """The places of the cells of a page, as far as they can be."""
    (count,) = struct.unpack(">H", content[start + 3 : start + 5])
    first, size = start + header, len(content)
    if first + 2 * count > size:
        return []
    places = struct.unpack(f">{count}H", content[first : first + 2 * count])
    return [place for place in places if first + 2 * count <= place < size - 2]


def _columns(row: bytes) -> list[Any]:
    """The columns of a row in the record format; floats are in no table of ours."""
    header, at = _varint(row, 0)
    types: list[int] = []
    while at < header:
        kind, at = _varint(row, at)
        types.append(kind)
    values: list[Any] = []
    at = header
    for kind in types:
        width = _width(kind)
        part = row[at : at + width]
        at += width
        if kind == 0:
            values.append(None)
        elif kind <= 6:
            values.append(int.from_bytes(part, signed=True))
        elif kind < 12:
            values.append(kind - 8)
        else:
            values.append(part.decode() if kind % 2 else part)
    if at != len(row):
        raise ValueError("a row of another length")
    return values


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (7, 10, 11):
        raise ValueError("a type that no column of ours has")
    return (0, 1, 2, 3, 4, 6, 8, 0, 0, 0)[kind]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(9):
        byte = data[at + count]
        if count == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + count + 1
    raise ValueError("no number")
