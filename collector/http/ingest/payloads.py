"""From the body of a request to payloads in the format of its station."""

from functools import cache
from http import HTTPStatus
from typing import Final

from collector import formats
from collector.http.refused import RefusedError

_LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_JSON: Final = "application/json"

RECORDS_MAX: Final = 100_000
VALUES_MAX: Final = 500_000
"""What one request may hold: objects, and values in all. A few bytes of gzip can hold millions, and
each takes memory, and time in which all others wait."""


@cache
def media_types_of(format_name: str) -> tuple[str, ...]:
    """Return what the `Content-Type` of a request for a station of this format may be."""
    known = formats.media_types(format_name)
    return (*known, *sorted(_LINES)) if _JSON in known else known


def payloads_of(body: bytes, content_type: str, format_name: str) -> tuple[list[bytes], bool]:
    """Return the payloads of a body, and whether they are its lines.

    Empty lines are none. A body without a `Content-Type` is taken for one of the station's format.

    Raises:
        RefusedError: the type is none of the format; there is nothing in the body, or too much.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    known = media_types_of(format_name)
    if media_type and media_type not in known:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {media_type[:100]!r} is not what this station takes",
            f"It takes {', '.join(known)}.",
        )
    if not body.strip():
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is empty", "Send a record.")
    _check_counts(body)
    if media_type in _LINES:
        return [line for line in body.splitlines() if line.strip()], True
    return [body], False


def _check_counts(body: bytes) -> None:
    """Refuse by a look at the bytes: to read them is what takes the memory."""
    if len(body) <= RECORDS_MAX:
        return
    records = max(body.count(b"{"), body.count(b"\n"))
    if records > RECORDS_MAX or body.count(b",") > VALUES_MAX:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body holds more than {RECORDS_MAX:,} records, or {VALUES_MAX:,} values",
            "Send less at a time.",
        )
