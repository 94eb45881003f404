"""Who may ask, and what goes with every answer: an ASGI app around the one that answers.

What it refuses is refused before anything of a body is read. Whatever the app raises is answered
here: `RefusedError` as it says, anything else as our fault, with its traceback in the log.
"""

import asyncio
import base64
import hmac
import logging
import time
from collections.abc import Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from collector.http.asgi import App, Receive, Scope, Send, header, reply
from collector.http.hosts import is_own_name
from collector.http.refused import RETRY_AFTER_S, RefusedError
from collector.http.serving.counts import Counts

_log = logging.getLogger(__name__)

_SAY_AGAIN_S: Final = 60.0
_PIECE_BYTES: Final = 64 * 1024
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LAST: Final = {"Connection": "close"}
"""So that whoever was not let in does not keep its place."""
_USUAL: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What goes with every answer that says nothing else of it."""


class Guard:
    """Lets through what may be asked, and answers for the app where it fails.

    With a `token` every request must carry it: as a bearer, or as the password of any user, which
    is what a browser asks for. Without one, and without certificates of clients, only addresses and
    `localhost` are taken as the name of this box.
    """

    def __init__(
        self,
        app: App,
        token: str,
        counts: Counts,
        *,
        has_client_certificates: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._counts = counts
        self._is_any_name_ours = bool(token) or has_client_certificates
        self._clock = clock
        self._said_at = -_SAY_AGAIN_S
        self._unsaid = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        answer = _Answer(send)
        try:
            self._check(scope)
            await self._app(scope, receive, answer.send)
        except RefusedError as error:
            await answer.refuse(error)
        except asyncio.CancelledError:
            # Only the server does that, when its time to stop is over. Whoever has stored something
            # says so itself.
            await answer.refuse(_stopping())
        except Exception:
            _log.exception("%s %s can't be answered", scope["method"], scope["path"])
            if answer.status:
                raise  # Half an answer must not look like a whole one.
            await answer.refuse(_failed())
        finally:
            self._counts.add(scope, answer.status)

    def _check(self, scope: Scope) -> None:
        host = header(scope, "host")
        if self._token:
            self._check_token(scope)
        elif not self._is_any_name_ours and not is_own_name(host):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"{host} is not a name of this collector",
                "ask by an address, or localhost; other names need http.token",
                headers=_LAST,
            )
        if scope["method"] not in _READING and _is_of_another_page(scope, host):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "a page of another origin must not write here",
                "send it from a program: browsers alone send Origin and Sec-Fetch-Site",
                headers=_LAST,
            )

    def _check_token(self, scope: Scope) -> None:
        authorization = header(scope, "authorization")
        given = _token_of(authorization)
        if given is not None and hmac.compare_digest(given, self._token):
            return
        if authorization:
            self._note_wrong_token(scope)
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "the token is wrong" if authorization else "a token is needed",
            "send: Authorization: Bearer TOKEN, or the token as the password of any user",
            headers={"WWW-Authenticate": "Bearer", **_LAST},
        )

    def _note_wrong_token(self, scope: Scope) -> None:
        self._counts.wrong_tokens += 1
        self._unsaid += 1
        if self._clock() - self._said_at < _SAY_AGAIN_S:
            return
        client = (scope.get("client") or ("a client",))[0]
        _log.warning(
            "http: %s sent a wrong token: %d so far, %d since this was said last",
            client,
            self._counts.wrong_tokens,
            self._unsaid,
        )
        self._said_at, self._unsaid = self._clock(), 0


class _Answer:
    """The answer to one request, on its way out; `status` is 0 before it begins."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part, with what goes with every answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._send({**message, "headers": _with_ours(message.get("headers", ()))})
        elif len(message.get("body", b"")) > _PIECE_BYTES:
            await self._send_in_pieces(message)
        else:
            await self._send(message)

    async def refuse(self, error: RefusedError) -> None:
        """Answer that it is not done, unless something else was said already."""
        if not self.status:
            headers = [*error.headers.items()]
            if error.status == HTTPStatus.UNAUTHORIZED:
                # In a line of its own: else browsers don't ask for it.
                headers.append(("WWW-Authenticate", 'Basic realm="collector", charset="UTF-8"'))
            await reply(self.send, error.status, headers, error.body)

    async def _send_in_pieces(self, message: MutableMapping[str, Any]) -> None:
        """Send a large body: whoever reads slowly holds a piece of it, and shows that it reads."""
        body = memoryview(message["body"])
        for at in range(0, len(body), _PIECE_BYTES):
            is_last = at + _PIECE_BYTES >= len(body)
            more = message.get("more_body", False) if is_last else True
            piece = body[at : at + _PIECE_BYTES]
            await self._send({"type": message["type"], "body": piece, "more_body": more})


def _with_ours(headers: Any) -> list[tuple[bytes, bytes]]:
    given = [(name.lower(), value) for name, value in headers]
    names = {name for name, _ in given}
    return given + [(name, value) for name, value in _USUAL if name not in names]


def _token_of(authorization: str) -> bytes | None:
    """Return the token that a header carries.

    >>> _token_of("Bearer canary"), _token_of("Basic YW55Ym9keTpjYW5hcnk="), _token_of("Digest x")
    (b'canary', b'canary', None)
    """
    scheme, _, given = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return given.strip().encode("latin-1")
        case "basic":
            try:
                _, _, password = base64.b64decode(given, validate=True).partition(b":")
            except ValueError:  # Also where it is not ASCII.
                return None
            return password
        case _:
            return None


def _is_of_another_page(scope: Scope, host: str) -> bool:
    """Whether a page of another origin makes a browser send this."""
    if header(scope, "sec-fetch-site") == "cross-site":
        return True
    origin = header(scope, "origin")
    return bool(origin) and origin.partition("://")[2].lower() != host.lower()


def _failed() -> RefusedError:
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "the collector failed to answer", "its log says how"
    )


def _stopping() -> RefusedError:
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the collector stops",
        "send it again: nothing of it is done",
        headers={"Retry-After": str(RETRY_AFTER_S), **_LAST},
    )
