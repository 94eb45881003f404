"""`POST /ingest/{station}`: a request becomes records on the disk, and hears so.

202 says that they are on this box's disk, 200 that Zerobus has acknowledged them too. Neither is
said of anything else.
"""

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from collector.config import Http
from collector.http.asgi import Receive, Scope, Send, header, reply_json
from collector.http.ingest.answers import KEY_MAX_CHARS, KEY_PATTERN, key_of
from collector.http.ingest.intake import HttpIntake
from collector.http.ingest.payloads import payloads_of
from collector.http.ingest.submission import Stored, Submission
from collector.http.query import Query
from collector.http.refused import RETRY_AFTER_S, RefusedError
from collector.http.serving.body import Bodies
from collector.http.waiting import Waiters, ended
from collector.spool import Spool

PARAMETERS: Final = ("topic", "wait_for_ack", "timeout", "partial")
_KEY: Final = re.compile(KEY_PATTERN)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the parameters of a request ask for; `timeout_s` is how long it waits for Zerobus."""

    topic: str = ""
    waits: bool = False
    partial: bool = False
    timeout_s: float = 0.0

    @classmethod
    def of(cls, raw: bytes, timeout_s: float) -> "Asked":
        """Read the parameters; raises RefusedError."""
        if not raw:
            return cls()
        query = Query(raw, PARAMETERS)
        return cls(
            query.text("topic"),
            query.flag("wait_for_ack"),
            query.flag("partial"),
            query.duration("timeout", timeout_s),
        )


class Ingest:
    """Answers the requests of one server."""

    def __init__(
        self, intake: HttpIntake, spool: Spool, bodies: Bodies, waiters: Waiters, options: Http
    ) -> None:
        self._intake = intake
        self._spool = spool
        self._bodies = bodies
        self._waiters = waiters
        self._timeout_s = options.timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        name: str = scope["path_params"]["station"]
        target = self._intake.find(name)
        if target.why_not:
            raise RefusedError(HTTPStatus.CONFLICT, f"{name}: {target.why_not}")
        asked = Asked.of(scope["query_string"], self._timeout_s)
        key = _key(scope)
        with await self._bodies.read(scope, receive) as body:
            content_type = header(scope, "content-type")
            payloads, is_lines = payloads_of(body, content_type, target.station.format)
            submission = Submission(
                name,
                asked.topic,
                payloads,
                len(body),
                time.time_ns() // 1000,
                is_lines,
                asked.partial,
                key_of(name, key) if key else b"",
                _hash(body, asked) if key else b"",
                asked.waits,
            )
            self._intake.submit(submission)
            stored = await _settled(submission)
        why_not = await self._wait(stored, asked, receive, bool(key)) if asked.waits else ""
        acknowledged = asked.waits and _is_delivered(stored)
        said = _answer(name, stored, asked, why_not, acknowledged=acknowledged)
        status = HTTPStatus.OK if acknowledged else HTTPStatus.ACCEPTED
        await reply_json(send, status, said)

    async def _wait(self, stored: Stored, asked: Asked, receive: Receive, is_keyed: bool) -> str:
        """Wait for Zerobus, where anybody here can know; returns why it did not, if so."""
        watch = stored.watch
        if watch is None or watch.has_ended:
            return ""
        why_not = await self._waiters.wait(asked.timeout_s, lambda: ended(watch), receive)
        if not watch.has_ended and not is_keyed:
            self._spool.watched.drop(watch)
        return why_not


async def _settled(submission: Submission) -> Stored:
    """Return what is stored; raises RefusedError, also at the end of a server whose disk stalls."""
    try:
        return await submission.settled
    except asyncio.CancelledError:
        raise RefusedError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the collector stops, and can't say yet whether this is stored",
            "send it again with the same Idempotency-Key; without one it may be stored twice",
            headers={"Retry-After": str(RETRY_AFTER_S), "Connection": "close"},
        ) from None


def _key(scope: Scope) -> str:
    """Return the key of a request, or nothing; raises RefusedError where it is there and none.

    An empty one is such: its client believes that it may send the request again.
    """
    for name, value in scope["headers"]:
        if name == b"idempotency-key":
            key: str = value.decode("latin-1").strip()
            if len(key) <= KEY_MAX_CHARS and _KEY.fullmatch(key):
                return key
            text = f"Idempotency-Key must be 1 to {KEY_MAX_CHARS} characters of ASCII"
            raise RefusedError(HTTPStatus.BAD_REQUEST, text)
    return ""


def _hash(body: bytes, asked: Asked) -> bytes:
    """Tell one request of a key from another by all that decides what is stored."""
    rest = f"{asked.topic}\0{asked.partial}\0".encode()
    return hashlib.blake2b(rest + body, digest_size=16).digest()


def _is_delivered(stored: Stored) -> bool:
    """Whether Zerobus has acknowledged all of it, as far as anybody here can know."""
    return stored.watch is not None and stored.watch.is_delivered and stored.count > 0


def _answer(
    station: str, stored: Stored, asked: Asked, why_not: str, *, acknowledged: bool
) -> dict[str, Any]:
    status, message = _state(stored, asked, why_not, acknowledged=acknowledged)
    said: dict[str, Any] = {
        "status": status,
        "station": station,
        "table": stored.table,
        "seq": stored.first_seq,
        "last_seq": stored.last_seq,
        "count": stored.count,
        "acknowledged": acknowledged,
        "wait_for_ack": asked.waits,
        "message": message,
    }
    if stored.errors:
        said |= {"errors": stored.errors, "bad": stored.bad}
    if stored.repeated:
        said["repeated"] = True
    return said


def _state(stored: Stored, asked: Asked, why_not: str, *, acknowledged: bool) -> tuple[str, str]:
    """Return the word for what became of the records, and a sentence."""
    watch = stored.watch
    if not stored.count:
        return "ignored", "nothing is stored: it holds no record that is wanted"
    if acknowledged:
        return "acknowledged", "Zerobus has acknowledged it"
    if watch is not None and watch.has_ended and watch.undelivered:
        return "undelivered", f"not all of it was delivered: {watch.undelivered}"
    if watch is None and stored.repeated:
        return "stored", (
            "it came before, and was stored; whether Zerobus has it by now is not known here"
        )
    if asked.waits:
        told = "on this box's disk: Zerobus has not acknowledged it yet, and will get it"
        return "stored", f"{told}; {why_not}" if why_not else told
    return "stored", "on this box's disk: it is sent, and kept until Zerobus has acknowledged it"
