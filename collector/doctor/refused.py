"""What a stream that does not open means, by the words that the SDK has for each gRPC status.

A guess for a person, as the hints of `stream.py` are: what becomes of records never follows from
it.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.doctor.findings import Finding, error

UNREACHABLE: Final = (
    "See to the network, to a proxy, and to a firewall that holds HTTP/2 up; look at the status"
    " page of the service."
)
_LATER: Final = (
    "Nothing is wrong here, and the collector tries again by itself; if it stays so, ask Databricks"
    " with this text."
)


class _Case(NamedTuple):
    """Marks in the SDK's words in small letters, what they mean, what to do."""

    marks: tuple[str, ...]
    what: str
    fix: str
    needs_grants: bool = False


# The first whose mark is there counts: the status of the token, the status of gRPC, the connection.
_CASES: Final = (
    _Case(
        ("client error (400)", "client error (401)", "client error (403)"),
        "no token for a stream",
        "The grants on the table may be missing; run:",
        needs_grants=True,
    ),
    _Case(("client error (429)",), "the workspace limits tokens (HTTP 429)", _LATER),
    _Case(("token fetch failed",), "the workspace gives no token", _LATER),
    _Case(
        ("valid authentication credentials",),
        "the endpoint does not take the token",
        "Endpoint and workspace must be of one workspace, and this box's clock must be right.",
    ),
    _Case(
        ("does not have permission",),
        "permission denied",
        "Zerobus wants the grants on the table itself; run:",
        needs_grants=True,
    ),
    _Case(
        ("requested entity was not found",),
        "the endpoint knows no such table",
        "Take the endpoint of the workspace that has the table; one just made takes a while.",
    ),
    _Case(
        ("specified an invalid argument",),
        "the schema is refused",
        "`collector tables diff` says what differs; the table must be managed Delta.",
    ),
    _Case(
        ("not implemented",),
        "the endpoint does not support such a table",
        "Liquid clustering, default storage and catalog-managed commits are not supported: make the"
        " table anew as `collector tables ddl` writes it.",
    ),
    _Case(
        ("past the valid range",),
        "the endpoint refuses the request as out of range",
        "Look at the limits of Zerobus, such as 2,000 columns to a table.",
    ),
    _Case(("connection refused",), "nothing listens at the endpoint", UNREACHABLE),
    _Case(
        ("unsuccessful tunnel",),
        "the proxy does not let streams through",
        "Have the proxy allow CONNECT to the endpoint, or name its host in no_proxy.",
    ),
    _Case(
        ("frame_size_error", "invalid frame size"),
        "what answers speaks no HTTP/2: the HTML page of a proxy or portal?",
        UNREACHABLE,
    ),
    _Case(
        ("goaway", "connection closed", "broken pipe", "reset"),
        "the connection is ended as soon as it is made (GOAWAY)",
        UNREACHABLE,
    ),
    _Case(("stream creation timed out",), "no answer", UNREACHABLE),
    _Case(
        ("been exhausted",),
        "a quota is used up",
        "Too many streams or records at the moment: wait, or have the quota raised.",
    ),
    _Case(("currently unavailable",), "the service is unavailable", _LATER),
)


def refused(reason: str, grants: Iterable[str]) -> Finding:
    """Say why a stream did not open; `grants` are the lines that are shown where one is missing."""
    words, text = reason.lower(), " ".join(reason.split())
    for case in _CASES:
        if any(mark in words for mark in case.marks):
            lines = grants if case.needs_grants else ()
            return error(f"{case.what}: {text}", case.fix, lines)
    return error(f"no stream: {text}", _LATER)
