"""Which rows of a damaged file are known: a bit for each id, in memory for those there are."""

from collections.abc import Iterable
from typing import Final

_CHUNK_BITS: Final = 16


class Ids:
    """A set of ids: ten million that follow each other take 1.3 MB."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._chunks: dict[int, bytearray] = {}
        for identity in ids:
            self.add(identity)

    def __contains__(self, identity: int) -> bool:
        chunk = self._chunks.get(identity >> _CHUNK_BITS)
        place, bit = _place(identity)
        return chunk is not None and bool(chunk[place] & bit)

    def add(self, identity: int) -> bool:
        """Add an id; False when it was there already."""
        key = identity >> _CHUNK_BITS
        chunk = self._chunks.get(key)
        if chunk is None:
            chunk = self._chunks[key] = bytearray(1 << (_CHUNK_BITS - 3))
        place, bit = _place(identity)
        is_new = not chunk[place] & bit
        chunk[place] |= bit
        return is_new


def _place(identity: int) -> tuple[int, int]:
    """The byte within its chunk, and the bit within that."""
    within = identity & ((1 << _CHUNK_BITS) - 1)
    return within >> 3, 1 << (within & 7)
