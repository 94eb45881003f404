"""The paths and what stands there: `/metrics`, `/livez`, `/readyz`, `/health`.

Independent of who serves them. Every answer is of the moment: none comes from the status file.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from collector.errors import CollectorError

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code, the type of the body, and the body."""

    status: int
    content_type: str
    body: bytes

    @classmethod
    def text(cls, status: int, *lines: str) -> "Answer":
        """Return an answer of lines for people."""
        return cls(status, TEXT, "".join(f"{line}\n" for line in lines).encode())


class Vitals(Protocol):
    """Who knows how the collector is; called from the threads of a server."""

    def standing_still(self) -> list[str]:
        """Return the loops that were not heard of for too long; waits for no disk."""

    def not_storing(self) -> list[str]:
        """Return why a message that comes can't be stored, if so."""

    def health(self) -> tuple[str, list[str]]:
        """Return ok, degraded, offline or failing, and why."""

    def figures(self) -> dict[str, Any]:
        """Return what `collector.metrics` takes."""


class VitalSigns:
    """Answers GET requests by their path."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._signs = {
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/health": self._health,
        }

    def answer(self, path: str, accept: str = "") -> Answer:
        """Return what stands at a path; `accept` is the header by which a client chooses."""
        sign = self._signs.get(path.partition("?")[0])
        if sign is None:
            return Answer.text(HTTPStatus.NOT_FOUND, "there is " + ", ".join(self._signs))
        try:
            return sign(accept)
        except CollectorError as error:
            return Answer.text(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _metrics(self, accept: str) -> Answer:
        # Takes 20 ms to import, and not every gateway is scraped.
        from collector.metrics import render  # noqa: PLC0415

        return Answer(HTTPStatus.OK, *render(self._vitals.figures(), accept))

    def _livez(self, _accept: str) -> Answer:
        """Say whether every loop beats: restarting helps when one does not."""
        return _probe([f"{loop} stands still" for loop in self._vitals.standing_still()])

    def _readyz(self, _accept: str) -> Answer:
        """Say whether what comes can be stored durably."""
        return _probe(self._vitals.not_storing())

    def _health(self, accept: str) -> Answer:
        """Say how it is: only `failing` is an error, since the spool is for all the rest."""
        name, reasons = self._vitals.health()
        status = HTTPStatus.SERVICE_UNAVAILABLE if name == "failing" else HTTPStatus.OK
        if "text/" in accept and "json" not in accept:
            return Answer.text(status, name, *(f"  {reason}" for reason in reasons))
        body = json.dumps({"health": name, "reasons": reasons}, ensure_ascii=False)
        return Answer(status, JSON, body.encode() + b"\n")


def _probe(reasons: list[str]) -> Answer:
    if reasons:
        return Answer.text(HTTPStatus.SERVICE_UNAVAILABLE, *reasons)
    return Answer.text(HTTPStatus.OK, "ok")
