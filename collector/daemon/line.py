"""The line, put together: from a plan to its running parts, to another plan, and back in order."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from collector.config import Config
from collector.config.contents import contents_hash
from collector.daemon.draining import make_drains
from collector.drain import Drains
from collector.errors import SpoolError
from collector.intake import Intake
from collector.intake.records import StationRecords
from collector.plan import Plan
from collector.spool import Limits, Spool
from collector.spool.damage.salvage import SalvageThread
from collector.spool.lock import SpoolLock
from collector.subscriber import Subscriber, Subscription, Subscriptions

_log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 30.0
STOP_S: Final = 20.0
_INTAKE_STOP_S: Final = 8.0
_DRAINS_STOP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What two connections were made with: other values, or other files, take another one."""

    mqtt: object
    zerobus: object

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return it; certificates are renewed under the same name, so that their bytes count."""
        mqtt, zerobus = config.mqtt, config.zerobus
        return cls(
            (mqtt, *map(contents_hash, (mqtt.ca_file, mqtt.cert_file, mqtt.key_file))),
            (zerobus, contents_hash(zerobus.ca_file)),
        )


class Line:
    """The running parts; `give_up` ends the wait for a spool that another collector owns.

    `intake_type`, `drains_type` and `beat_within_s` are there to be shown wrong by tests.
    """

    intake_type = Intake
    drains_type = Drains
    # The tick and the intake come round every second; an SD card may stall for longer.
    beat_within_s = 30.0

    def __init__(self, plan_: Plan, give_up: Callable[[], bool] = lambda: False) -> None:
        self.plan = plan_
        config = self.config = plan_.config
        self._give_up = give_up
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
        self._add_schemas(plan_)
        self.subscriber = Subscriber(config.mqtt, self._subscriptions(plan_))
        self.drains = make_drains(plan_, self.spool, self.drains_type)
        self.salvage = SalvageThread(self.spool)
        self.intake = self._make_intake(plan_, self.subscriber)
        self._seen = Seen.of(config)

    def start(self) -> Self:
        """Start draining what is in the spool, and taking messages."""
        self.spool.stored = self.drains.notify
        self.drains.notify(self.spool.reader.tables())
        self._start_intake()
        self.salvage.start()
        return self

    def stop(self, deadline: float | None = None) -> None:
        """End the line in its own order: nothing new, commit, PUBACK, acks, streams, spool."""
        deadline = deadline or time.monotonic() + STOP_S
        self.intake.stop()
        if self.intake.is_alive():
            self.intake.join(min(_INTAKE_STOP_S, max(0.0, deadline - time.monotonic())))
        if not self.intake.is_alive():
            # It has, unless a reload was to give its connection to another.
            self.subscriber.disconnect()
        self.salvage.stop(deadline - 2.0)
        self.drains.stop(deadline - 1.0)
        self.spool.close()
        self._lock.release()

    @property
    def has_broker(self) -> bool:
        """Whether there is a broker; without one the intake from it has no thread."""
        return bool(self.config.mqtt.url)

    def standing_still(self) -> list[str]:
        """Return the names of the loops that have not been heard of for too long."""
        tables = self.drains.standing_still(time.monotonic())
        is_well = not self.has_broker or self.intake.is_beating(self.beat_within_s)
        intake = [] if is_well else ["intake"]
        return intake + [f"drain {table}" for table in tables]

    def beat_ages(self, now: float) -> dict[str, float]:
        """Return for how many seconds each loop was not heard of."""
        drains = {f"drain {table}": age_s for table, age_s in self.drains.beat_ages(now).items()}
        intake = {"intake": now - self.intake.beat} if self.has_broker else {}
        return intake | drains

    def change(self, plan_: Plan, meanwhile: Callable[[], None]) -> bool:
        """Go on by another plan: the next message meets it, and nothing of what came is lost.

        The intake ends its group by the plan that it has and hands its connection over; a changed
        broker or service gets connections of its own, once the old ones have ended in order.
        `meanwhile` is called once a second while something is waited for. Returns whether it went
        through: not when the line is to end meanwhile.

        Raises:
            SpoolError: the spool can't keep the schemas; nothing has changed.
            OSError: a certificate can't be read; nothing has changed.
            RuntimeError: the line can't go on.
        """
        seen = Seen.of(plan_.config)
        self._add_schemas(plan_)
        subscriber = self.subscriber
        if is_elsewhere := seen.mqtt != self._seen.mqtt:
            subscriber = Subscriber(plan_.config.mqtt, self._subscriptions(plan_))
        if not self._end_intake(meanwhile, hand_over=not is_elsewhere):
            return False
        try:
            self._change_drains(plan_, anew=seen.zerobus != self._seen.zerobus)
            self.spool.limits.become(Limits.of(plan_.config))
            intake = self._make_intake(plan_, subscriber)
            if is_elsewhere:
                subscriber.follow(self.subscriber)
            else:
                subscriber.change(self._subscriptions(plan_))
                intake.follow(self.intake)
        except SpoolError as error:
            raise RuntimeError("nothing is taken in any more, because the spool fails") from error
        # In this order: who asks meanwhile is never told of an intake that does not beat.
        self.subscriber, self.intake = subscriber, intake
        self.plan, self.config, self._seen = plan_, plan_.config, seen
        self._start_intake()
        return True

    def _start_intake(self) -> None:
        if self.has_broker:
            self.intake.start()

    def _end_intake(self, meanwhile: Callable[[], None], *, hand_over: bool) -> bool:
        """Wait for the end of the intake, which may be inside a look-up; False if the line ends."""
        (self.intake.hand_over if hand_over else self.intake.stop)()
        while self.intake.is_alive() and not self._give_up():
            self.intake.join(1.0)
            if self.intake.is_alive():
                meanwhile()
        return not self._give_up()

    def _change_drains(self, plan_: Plan, *, anew: bool) -> None:
        self.drains.change(plan_.schemas)
        if not anew:
            return
        before = self.drains
        before.stop(time.monotonic() + _DRAINS_STOP_S)
        self.drains = make_drains(plan_, self.spool, self.drains_type)
        self.drains.follow(before)
        self.spool.stored = self.drains.notify
        self.drains.notify(self.spool.reader.tables())

    def _add_schemas(self, plan_: Plan) -> None:
        for schema in plan_.schemas.values():
            self.spool.add_schema(schema.fingerprint, schema.stored)

    def _make_intake(self, plan_: Plan, subscriber: Subscriber) -> Intake:
        stations = [
            StationRecords(mapping, station.table, self.spool)
            for station, mapping in zip(plan_.config.stations, plan_.mappings, strict=True)
        ]
        return self.intake_type(plan_.config, subscriber, plan_.router, stations, self.spool)

    def _subscriptions(self, plan_: Plan) -> Subscriptions:
        router = plan_.router
        known = {filter_.wire for filter_ in router.filters}
        return Subscriptions(
            plan_.config.mqtt.qos,
            [Subscription(filter_.wire, filter_.identifier) for filter_ in router.filters],
            [filter_.wire for filter_ in router.uncovered()],
            [text for text in self.spool.reader.granted() if text not in known],
            router.overlapping(),
        )
