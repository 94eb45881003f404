"""From a decoded payload to its elements: each may become a row, or is a fault of its own."""

from collections.abc import Iterator
from typing import Any

from collector.formats import Bad, Records
from collector.mapping.misfit import shown
from collector.mapping.sources import Context, Frame, Walk
from collector.model import DecodeError


class Elements:
    """Finds the elements of payloads.

    `walk` is that of `each`. With `is_whole` a payload that is a list is one element; with
    `takes_scalars` an element need be neither object nor list.
    """

    def __init__(self, walk: Walk | None, *, is_whole: bool, takes_scalars: bool) -> None:
        self._walk = walk
        self._is_whole = is_whole
        self._takes_scalars = takes_scalars

    def of(self, context: Context, found: Any) -> Iterator[tuple[int | None, Frame | Bad]]:
        """The elements of a decoded payload, with their places when there may be several."""
        if isinstance(found, Records):
            yield from self._record_frames(context, found)
        elif self._walk is not None:
            yield from _numbered(self._walk(Frame(context, found, found)), 0)
        elif isinstance(found, list) and not self._is_whole:
            for index, one in enumerate(found):
                yield index, self._frame(context, one, index)
        elif isinstance(found, dict | list) or self._takes_scalars:
            yield None, Frame(context, found, found)
        else:
            text = f"the payload is {shown(found)}: neither an object nor a list of objects"
            raise DecodeError(text)

    def _frame(self, context: Context, record: Any, index: int) -> Frame | Bad:
        """One record of several, which is a message of its own."""
        if isinstance(record, dict) or self._takes_scalars:
            return Frame(context, record, record, None, index)
        return Bad("undecodable", f"{shown(record)} is not an object")

    def _record_frames(
        self, context: Context, found: Records
    ) -> Iterator[tuple[int | None, Frame | Bad]]:
        """The records of a format that has several to a payload, which `each` may take apart."""
        walk, position = self._walk, 0
        for index, one in enumerate(found):
            if isinstance(one, Bad):
                yield position, one
            elif one is not None and walk is None:
                yield position, Frame(context, one, one, None, index)
            elif one is not None and walk is not None:
                for place, frame in _numbered(
                    walk(Frame(context, one, one, None, index)), position
                ):
                    yield place, frame
                    position += 1
                continue
            position += 1


def _numbered(
    frames: Iterator[Frame | Bad], first: int
) -> Iterator[tuple[int | None, Frame | Bad]]:
    """Elements with their places; where there is none to find, the whole message is at fault.

    A station that is mended finds others there, so that their places would mean nothing.
    """
    for place, frame in enumerate(frames, first):
        yield None if isinstance(frame, Bad) else place, frame
