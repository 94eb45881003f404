"""A request that is not served, and what its client is told."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

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
