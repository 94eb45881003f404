"""What was asked over HTTP and what became of it, for the figures."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})


class Counts:
    """Written by the server's thread, read by any.

    `requests` is by method, route and status. A route is what the app calls it in `scope["route"]`,
    such as `/ingest/{station}`, so that nobody who asks can make one up.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.connections = 0
        self.wrong_tokens = 0
        self.cut_off = 0
        """Connections that were too slow, or made room for another."""
        self.turned_away = 0
        """Connections for which there was no place."""
        self.awaiting = 0
        """Requests that wait for Zerobus at this moment."""
        self.not_awaited = 0
        """Requests that wanted to wait, and were answered at once since so many do."""

    def add(self, scope: Mapping[str, Any], status: int) -> None:
        """Count a request that was answered."""
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        self.requests[method, getattr(scope.get("route"), "path", OTHER), status] += 1
