"""What the page shows: told by the main thread, made into text once for all who look."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector import status
from collector.errors import SpoolError
from collector.http.page import sections
from collector.http.page.events import Events
from collector.http.page.history import History
from collector.http.page.letters import Letters

Sections = dict[str, str]
"""The name of a section → its content, as JSON."""


class Live:
    """The line as it is now, for the viewers of one server; `spool` is the path of the spool.

    `events` is a handler for the logger `collector`, `history` the last hour. `tick` and `show`
    belong to the main thread, the rest to the loop of the server. While nobody looks, only notes
    are taken.
    """

    def __init__(self, spool: Path) -> None:
        self.events = Events()
        self.history = History()
        self._letters = Letters(spool)
        self._snapshot: dict[str, Any] = {}
        self._number = 0
        self._made: Sections = {}
        self._made_of: object = None
        self._lock = asyncio.Lock()

    # -- the main thread -----------------------------------------------------------------------

    def tick(self, counters: Mapping[tuple[str, str], int]) -> None:
        """Note the counters of the spool, once a second."""
        self.history.note(time.monotonic(), counters)

    def show(self, snapshot: dict[str, Any]) -> None:
        """Show another snapshot of the line, which nobody changes any more."""
        self._snapshot = snapshot
        self._number += 1

    # -- the loop of the server ----------------------------------------------------------------

    async def sections(self) -> Sections:
        """Return what there is to show; the same object as long as nothing has changed."""
        async with self._lock:
            number, snapshot = self._number, self._snapshot
            # A main thread that hangs shows nothing, and that is to be seen.
            age_s = time.time() - snapshot.get("updated_us", 0) / 1e6
            made_of = (number, self.events.number, age_s > status.STALE_S)
            if made_of != self._made_of:
                # Not in the loop: it may read the spool, and a thousand tables take a while.
                self._made = await asyncio.to_thread(self._make, snapshot)
                self._made_of = made_of
            return self._made

    def _make(self, snapshot: dict[str, Any]) -> Sections:
        made: dict[str, Any] = {"events": self.events.latest()}
        if snapshot:
            made |= {
                "line": sections.line(snapshot),
                "stations": sections.stations(snapshot),
                "tables": sections.tables(snapshot),
                "letters": self._kinds(snapshot),
            }
        return {name: json.dumps(section) for name, section in made.items()}

    def _kinds(self, snapshot: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"kinds": self._letters.look(snapshot["messages"]), "problem": ""}
        except SpoolError as error:
            return {"kinds": [], "problem": str(error)}
