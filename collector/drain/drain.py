"""The loop of one table: read, ingest, acknowledge; and what to do when a stream ends.

A stream is used by this thread alone. Whatever goes wrong, what is not acknowledged is still in
the spool, and the next stream starts from the oldest of it.
"""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from collector.beat import Beat
from collector.drain.front import Front
from collector.drain.gathering import Gathering
from collector.drain.ledger import Call, Ledger, compose
from collector.drain.refusals import Refusals, ReopenError
from collector.drain.search import UNLIMITED
from collector.drain.shared import Shared
from collector.drain.standstill import Standstill
from collector.drain.state import DrainState
from collector.drain.window import Window
from collector.errors import SpoolError
from collector.model import Batch
from collector.stream import CALL_MAX_BYTES, CALLS_IN_FLIGHT_MAX, Ack, End, Stream, StreamError

STEP_S: Final = 120.0
"""A step on an open stream takes less, also where an SD card stalls: longer is a standstill."""
LONG_STEP_S: Final = 1_800.0
"""The same for an open, which waits for those of other tables, and for encoding a backlog anew."""


class Drain(threading.Thread):
    """Carries the batches of one table into Zerobus, in the order of their commits.

    `retire` is asked when nothing is left to do, and says whether the thread may end.
    """

    def __init__(
        self, table: str, shared: Shared, state: DrainState, retire: Callable[["Drain"], bool]
    ) -> None:
        super().__init__(name=f"drain {table}", daemon=True)
        self.table = table
        self.state = state
        self._shared = shared
        self._retire = retire
        self._spool = shared.spool
        self._options = shared.options
        self._wake = threading.Event()
        self._front = Front(self._spool, table, live=self._options.drain == "live")
        self._may_bury = partial(shared.may_bury, table)
        self._refusals = Refusals(table, self._spool, self._front, self._may_bury)
        self._gathering = Gathering()
        self._window = Window(self._options.window_max_bytes, self._options.ack_timeout)
        self._standstill = Standstill(table, shared, state, self._front, self._refusals, self._wake)
        self.beat = Beat()
        self._last_offset = -1
        self._batch_bytes = 0
        self.has_stream = False

    def notify(self, *, is_awaited: bool = False) -> None:
        """Say that there is something to do; may be called from any thread.

        `is_awaited`: somebody waits until Zerobus has it.
        """
        self._front.more()
        if is_awaited:
            self._gathering.hurry()
        self._wake.set()

    def run(self) -> None:
        """Use one stream after the other while there is work."""
        while not self._shared.stopping:
            began = time.monotonic()
            self.beat.expect(LONG_STEP_S)
            word = self._may_bury()
            try:
                first = self._wait_for_work()
                if first is None:
                    return
                self._use_one_stream(first)
                self._standstill.ended_well()
            except ReopenError as reopened:
                if reopened.__cause__ is not None:
                    self.state.note_error(str(reopened.__cause__))
            except (StreamError, SpoolError) as error:
                if any(mark in str(error).lower() for mark in ("ack timeout", "exhausted")):
                    self._window.timed_out(self._batch_bytes)
                self.beat.expect(LONG_STEP_S)
                self._standstill.wait_out(error, began, word)

    # -- one stream ----------------------------------------------------------------------------

    def _use_one_stream(self, first: Batch) -> None:
        """Open a stream for the schema of `first` and send until there is a reason to end it."""
        stream, ledger = self._open(first), Ledger()
        self.beat.expect(STEP_S)
        self.has_stream = True
        ended: StreamError | None = None
        try:
            if self._shared.stopping:
                return
            self._refusals.before_pump(
                lambda call: self._send_alone(stream, ledger, call),
                first.fingerprint,
                min(CALL_MAX_BYTES, self._window.bytes),
            )
            self._standstill.set_state("streaming")
            self._pump(stream, ledger, first.fingerprint)
        except StreamError as error:
            ended = error
        finally:
            try:
                self._take_acks(ledger, stream.close())
                self.has_stream = False
                self._note_in_flight(0)
                if ended is not None:
                    self.state.ends[ended.end.value] += 1
                    self._refusals.settle(ended, ledger)
            finally:
                self.state.suspects = len(self._refusals.suspects)
                self._spool.release(ledger.batches())

    def _pump(self, stream: Stream, ledger: Ledger, fingerprint: bytes) -> None:
        """Keep the window full of calls until there is a reason for another stream."""
        self._front.rewind()
        self._window.reopened()
        self._gathering.begin()
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - tables shall not rotate together.
        rotate_at = stream.opened_at + self._options.rotate_after * jitter
        idle_since = time.monotonic()
        while True:
            self.beat.expect(STEP_S)
            self._take_acks(ledger, stream.acks())
            now = time.monotonic()
            if reason := self._reason_to_end(now >= rotate_at, fingerprint):
                break
            if not self._front.ahead and self._gathering.wait(now):
                continue
            call = self._next_call(ledger, fingerprint)
            if call is not None:
                if not self._has_turn(call) or not self._front.take(call):
                    continue  # Or some of it was dropped since it was read.
                self._ingest(stream, ledger, call)
                self._gathering.sent(self._last_offset, now)
                idle_since = now
            elif ledger:
                self._pause(rotate_at - now)
            elif self._front.ahead or now - idle_since >= self._options.idle_after:
                # What waits has another schema; or nothing has waited for long.
                reason = "schema" if self._front.ahead else "idle"
                break
            else:
                self._pause(min(rotate_at, idle_since + self._options.idle_after) - now)
        self._await_acks(stream, ledger)
        self.state.ends[reason] += 1

    def _reason_to_end(self, is_old: bool, fingerprint: bytes) -> str:
        """Say why a stream that works is to end; empty while it is not."""
        if self._shared.stopping:
            return "stopped"
        if is_old:
            return "rotated"
        return "suspect" if self._refusals.is_ripe(fingerprint) else ""

    def _next_call(self, ledger: Ledger, fingerprint: bytes) -> Call | None:
        """Return the next call of this stream's schema, or None when the window is full."""
        waiting = self._front.batches(CALL_MAX_BYTES, fingerprint)
        if not waiting or waiting[0].fingerprint != fingerprint:
            return None
        room = self._window.bytes - ledger.in_flight_bytes
        self._batch_bytes = waiting[0].size_bytes
        if ledger and (self._batch_bytes > room or len(ledger) >= CALLS_IN_FLIGHT_MAX):
            self._window.filled(self._last_offset, time.monotonic())
            return None
        # One call of each table may be in flight, whatever the others have.
        if ledger and self._batch_bytes > self._shared.room_in_flight():
            return None
        # A quarter of the window, so that acknowledgments show progress on a slow link.
        limits = (CALL_MAX_BYTES, self._window.bytes // 4, room, self._shared.rate.call_max_bytes)
        return compose(self._shared.rate.portion(waiting), UNLIMITED, min(limits))

    def _note_in_flight(self, size_bytes: int) -> None:
        self.state.in_flight_bytes = size_bytes
        self._shared.note_in_flight(self.table, size_bytes)

    def _has_turn(self, call: Call) -> bool:
        return self._shared.rate.turn(self.table, len(call.records), call.size_bytes)

    def _ingest(self, stream: Stream, ledger: Ledger, call: Call) -> None:
        call.sent_at = time.monotonic()
        try:
            self._last_offset = stream.ingest(call.records)
        except StreamError:
            self._spool.release([part.batch for part in call.parts])
            raise
        ledger.sent(self._last_offset, call)
        self.state.sent_records += len(call.records)
        self.state.sent_bytes += call.size_bytes
        self._note_in_flight(ledger.in_flight_bytes)

    def _take_acks(self, ledger: Ledger, acks: list[Ack]) -> None:
        """Give what is durable back to the spool: by this stream's own ledger, or not at all."""
        for ack in acks:
            calls = ledger.acknowledged(ack.offset)
            self._gathering.acknowledged(ack.offset)
            for call in calls:
                self._spool.acknowledge([part.batch for part in call.parts if part.whole])
                for part in call.parts:
                    if not part.whole:
                        self._spool.cut(part.batch, part.size)
                        self._spool.release([part.batch])
                self._refusals.suspects.accepted(call.fingerprint, call.parts[0].batch)
            if calls:
                took_s = ack.at - calls[-1].sent_at
                self._window.acknowledged(ack.offset, took_s, ack.at)
                self.state.ack_latency.note(took_s)
                self._standstill.moves()
                self.state.last_ack_us = time.time_ns() // 1000
        self._note_in_flight(ledger.in_flight_bytes)
        self.state.window_bytes = self._window.bytes

    def _send_alone(self, stream: Stream, ledger: Ledger, call: Call) -> bool:
        """Send a call with nothing else in flight; False when the line stops meanwhile."""
        while not self._has_turn(call):
            self.beat.expect(STEP_S)
            if self._shared.stopping:
                return False
        if not self._spool.take([part.batch for part in call.parts]):
            raise ReopenError  # It was dropped since it was read.
        self._ingest(stream, ledger, call)
        self._await_acks(stream, ledger)
        if ledger and not self._shared.stopping:
            raise StreamError(End.KEPT, "ack timeout: no answer to a call that was sent alone")
        return not ledger

    def _await_acks(self, stream: Stream, ledger: Ledger) -> None:
        """Send nothing more and wait for what is in flight, within the ack timeout."""
        deadline = time.monotonic() + self._window.ack_timeout_s
        while ledger:
            self._take_acks(ledger, stream.acks())
            remaining = min(deadline, self._shared.stop_deadline) - time.monotonic()
            if not ledger or remaining <= 0:
                break
            # A stop moves the deadline: look again now and then.
            self._pause(min(remaining, 1.0))

    # -- between streams -----------------------------------------------------------------------

    def _open(self, first: Batch) -> Stream:
        held = self.state.state == "held"
        if self.state.state == "idle":
            self._standstill.set_state("opening")
        try:
            stream = self._shared.connections.open(
                self.table,
                self._shared.file_descriptor(first.fingerprint),
                self._wake.set,
                ack_timeout=self._window.ack_timeout_s,
                tries=self._standstill.tries,
                held=held,
            )
        except StreamError as error:
            self.state.ends["held" if error.end is End.HELD else "unreachable"] += 1
            raise
        self.state.streams_opened += 1
        return stream

    def _wait_for_work(self) -> Batch | None:
        """Return the batch that says which schema the next stream has; None to end the thread."""
        self._refusals.load()
        while not self._shared.stopping:
            self._front.rewind()
            held = self.state.state == "held"
            waiting = self._front.batches(1)
            if waiting:
                return waiting[0]
            if (suspect := self._refusals.waiting(held=held)) is not None:
                return suspect
            if self._front.has_aside:
                self._standstill.wait_for_aside()
                continue
            self._standstill.set_state("idle")
            if self._retire(self):
                break
        return None

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.beat.expect(seconds + STEP_S)
            self._wake.wait(seconds)
        self._wake.clear()
