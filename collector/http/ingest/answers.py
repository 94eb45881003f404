"""Requests that come again with the same `Idempotency-Key`: they store nothing a second time.

What they were answered is kept in the spool, by the commit of their records, for
`http.idempotency_window`. Who waits for their delivery may ask again, as long as this run lasts.
"""

import hashlib
import json
from http import HTTPStatus
from typing import Any, Final

from collector.http.ingest.part import Part
from collector.http.ingest.submission import Stored, Submission
from collector.http.refused import RefusedError
from collector.spool import Spool
from collector.spool.kept_rows import StoredAnswer
from collector.spool.limits import ANSWER_BYTES
from collector.spool.watched import Watch

WATCHES_MAX: Final = 10_000
"""Requests with a key whose delivery can be asked for again; beyond, the oldest is forgotten."""
KEY_MAX_CHARS: Final = 255
KEY_PATTERN: Final = "^[!-~]([ -~]*[!-~])?$"
TEXT_MAX_BYTES: Final = ANSWER_BYTES - 128
"""Of a request that was stored in part, as many errors are told again as fit."""


def key_of(station: str, key: str) -> bytes:
    """Return what a key is kept as: those of two stations have nothing to do with each other."""
    return hashlib.blake2b(f"{station}\0{key}".encode(), digest_size=16).digest()


class Answers:
    """What requests with a key were answered; used by the HTTP intake."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._watches: dict[bytes, Watch] = {}

    def known(self, submission: Submission) -> Stored | None:
        """Return what a request of this key was answered before, if one was.

        Raises:
            RefusedError: that one had another body.
            SpoolError: the spool can't be read.
        """
        since_us = submission.received_us - int(self._spool.limits.answers_window_s * 1e6)
        found = self._spool.reader.answer(submission.key, since_us)
        if found is None:
            return None
        body, text = found
        check_same(submission, body)
        watch = self._watches.get(submission.key)
        return Stored(**json.loads(text), watch=watch, repeated=True)

    def of(self, part: Part) -> StoredAnswer:
        """Return what the commit of a request is to keep of it."""
        submission, stored = part.submission, part.stored()
        said: dict[str, Any] = {
            "table": stored.table,
            "first_seq": stored.first_seq,
            "last_seq": stored.last_seq,
            "count": stored.count,
            "errors": [],
            "bad": stored.bad,
        }
        for error in stored.errors:
            longer = {**said, "errors": [*said["errors"], error]}
            if len(_text(longer).encode()) > TEXT_MAX_BYTES:
                break
            said = longer
        return StoredAnswer(submission.key, submission.body, submission.received_us, _text(said))

    def remember(self, part: Part) -> None:
        """Remember who waits for the delivery of what is stored."""
        if part.watch is not None:
            self._watches[part.submission.key] = part.watch
        while len(self._watches) > WATCHES_MAX:
            self._spool.watched.drop(self._watches.pop(next(iter(self._watches))))


def check_same(submission: Submission, body: bytes) -> None:
    """Raise RefusedError when a key comes again with something else."""
    if submission.body != body:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "this Idempotency-Key came before with another body, topic or `partial`",
            "Give every request a key of its own.",
        )


def _text(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False)
