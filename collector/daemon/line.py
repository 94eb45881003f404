"""The line, put together: from a plan to its running parts, and back in order."""

import logging
import time
from collections.abc import Callable
from typing import Final, Self

from collector.daemon.draining import make_drains
from collector.drain import Drains
from collector.intake import Intake
from collector.intake.records import StationRecords
from collector.plan import Plan
from collector.router import Router
from collector.spool import Limits, Spool
from collector.spool.damage.salvage import SalvageThread
from collector.spool.lock import SpoolLock
from collector.subscriber import Subscriber, Subscription

_log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 30.0
STOP_S: Final = 20.0
_INTAKE_STOP_S: Final = 8.0


class Line:
    """The running parts; `give_up` ends the wait for a spool that another collector owns.

    `intake_type` and `drains_type` are there to be shown wrong by tests.
    """

    intake_type = Intake
    drains_type = Drains

    def __init__(self, plan_: Plan, give_up: Callable[[], bool] = lambda: False) -> None:
        self.plan = plan_
        config = self.config = plan_.config
        self._lock = SpoolLock(config.spool.path)
        if not self._lock.take():
            _log.warning(
                "%s owns the spool %s: waiting up to %.0f s for it",
                self._lock.holder(),
                config.spool.path,
                LOCK_WAIT_S,
            )
            self._lock.wait(LOCK_WAIT_S, give_up)
        self.spool = Spool(config.spool.path, Limits.of(config))
        for schema in plan_.schemas.values():
            self.spool.add_schema(schema.fingerprint, schema.stored)
        # The subscriber makes its TLS context before the SDK's CA goes into the environment.
        self.subscriber = self._make_subscriber(plan_.router)
        self.drains = make_drains(plan_, self.spool, self.drains_type)
        self.salvage = SalvageThread(self.spool)
        stations = [
            StationRecords(mapping, station.table, self.spool)
            for station, mapping in zip(config.stations, plan_.mappings, strict=True)
        ]
        self.intake = self.intake_type(config, self.subscriber, plan_.router, stations, self.spool)

    def start(self) -> Self:
        """Start draining what is in the spool, and taking messages."""
        self.spool.stored = self.drains.notify
        self.drains.notify(self.spool.reader.tables())
        self.intake.start()
        self.salvage.start()
        return self

    def stop(self, deadline: float | None = None) -> None:
        """End the line in its own order: nothing new, commit, PUBACK, acks, streams, spool."""
        deadline = deadline or time.monotonic() + STOP_S
        self.intake.stop()
        self.intake.join(min(_INTAKE_STOP_S, max(0.0, deadline - time.monotonic())))
        self.salvage.stop(deadline - 2.0)
        self.drains.stop(deadline - 1.0)
        self.spool.close()
        self._lock.release()

    def _make_subscriber(self, router: Router) -> Subscriber:
        known = {filter_.wire for filter_ in router.filters}
        return Subscriber(
            self.config.mqtt,
            [Subscription(filter_.wire, filter_.identifier) for filter_ in router.filters],
            [filter_.wire for filter_ in router.uncovered()],
            [text for text in self.spool.reader.granted() if text not in known],
            router.overlapping(),
        )
