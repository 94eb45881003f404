"""A request that is not served, and what its client is told."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

RETRY_AFTER_S: Final = 5
"""How long a client is told to wait when nothing can be stored."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class RefusedError(Exception):
    """Raised wherever it is found; answered as JSON: `error`, `hint`, and `more` keys.

    `headers` go with the answer, such as `Retry-After` in seconds.
    """

    def __init__(
        self,
        status: int,
        error: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] = _NOTHING,
        more: Mapping[str, Any] = _NOTHING,
    ) -> None:
        super().__init__(error)
        self.status = int(status)
        self.headers = {"Content-Type": "application/json", **headers}
        said = {"error": error, **({"hint": hint} if hint else {}), **more}
        self.body = json.dumps(said, ensure_ascii=False).encode() + b"\n"


def unavailable(why: str) -> RefusedError:
    """Return what a client is told while nothing can be stored."""
    return RefusedError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"nothing can be stored: {why}",
        "Nothing of the request is stored: send it again.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def unknown_station(name: str, known: Iterable[str]) -> RefusedError:
    """Return what a client is told of a station that there is not."""
    there = ", ".join(known) or "none"
    return RefusedError(HTTPStatus.NOT_FOUND, f"there is no station {name!r}", f"There is {there}.")
