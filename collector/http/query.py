"""The parameters behind the `?` of a request, read strictly: a typo is told, not ignored."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from collector.config.quantities import parse_duration
from collector.http.refused import RefusedError

TIMEOUT_MAX_S: Final = 600.0
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")
_FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class Query:
    """The parameters of one request; every method raises RefusedError for what it can't read."""

    def __init__(self, raw: bytes, known: Sequence[str]) -> None:
        self._values: dict[str, str] = {}
        if not raw:
            return
        try:
            pairs = parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20
            )
        except ValueError:
            raise _bad("the parameters can't be read", "Write ?name=value&name=value.") from None
        for name, value in pairs:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"Did you mean {near[0]}?" if near else f"There is {', '.join(known)}."
                raise _bad(f"unknown parameter {name[:100]!r}", hint)
            if name in self._values:
                raise _bad(f"{name} stands there twice")
            self._values[name] = value

    def text(self, name: str) -> str:
        """Return a text; empty when it is not there."""
        return self._values.get(name, "")

    def flag(self, name: str) -> bool:
        """Return whether something is asked for; `?name` alone is a yes."""
        value = self._values.get(name, "false").lower() or "true"
        if value not in _FLAGS:
            raise _bad(f"{name} must be true or false")
        return _FLAGS[value]

    def duration(self, name: str, default_s: float) -> float:
        """Return a duration in seconds, which is what a number without a unit is."""
        text = self._values.get(name)
        if text is None:
            return default_s
        try:
            seconds = float(text) if _NUMBER.fullmatch(text) else parse_duration(text)
        except ValueError as error:
            raise _bad(f"{name} {error}") from None
        if not 0 <= seconds <= TIMEOUT_MAX_S:
            raise _bad(f"{name} must lie between 0 and {TIMEOUT_MAX_S:.0f} s")
        return seconds


def _bad(error: str, hint: str = "") -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, error, hint)
