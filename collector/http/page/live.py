"""What the page shows: told by the main thread, made into text once for all who look."""

import json
import threading
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
    belong to the main thread. While nobody looks, only notes are taken. It outlives a server.
    """

    def __init__(self, spool: Path) -> None:
        self.events = Events()
        self.history = History()
        self._letters = Letters(spool)
        self._snapshot: dict[str, Any] = {}
        self._number = 0
        self._made: tuple[object, Sections] = (None, {})
        self._lock = threading.Lock()

    # -- the main thread -----------------------------------------------------------------------

    def tick(self, counters: Mapping[tuple[str, str], int]) -> None:
        """Note the counters of the spool, once a second."""
        self.history.note(time.monotonic(), counters)

    def show(self, snapshot: dict[str, Any]) -> None:
        """Show another snapshot of the line, which nobody changes any more."""
        self._snapshot = snapshot
        self._number += 1

    # -- any thread ----------------------------------------------------------------------------

    @property
    def made(self) -> Sections | None:
        """What there is to show, or None when something has changed since it was made."""
        made_of, made = self._made
        return made if made_of == self._state() else None

    def make(self) -> Sections:
        """Make what there is to show; it may read the spool, and many tables take a while."""
        with self._lock:
            made_of = self._state()
            made = self._sections(self._snapshot)
            self._made = made_of, made
            return made

    def _state(self) -> tuple[int, int, bool]:
        """Return what differs when something else is to be shown."""
        # A main thread that hangs shows nothing, and that is to be seen.
        hangs = not self._snapshot or status.age_s(self._snapshot) > status.STALE_S
        return self._number, self.events.number, hangs

    def _sections(self, snapshot: dict[str, Any]) -> Sections:
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
