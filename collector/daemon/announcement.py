"""What the status topic says of the collector, and when it is to be said anew."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from collector import status

EVERY_S: Final = 60.0
_WORDS: Final = {"ok": "online"}


class Announcement:
    """Says a change of state at once, and everything else now and then."""

    def __init__(self) -> None:
        self._said: tuple[str, float] = ("", 0.0)

    def due(self, snapshot: Mapping[str, Any], now: float, *, is_first: bool) -> bytes:
        """Return what is to be said, as JSON; nothing when it is too early for that.

        `is_first` says that this broker has not heard anything.
        """
        health, reasons = status.health(dict(snapshot))
        before, at = self._said
        if not is_first and health == before and now - at < EVERY_S:
            return b""
        self._said = (health, now)
        tables = snapshot["tables"].values()
        document = {
            "state": _WORDS.get(health, health),
            "reasons": reasons,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": snapshot["version"],
            "backlog": sum(table.get("spooled", 0) for table in tables),
        }
        return json.dumps(document, ensure_ascii=False).encode()
