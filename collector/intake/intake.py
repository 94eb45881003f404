"""The loop from the broker to the PUBACK. Runs in the MQTT thread.

The order of its steps is the promise: receive, route, map, encode, commit, acknowledge. Nothing
is acknowledged before `Spool.append` has returned; when it raises, nothing of the group is.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from collector.config import Config
from collector.errors import SpoolError, SpoolFullError
from collector.intake.copies import Copies
from collector.intake.group import Pending
from collector.intake.pace import Pace
from collector.intake.records import StationRecords
from collector.intake.retained import Retained
from collector.model import Message
from collector.router import Router
from collector.spool import Spool
from collector.subscriber import Subscriber, Subscriptions

_log = logging.getLogger(__name__)

_CONNECTING_MAX_S: Final = 120.0
_ROOM_PART: Final = 20
_LOG_AGAIN_S: Final = 60.0


class Intake(threading.Thread):
    """Takes messages from the subscriber and stores them.

    `paused` says why nothing is stored at the moment, or is empty.
    """

    def __init__(
        self,
        config: Config,
        subscriber: Subscriber,
        router: Router,
        stations: Sequence[StationRecords],
        spool: Spool,
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._subscriber = subscriber
        self._router = router
        self._spool = spool
        self._inbox_max_bytes = config.mqtt.inbox_max_bytes
        self._spool_max_bytes = config.spool.max_bytes
        self._pending = Pending(stations, config.mqtt.message_max_bytes)
        self._pace = Pace(
            config.mqtt.receive_maximum, config.spool.commit_interval, config.spool.commit_max_bytes
        )
        self._interval = config.spool.commit_interval
        self._stopping = threading.Event()
        self._hands_over = False
        self.epoch = -1
        self._retry_at = 0.0
        self._away = False
        self._grants: dict[str, int] = spool.reader.granted()
        self._retained = Retained(spool.reader.retained())
        self.copies = Copies()
        self._given_back = ("", 0.0)
        self.paused = ""
        self.beat = time.monotonic()

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Receive and store until told to end; then commit, acknowledge and say goodbye.

        Who hands over keeps the connection, unless the commit failed: what is not acknowledged
        comes again by the next connection only.
        """
        while not self._stopping.is_set():
            self.beat = time.monotonic()
            if self._away and not self._may_come_back():
                self._stopping.wait(1.0)
                continue
            try:
                self._take(self._subscriber.receive(self._timeout()))
            except SpoolError as error:
                self._give_back(str(error))
            if self._is_due():
                self._commit()
        if self._pending:
            self._commit()
        if not self._hands_over:
            self._subscriber.disconnect()
        elif self._pending.messages:
            self._give_back("the last commit before a reload failed")

    def _take(self, messages: list[Message]) -> None:
        """Route and map what arrived; nothing here may fail because of a message."""
        if self._subscriber.epoch != self.epoch:
            self._new_connection()
        answers = self._subscriber.subscriptions
        if answers.granted or answers.gone:
            self._keep_grants(answers)
        pending = self._pending
        if not messages:
            return
        now, received_us = time.monotonic(), time.time_ns() // 1000
        if not pending.messages:
            pending.since, pending.received_us = now, received_us
        resolve, add = self._router.resolve, pending.add
        packet_ids = pending.packet_ids
        size_bytes = 0
        repeats_retained = self._subscriber.state.protocol == "3.1.1"
        for message in messages:
            topic, payload, qos, retain, _, packet_id, identifiers, _, _ = message
            if qos:
                packet_ids.append(packet_id)
            else:
                pending.unprotected += 1
                if self.paused:
                    pending.ignore("full")
                    continue
            size_bytes += len(topic) + len(payload)
            if retain and repeats_retained and self._retained.is_known(topic, payload):
                pending.ignore("retained")
                continue
            try:
                resolution = resolve(topic, identifiers)
            except UnicodeDecodeError:
                pending.undecodable_topic(message, received_us)
                continue
            if resolution.copies > 1 and self.copies.is_repeat(message, resolution.copies):
                pending.ignore("copy")
                continue
            add(message, resolution, received_us)
        pending.messages += len(messages)
        pending.size_bytes += size_bytes
        for topic_text, payload in pending.requests():
            self._subscriber.publish(topic_text, payload)
        if not self.paused:
            self._pace.arrived(len(messages), len(packet_ids), now)
            self._gather(size_bytes, now)

    def _commit(self) -> None:
        """Store the group, then acknowledge it; the only place that sends PUBACKs."""
        pending = self._pending
        try:
            self._spool.append(pending.group(self._retained.fresh))
        except SpoolFullError as error:
            self._pause(error)
            return
        except SpoolError as error:
            self._give_back(str(error))
            return
        self._acknowledge()
        self._pace.committed(len(pending.packet_ids), time.monotonic())
        pending.stored()
        self._retained.stored()
        if self.paused:
            _log.info("the spool has room again: storing goes on")
            self.paused = ""

    def _acknowledge(self) -> None:
        """PUBACK what the commit holds, in order of arrival."""
        self._subscriber.acknowledge(self._pending.packet_ids, self.epoch)

    # -- waiting -------------------------------------------------------------------------------

    def _timeout(self) -> float:
        """Return how long the next wait for messages may last."""
        now = time.monotonic()
        if not self.paused and not self._pending:
            return 1.0
        due = self._retry_at if self.paused else self._pending.since + self._interval
        return min(1.0, max(0.0, due - now, self._retry_at - now))

    def _is_due(self) -> bool:
        pending, now = self._pending, time.monotonic()
        if self.paused:
            return now >= self._retry_at or self._is_over_inbox()
        if not pending or now < self._retry_at:
            return False
        unacknowledged = len(pending.packet_ids)
        return self._pace.is_due(unacknowledged, pending.size_bytes, pending.since, now)

    def _gather(self, read_bytes: int, now: float) -> None:
        """Let messages come together before the next read, unless a commit is due."""
        pending = self._pending
        if not self._pace.is_full(len(pending.packet_ids), pending.size_bytes):
            pause = self._pace.pause(read_bytes, pending.since + self._interval - now)
            if pause > 0:
                self._stopping.wait(pause)

    def is_beating(self, within_s: float) -> bool:
        """Say whether the loop is alive; connecting has a deadline of its own."""
        now = time.monotonic()
        since = self._subscriber.state.connecting_since
        if since and now - since < _CONNECTING_MAX_S:
            return True
        return now - self.beat < within_s

    @property
    def held(self) -> tuple[int, int, int]:
        """Messages that are not acknowledged, their bytes, and how many the broker hands out."""
        pending = self._pending
        return len(pending.packet_ids), pending.size_bytes, self._pace.window

    def stop(self) -> None:
        """Ask the loop to end."""
        self._stopping.set()
        self._subscriber.wake()

    def hand_over(self) -> None:
        """Ask the loop to end and to leave the connection to the intake that follows."""
        self._hands_over = True
        self.stop()

    def follow(self, other: "Intake") -> None:
        """Go on with the connection of an intake that has ended; to be called before the start."""
        self.epoch, self.copies = other.epoch, other.copies
        self._pending.follow(*other.uncounted)

    @property
    def uncounted(self) -> tuple[int, float]:
        """Messages that were given back and do not come again, and since when."""
        return self._pending.lost, self._pending.since

    # -- a full spool --------------------------------------------------------------------------

    def _pause(self, error: SpoolFullError) -> None:
        """Store and acknowledge nothing, so that the broker's window closes and it keeps the rest.

        What is unacknowledged is held in memory up to `mqtt.inbox_max_bytes`; beyond, the
        connection is given up and the broker delivers it again.
        """
        if not self.paused:
            _log.error("the spool is full, nothing is acknowledged: %s", error)
        self.paused = str(error)
        self._retry_at = time.monotonic() + 1.0
        if self._is_over_inbox():
            self._away = True
            self._give_back("the spool is full and the inbox too")

    def _is_over_inbox(self) -> bool:
        return self._pending.size_bytes > self._inbox_max_bytes

    def _may_come_back(self) -> bool:
        """Say whether there is room for twice the inbox and a twentieth of the spool.

        Half of a small spool is enough: dead letters and the like stay in it for long.
        """
        room = 2 * self._inbox_max_bytes + self._spool_max_bytes // _ROOM_PART
        try:
            self._spool.room.check(min(room, self._spool_max_bytes // 2))
        except SpoolError:
            return False
        self._away, self.paused = False, ""
        return True

    def _give_back(self, reason: str) -> None:
        """Drop the group and the connection: nothing was acknowledged, all of it comes again."""
        now = time.monotonic()
        if reason != self._given_back[0] or now - self._given_back[1] > _LOG_AGAIN_S:
            _log.error("%s: the messages since the last commit are left to the broker", reason)
            self._given_back = (reason, now)
        self._retry_at = now + 1.0
        self._pending.give_back(now)
        self._retained.give_back()
        self._subscriber.disconnect(reason)

    # -- the connection ------------------------------------------------------------------------

    def _new_connection(self) -> None:
        """Forget packet ids and copies: they belong to the connection that they came by."""
        self.epoch = self._subscriber.epoch
        self._pending.packet_ids.clear()
        self.copies.forget()
        self._pace.connected(time.monotonic())

    def _keep_grants(self, answers: Subscriptions) -> None:
        """Keep what the broker granted or took back, so that a later run knows what to end."""
        lost = [text for text in answers.gone if text in self._grants]
        fresh = [text for text in dict.fromkeys(answers.granted) if text not in self._grants]
        answers.granted.clear()
        answers.gone.clear()
        if not fresh and not lost:
            return
        try:
            if lost:
                self._spool.forget_grant(lost)
            self._grants = self._spool.grant(fresh)
        except SpoolError as error:
            _log.warning("granted filters could not be kept, they are asked for again: %s", error)
            return
