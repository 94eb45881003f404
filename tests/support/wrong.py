"""Daemons that are wrong on purpose: `python wrong.py FAULT -c stations.yaml`.

They are what the harnesses of `test_kill.py` and `test_http_kill.py` must catch, and what decision
12 is about.
"""

import os
import sys
import threading
from pathlib import Path

from collector import logs
from collector.config import load
from collector.daemon import Line, run
from collector.drain import Drains
from collector.drain.drain import Drain
from collector.drain.gathering import Gathering
from collector.intake import Intake


class AcknowledgesFirst(Intake):
    """PUBACKs before the commit: a crash between the two loses what was acknowledged."""

    def _take(self, messages):
        super()._take(messages)
        self._acknowledge()
        self._pending.packet_ids.clear()


class HonoursOldStreams(Drain):
    """Looks an old stream's acknowledgments up in the ledger of the next one."""

    _old = _seen = None

    def _use_one_stream(self, first):
        self._old, self._seen = self._seen, None
        super()._use_one_stream(first)

    def _take_acks(self, ledger, acks):
        if acks:
            self._seen = acks[-1]
        # Offsets count from 0 on every stream: this one has calls under the old stream's numbers.
        late = [self._old] if self._old is not None and len(ledger) else []
        super()._take_acks(ledger, late + acks)


class WrongDrains(Drains):
    drain_type = HonoursOldStreams


class StandsStill(Drain):
    """Promises a sign of life as soon as it has a stream, and gives none."""

    def _pump(self, *_):
        self.beat.expect(0.1)
        threading.Event().wait()


class StillDrains(Drains):
    drain_type = StandsStill


class StillIntake(Intake):
    """Takes a message that says `freeze`, and is not heard of again."""

    def _take(self, messages):
        if any(message.payload == b"freeze" for message in messages):
            threading.Event().wait()
        super()._take(messages)


class ImpatientLine(Line):
    """Has an intake that stands still when it is told to, and does not wait long for it."""

    intake_type = StillIntake
    beat_within_s = 2.0


class StuckLine(Line):
    """Has a main thread that stands still, soon after the start."""

    beat_within_s = 2.0

    def start(self):
        tick, ticks = self.spool.tick, iter(range(3))
        self.spool.tick = lambda: tick() if next(ticks, None) is not None else still()
        return super().start()


def still():
    threading.Event().wait()


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


class Dies(Raises):
    """Ends its thread as no mapping may."""

    def encode(self, message, *rest):
        if message.payload == b"die":
            raise SystemExit("the thread ends")
        return self._mapping.encode(message, *rest)


class DyingLine(Line):
    def __init__(self, plan, *rest):
        object.__setattr__(plan, "mappings", tuple(Dies(m) for m in plan.mappings))
        super().__init__(plan, *rest)


class StoringLater(Line):
    """Says that a group is stored, and stores it a little later."""

    def __init__(self, *rest):
        super().__init__(*rest)
        append = self.spool.append
        self.spool.append = lambda group: threading.Timer(0.5, append, (group,)).start()


class StillRequests(Line):
    """Has an intake of requests that stands still with the first, and does not wait long for it."""

    beat_within_s = 2.0

    def __init__(self, *rest):
        super().__init__(*rest)
        append = self.spool.append
        is_request = "http intake".__eq__
        self.spool.append = lambda group: (
            still() if is_request(threading.current_thread().name) else append(group)
        )


class SentIsAcknowledged(Line):
    """Tells whoever waits for Zerobus when a batch is about to be sent."""

    def __init__(self, *rest):
        super().__init__(*rest)
        take, watched = self.spool.take, self.spool.watched
        self.spool.take = lambda batches: take(batches) and not watched.settle(batches)


class GatheringLong(Line):
    """Gathers what comes for an hour, unless somebody waits for it."""

    def __init__(self, *rest):
        Gathering.pause_s = 3_600.0
        super().__init__(*rest)


class ForgettingKeys(Line):
    """Knows no request that comes again."""

    def __init__(self, *rest):
        super().__init__(*rest)
        self.spool.reader.answer = lambda *_: None


LINES = {
    "dies": DyingLine,
    "acknowledges-first": type("Wrong", (Line,), {"intake_type": AcknowledgesFirst}),
    "honours-old-streams": type("Wrong", (Line,), {"drains_type": WrongDrains}),
    "stores-later": StoringLater,
    "sent-is-acknowledged": SentIsAcknowledged,
    "forgets-keys": ForgettingKeys,
    "gathers-long": GatheringLong,
    "raises": RaisingLine,
    "intake-stands-still": type("Wrong", (Line,), {"intake_type": StillIntake}),
    "impatient": ImpatientLine,
    "requests-stand-still": StillRequests,
    "tick-stands-still": StuckLine,
    "drain-stands-still": type("Wrong", (Line,), {"drains_type": StillDrains}),
}

if __name__ == "__main__":
    logs.configure("info")
    os.environ.setdefault("RUST_LOG", "off")
    run(load(Path(sys.argv[3])), LINES[sys.argv[1]])
