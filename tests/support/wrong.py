"""Daemons that are wrong on purpose: `python wrong.py FAULT -c stations.yaml`.

They are what the harness of `test_kill.py` must catch, and what decision 12 is about.
"""

import os
import sys
from collections import deque
from pathlib import Path

from collector import logs
from collector.config import load
from collector.daemon import Line, run
from collector.drain import Drains
from collector.drain.drain import Drain
from collector.intake import Intake


class AcknowledgesFirst(Intake):
    """PUBACKs before the commit: a crash between the two loses what was acknowledged."""

    def _take(self, messages):
        super()._take(messages)
        self._acknowledge()
        self._pending.packet_ids.clear()


class HonoursOldStreams(Drain):
    """Looks an old stream's acknowledgments up in the ledger of the next one."""

    def _use_one_stream(self, first):
        self._old = deque(getattr(self, "_seen", ()))
        self._seen = deque()
        super()._use_one_stream(first)

    def _take_acks(self, ledger, acks):
        self._seen.extend(acks)
        # A call is in flight under the offset that the old stream had acknowledged.
        while self._old and len(ledger):
            super()._take_acks(ledger, [self._old.popleft()])
        super()._take_acks(ledger, acks)


class WrongDrains(Drains):
    drain_type = HonoursOldStreams


class Raises:
    """A mapping with a bug that one message finds."""

    def __init__(self, mapping):
        self._mapping = mapping

    def __getattr__(self, name):
        return getattr(self._mapping, name)

    def encode(self, message, *rest):
        if b"boom" in message.payload:
            rest[-1].append(b"half a record")
            raise ZeroDivisionError("a bug in the mapping")
        return self._mapping.encode(message, *rest)


class RaisingLine(Line):
    def __init__(self, plan, *rest):
        object.__setattr__(plan, "mappings", tuple(Raises(m) for m in plan.mappings))
        super().__init__(plan, *rest)


LINES = {
    "acknowledges-first": type("Wrong", (Line,), {"intake_type": AcknowledgesFirst}),
    "honours-old-streams": type("Wrong", (Line,), {"drains_type": WrongDrains}),
    "raises": RaisingLine,
}

if __name__ == "__main__":
    logs.configure("info")
    os.environ.setdefault("RUST_LOG", "off")
    run(load(Path(sys.argv[3])), LINES[sys.argv[1]])
