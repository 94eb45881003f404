"""The variable-length integers of MQTT: seven bits a byte, lowest first, at most four bytes."""


def remaining_length(buffer: bytes, position: int, end: int) -> tuple[int, int]:
    """Decode the variable length behind the byte at `position`.

    Returns (where the body starts, its length); (0, -1) when bytes are missing and (1, -1) when
    there are more than four of them.
    """
    if end - position > 2 and buffer[position + 1] > 127 > buffer[position + 2]:  # Most often.
        return position + 3, (buffer[position + 1] & 127) | buffer[position + 2] << 7
    at, length, shift = position + 1, 0, 0
    while at < end:
        byte = buffer[at]
        length |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return at, length
        shift += 7
        if shift > 21:
            return 1, -1
    return 0, -1


def pack_length(length: int) -> bytes:
    """Encode a length."""
    packed = bytearray()
    while True:
        length, byte = divmod(length, 128)
        packed.append(byte | (128 if length else 0))
        if not length:
            return bytes(packed)
