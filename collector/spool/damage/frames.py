"""The frames of a WAL, read without SQLite: which pages it has, and whether it is damaged.

The format is that of https://www.sqlite.org/fileformat2.html: a header, then frames, each a page
with the salt of the header and a checksum over all that came before. SQLite takes frames up to the
first that is wrong, and drops what is behind it. After a crash that is the commit which was not
finished, and there is one at most, since each is synced; where more commits of the same salt stand
behind a wrong frame, something has damaged what was on the disk.
"""

import struct
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

_MAGIC: Final = 0x377F0682
_HEADER: Final = 32
_HEAD: Final = 24


@dataclass(frozen=True, slots=True)
class _Frame:
    """The head of a frame. `commit` is the size of the database in pages, or 0 within a commit."""

    at: int
    page: int
    commit: int
    salt: bytes
    sums: tuple[int, int]


class Frames:
    """What one WAL has committed: `places` of each page's versions, the oldest first.

    `pages` is the size of the database. A file that is not there has nothing.
    """

    def __init__(self, wal: Path, page_size: int) -> None:
        self.places: dict[int, list[int]] = {}
        self.pages = 0
        self._size = page_size
        self._header = b""
        self._frames: list[_Frame] = []
        self.path = wal
        if wal.exists():
            with wal.open("rb") as file:
                self._header = file.read(_HEADER)
                self._frames = self._of_one_salt(file, wal.stat().st_size)
        self._place()

    def is_broken(self, deadline: float = float("inf")) -> bool:
        """Say whether commits stand behind a wrong frame; what is not reached in time is right."""
        if not self._frames:
            return False
        if not _is_header(self._header):
            return True
        with self.path.open("rb") as file:
            sound = self._count_sound(file, deadline)
        return sum(frame.commit > 0 for frame in self._frames[sound:]) > 1

    def _of_one_salt(self, file: BinaryIO, wal_bytes: int) -> list[_Frame]:
        """Return the frames of the header's salt, or of the first that two in a row have."""
        frames = []
        for at in range(_HEADER, wal_bytes - self._size - _HEAD + 1, self._size + _HEAD):
            file.seek(at)
            page, commit, salt, *sums = struct.unpack(">II8sII", file.read(_HEAD))
            frames.append(_Frame(at, page, commit, salt, (sums[0], sums[1])))
        if _is_header(self._header):
            salt = self._header[16:24]
        else:
            pairs = pairwise(frames)
            salt = next((one.salt for one, other in pairs if one.salt == other.salt), b"")
        return [frame for frame in frames if frame.salt == salt]

    def _place(self) -> None:
        pending: list[_Frame] = []
        for frame in self._frames:
            pending.append(frame)
            if frame.commit:
                for one in pending:
                    self.places.setdefault(one.page, []).append(one.at + _HEAD)
                self.pages = frame.commit
                pending = []

    def _count_sound(self, file: BinaryIO, deadline: float) -> int:
        order = ">" if self._header[3] & 1 else "<"
        at, sums = _HEADER, struct.unpack(">II", self._header[24:32])
        for count, frame in enumerate(self._frames):
            if time.monotonic() > deadline:
                return len(self._frames)
            file.seek(frame.at)
            content = file.read(_HEAD + self._size)
            sums = _checksum(content[_HEAD:], order, _checksum(content[:8], order, sums))
            if frame.at != at or sums != frame.sums:
                return count
            at += len(content)
        return len(self._frames)


def _is_header(header: bytes) -> bool:
    if len(header) < _HEADER or struct.unpack(">I", header[:4])[0] & ~1 != _MAGIC:
        return False
    order = ">" if header[3] & 1 else "<"
    return _checksum(header[:24], order, (0, 0)) == struct.unpack(">II", header[24:32])


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second
