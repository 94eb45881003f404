"""Text and registers to bytes, and numbers out of bytes: the words `bytes` and `unpack`."""

import binascii
import struct
from collections.abc import Callable
from typing import Any, Final

from collector.config.vocabulary import Unpack
from collector.mapping.coerce import binary
from collector.mapping.misfit import bad

_FLOATS: Final = {2: ">e", 4: ">f", 8: ">d"}
_BLANKS: Final = str.maketrans("", "", " \t\r\n")
_REGISTER_MAX: Final = 0xFFFF


def to_bytes(word: str) -> Callable[[Any], Any]:
    """Return what makes bytes of a value; what is bytes already stays."""
    return {"base64": binary, "hex": _hex, "u16be": _registers}[word]


def unpacking(unpack: Unpack) -> Callable[[Any], Any]:
    """Return what reads a number in bytes; None beyond their end, where nothing was sent."""
    at, end = unpack.at, unpack.at + unpack.size
    number = _number(unpack)

    def read(value: Any) -> Any:
        if not isinstance(value, bytes):
            raise bad(value, "bytes: they come from `bytes`, or from a binary format")
        return number(value[at:end]) if end <= len(value) else None

    return read


def _number(unpack: Unpack) -> Callable[[bytes], int | float]:
    kind, size, order = unpack.kind, unpack.size, unpack.order
    if unpack.bits is not None:
        low, high = unpack.bits
        mask = (1 << (high - low + 1)) - 1
        return lambda piece: int.from_bytes(_ordered(piece, order)) >> low & mask
    if kind == "f":
        read = struct.Struct(_FLOATS[size]).unpack
        return lambda piece: float(read(_ordered(piece, order))[0])
    signed = kind == "i"
    return lambda piece: int.from_bytes(_ordered(piece, order), signed=signed)


def _ordered(piece: bytes, order: str) -> bytes:
    """The bytes with the most significant one first."""
    if order == "le":
        return piece[::-1]
    if order == "sw":
        return b"".join(piece[at : at + 2] for at in range(len(piece) - 2, -1, -2))
    return piece


def _hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        text = value.translate(_BLANKS).removeprefix("0x").removeprefix("0X")
        try:
            return binascii.unhexlify(text)
        except ValueError:
            pass
    raise bad(value, "hex digits, two for each byte")


def _registers(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, list):
        raise bad(value, "a list of 16-bit registers")
    for one in value:
        if type(one) is not int or not 0 <= one <= _REGISTER_MAX:
            raise bad(one, "a register from 0 to 65535")
    return struct.pack(f">{len(value)}H", *value)
