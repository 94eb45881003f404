"""What all formats of text begin with: UTF-8, strictly, and a limit."""

from typing import Final

from collector.model import DecodeError

SIZE_MAX: Final = 16 * 1024 * 1024
RECORDS_MAX: Final = 100_000
"""So many records may stand in one payload."""
BLANKS: Final = " \t\r\n"


def text_of(payload: bytes) -> str:
    """The payload as text; raises DecodeError."""
    if len(payload) > SIZE_MAX:
        raise DecodeError(f"the payload is larger than {SIZE_MAX} bytes")
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the payload is not UTF-8 text: byte {error.start} is wrong") from error


def too_many() -> DecodeError:
    """There are more records than a payload may hold."""
    return DecodeError(f"the payload holds more than {RECORDS_MAX} records")
