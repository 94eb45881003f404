"""Tokens of the OAuth endpoint: who gets one, and until when it is good.

A token carries its own end, signed with a key that follows from the client secret. So a token
outlives a restart of the emulator, as a real one outlives a restart of the service.
"""

import base64
import binascii
import hashlib
import hmac
import time

PREFIX = "emulator"


class Tokens:
    """Issues tokens and checks them."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._key = hashlib.sha256(f"{PREFIX}:{client_secret}".encode()).digest()

    def knows(self, authorization: str) -> bool:
        """Whether an Authorization header carries the credentials; all do if none are set."""
        if not self._client_id:
            return True
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return False
        wanted = f"{self._client_id}:{self._client_secret}".encode()
        return scheme.lower() == "basic" and hmac.compare_digest(given, wanted)

    def issue(self, seconds: float) -> str:
        """A token that is good for so long."""
        ends = f"{time.time() + seconds:.3f}"
        return f"{PREFIX}-{ends}-{self._sign(ends).decode()}"

    def refuses(self, authorization: str) -> str:
        """Why a Bearer token is not good, or nothing."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "no Bearer token"
        prefix, _, rest = token.partition("-")
        ends, _, signature = rest.partition("-")
        if prefix != PREFIX or not hmac.compare_digest(signature.encode(), self._sign(ends)):
            return "unknown token"
        return "expired token" if float(ends) < time.time() else ""

    def _sign(self, ends: str) -> bytes:
        return hmac.new(self._key, ends.encode(), "sha256").hexdigest().encode()
