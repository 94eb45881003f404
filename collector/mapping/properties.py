"""The MQTT 5 properties of a message that a column may take: user properties and content type.

The block is read only for the columns that want it. A broker has checked it; what can't be read
gives nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Final

_CONTENT_TYPE: Final = 0x03
_USER: Final = 0x26
_VARINT: Final = 0x0B
_TEXTS: Final = frozenset({0x03, 0x08, 0x09})
_WIDTHS: Final = {0x01: 1, 0x02: 4, 0x23: 2}


def content_type_of(block: bytes) -> str | None:
    """The content type of a message.

    >>> content_type_of(bytes.fromhex("03 0004 74657874"))
    'text'
    """
    return next((text for number, text, _ in _read(block) if number == _CONTENT_TYPE), None)


def property_of(block: bytes, name: str) -> str | None:
    """The first user property of that name.

    >>> property_of(bytes.fromhex("2300 01 26 0001 61 0001 62"), "a")
    'b'
    """
    pairs = (text for number, key, text in _read(block) if number == _USER and key == name)
    return next(pairs, None)


def user_properties(pairs: Mapping[str, str]) -> bytes:
    """A block of these user properties.

    >>> property_of(user_properties({"site": "north"}), "site")
    'north'
    """
    texts = ((str(key).encode(), str(value).encode()) for key, value in pairs.items())
    return b"".join(
        bytes([_USER]) + len(key).to_bytes(2) + key + len(value).to_bytes(2) + value
        for key, value in texts
    )


def _read(block: bytes) -> Iterator[tuple[int, str, str]]:
    """Yield the texts: a number and one text, or two of a user property (MQTT 5, 2.2.2)."""
    at = 0
    try:
        while at < len(block):
            number = block[at]
            at += 1
            if number == _USER:
                key, at = _text(block, at)
                value, at = _text(block, at)
                yield number, key, value
            elif number in _TEXTS:
                value, at = _text(block, at)
                yield number, value, ""
            elif number == _VARINT:
                while block[at] & 0x80:
                    at += 1
                at += 1
            else:
                at += _WIDTHS[number]
    except (LookupError, ValueError):
        return


def _text(block: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(block[at : at + 2])
    if end > len(block):
        raise ValueError
    return block[at + 2 : end].decode(errors="replace"), end
