"""The station over HTTP as a part of the daemon: its intake, its server, and what the page shows.

What it needs is imported when there is an `http:` in the configuration, and not before.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from collector.config import Http
from collector.daemon.line import Line
from collector.daemon.silence import Counters
from collector.errors import CollectorError
from collector.http import VitalSigns

if TYPE_CHECKING:
    from collector.http.site import Site

_log = logging.getLogger(__name__)

HTTP_INTAKE: Final = "http intake"
"""The loop of the requests, by its name among the others."""
_COUNTS: Final = (
    "requests", "refused", "waiting", "held", "held_max", "connections", "connections_max",
    "cut_off", "turned_away", "awaiting", "not_awaited", "wrong_tokens",
)  # fmt: skip
_NOTHING: Final = {"listen": "", "is_listening": False, "paused": "", **dict.fromkeys(_COUNTS, 0)}


class Web:
    """Follows the configuration: `site` is what serves, or None; used by the main thread.

    What it says of itself may be asked by any thread.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._site: Site | None = None
        self._problem = ""

    def follow(self, signs: VitalSigns, look: Callable[[], dict[str, Any]]) -> None:
        """Serve as the configuration has it by now, or end."""
        options = self._line.config.http
        if options is None:
            self.stop()
            return
        try:
            self._site = self._site or self._make(options, signs, look)
            self._site.serve(self._line.plan, options)
        except CollectorError as error:
            # The line goes on without: what comes by MQTT is stored all the same.
            self._problem = f"http: it can't be served: {error}: a reload tries again"
            _log.error("%s", self._problem)
        else:
            self._problem = ""

    def stop(self) -> None:
        """Take no more requests, store those that were taken, and end."""
        if self._site is not None:
            self._site.close()
        self._site = None

    def tick(self, counters: Counters) -> None:
        """Note the counters of the spool, once a second."""
        if self._site is not None:
            self._site.live.tick(counters)

    def show(self, snapshot: dict[str, Any]) -> None:
        """Have the page show another snapshot."""
        if self._site is not None:
            self._site.live.show(snapshot)

    # -- any thread ----------------------------------------------------------------------------

    def beat_ages(self, now: float) -> dict[str, float]:
        """Return for how many seconds the loop of the requests was not heard of."""
        site = self._site
        return {} if site is None else {HTTP_INTAKE: now - site.intake.beat}

    def standing_still(self) -> list[str]:
        """Return the loop when it was not heard of for too long."""
        ages = self.beat_ages(time.monotonic())
        return [loop for loop, age_s in ages.items() if age_s > self._line.beat_within_s]

    def paused(self) -> str:
        """Say why requests can't be stored, or nothing."""
        site = self._site
        return "" if site is None else site.intake.paused

    def figures(self) -> dict[str, Any] | None:
        """Return what was asked and what became of it; None without `http:`."""
        site, problem = self._site, self._problem
        found = None if site is None else site.figures()
        return {**(found or _NOTHING), "problem": problem} if problem else found

    def requests(self) -> dict[tuple[str, str, int], int]:
        """Return how many requests were answered, by method, route and status."""
        site = self._site
        return {} if site is None else site.by_route()

    def _make(self, options: Http, signs: VitalSigns, look: Callable[[], dict[str, Any]]) -> "Site":
        from collector.http.site import Site  # noqa: PLC0415 - Most gateways have none.

        return Site(self._line.spool, options, signs, look)
