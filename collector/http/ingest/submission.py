"""What a request hands to the intake, and what it hears of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.http.refused import RefusedError
from collector.spool.watched import Watch


@dataclass(slots=True)
class Submission:
    """The payloads of one request for one station; several are the lines of NDJSON.

    `topic` is what the request gives, or empty. A `partial` one takes the good records when others
    are bad. `key` and `body` are hashes of its idempotency key and of what was sent, or empty. With
    `watched` it wants to hear of the delivery. `settled` is resolved by the intake.
    """

    station: str
    topic: str
    payloads: Sequence[bytes]
    size_bytes: int
    received_us: int
    is_lines: bool = False
    partial: bool = False
    key: bytes = b""
    body: bytes = b""
    watched: bool = False
    settled: "asyncio.Future[Stored]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """Records that are on the disk: their first and last number, or None when there are none.

    `errors` are those of records that were left out of a `partial` request, `bad` is their number.
    `watch` tells of their delivery; it is None where nobody may know. `repeated` says that a
    request of this key came before.
    """

    table: str
    first_seq: int | None
    last_seq: int | None
    count: int
    errors: Sequence[dict[str, Any]] = ()
    bad: int = 0
    watch: Watch | None = None
    repeated: bool = False


Outcome = Stored | RefusedError
