"""The loop of one table: read, ingest, acknowledge; and what to do when a stream ends.

A stream is used by this thread alone. Whatever goes wrong, what is not acknowledged is still in
the spool, and the next stream starts from the oldest of it.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from collector.backoff import Backoff
from collector.drain.encode_anew import encode_table_anew
from collector.drain.front import Front
from collector.drain.ledger import Call, Ledger, compose
from collector.drain.refusals import Refusals, ReopenError
from collector.drain.search import UNLIMITED
from collector.drain.shared import Shared
from collector.drain.window import Window
from collector.errors import SpoolError
from collector.model import Batch
from collector.stream import CALL_MAX_BYTES, CALLS_IN_FLIGHT_MAX, Ack, End, Stream, StreamError

_log = logging.getLogger(__name__)

_GATHER_S: Final = 0.05
_STABLE_S: Final = 60.0
_HELD_FIRST_S: Final = 5.0
_HELD_MAX_S: Final = 600.0


@dataclass(slots=True)
class DrainState:
    """What status and health say about a table's drain.

    `state` is one of idle, opening, streaming, waiting (the service is away) and held (the
    service said no).
    """

    state: str = "idle"
    reason: str = ""
    hint: str = ""
    last_ack_us: int = 0
    streams_opened: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    in_flight_bytes: int = 0
    window_bytes: int = 0
    suspects: int = 0


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
        self._front = Front(self._spool, table)
        self._refusals = Refusals(table, self._spool, self._front)
        self._window = Window(self._options.window_max_bytes, self._options.ack_timeout)
        self._backoff = Backoff(0.5, 60.0)
        self._held_backoff = Backoff(_HELD_FIRST_S, _HELD_MAX_S)
        self._last_offset = -1
        self._was_away = False
        self._batch_bytes = 0
        self.has_stream = False

    def notify(self) -> None:
        """Say that there is something to do; may be called from any thread."""
        self._front.may_have_more = True
        self._wake.set()

    def run(self) -> None:
        """Use one stream after the other while there is work."""
        while not self._shared.stopping:
            began = time.monotonic()
            try:
                first = self._wait_for_work()
                if first is None:
                    return
                self._use_one_stream(first)
                self._backoff.settled()
            except ReopenError:
                continue
            except (StreamError, SpoolError) as error:
                if time.monotonic() - began > _STABLE_S:
                    self._backoff.settled()
                self._wait_out(error)

    # -- one stream ----------------------------------------------------------------------------

    def _use_one_stream(self, first: Batch) -> None:
        """Open a stream for the schema of `first` and send until there is a reason to end it."""
        stream, ledger = self._open(first), Ledger()
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
            self._set_state("streaming")
            self._pump(stream, ledger, first.fingerprint)
        except StreamError as error:
            ended = error
        finally:
            self._take_acks(ledger, stream.close())
            self.has_stream = False
            self.state.suspects = len(self._refusals.suspects)
            self.state.in_flight_bytes = 0
        if ended is not None:
            self.state.ends[ended.end.value] += 1
            self._refusals.settle(ended, ledger)

    def _pump(self, stream: Stream, ledger: Ledger, fingerprint: bytes) -> None:
        """Keep the window full of calls until there is a reason for another stream.

        When all that waited was sent, what comes next is gathered for a moment: a call costs the
        same for one record as for a thousand.
        """
        self._front.rewind()
        self._window.reopened()
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - tables shall not rotate together.
        rotate_at = stream.opened_at + self._options.rotate_after * jitter
        idle_since = gathered_at = time.monotonic()
        while True:
            self._take_acks(ledger, stream.acks())
            now = time.monotonic()
            if self._shared.stopping or now >= rotate_at or self._refusals.is_ripe(fingerprint):
                break
            if now < gathered_at and not self._front.ahead:
                # Not to be woken by each commit and each ack meanwhile.
                self._shared.sleep(gathered_at - now)
                continue
            call = self._next_call(ledger, fingerprint)
            if call is not None:
                self._front.take(call)
                self._ingest(stream, ledger, call)
                idle_since, gathered_at = now, now + _GATHER_S
            elif ledger:
                self._pause(rotate_at - now)
            elif self._front.ahead or now - idle_since >= self._options.idle_after:
                break  # What waits has another schema; or nothing has waited for long.
            else:
                self._pause(min(rotate_at, idle_since + self._options.idle_after) - now)
        self._await_acks(stream, ledger)

    def _next_call(self, ledger: Ledger, fingerprint: bytes) -> Call | None:
        """Return the next call of this stream's schema, or None when the window is full."""
        waiting = self._front.batches(CALL_MAX_BYTES)
        if not waiting or waiting[0].fingerprint != fingerprint:
            return None
        room = self._window.bytes - ledger.in_flight_bytes
        self._batch_bytes = waiting[0].size_bytes
        if ledger and (self._batch_bytes > room or len(ledger) >= CALLS_IN_FLIGHT_MAX):
            self._window.filled(self._last_offset, time.monotonic())
            return None
        # A quarter of the window, so that acknowledgments show progress on a slow link.
        return compose(waiting, UNLIMITED, min(CALL_MAX_BYTES, self._window.bytes // 4, room))

    def _ingest(self, stream: Stream, ledger: Ledger, call: Call) -> None:
        call.sent_at = time.monotonic()
        self._last_offset = stream.ingest(call.records)
        ledger.sent(self._last_offset, call)
        self.state.in_flight_bytes = ledger.in_flight_bytes

    def _take_acks(self, ledger: Ledger, acks: list[Ack]) -> None:
        """Give what is durable back to the spool: by this stream's own ledger, or not at all."""
        for ack in acks:
            calls = ledger.acknowledged(ack.offset)
            for call in calls:
                self._spool.acknowledge([part.batch for part in call.parts if part.whole])
                for part in call.parts:
                    if not part.whole:
                        self._spool.cut(part.batch, part.size)
                self._refusals.suspects.accepted(call.fingerprint, call.parts[0].batch)
            if calls:
                self._window.acknowledged(ack.offset, ack.at - calls[-1].sent_at, ack.at)
                self._held_backoff.settled()
                if self._was_away:
                    self._was_away = False
                    self._shared.recovered()
                self.state.last_ack_us = time.time_ns() // 1000
        self.state.in_flight_bytes = ledger.in_flight_bytes
        self.state.window_bytes = self._window.bytes

    def _send_alone(self, stream: Stream, ledger: Ledger, call: Call) -> bool:
        """Send a call with nothing else in flight; False when the line stops meanwhile."""
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
            self._set_state("opening")
        stream = self._shared.connections.open(
            self.table,
            self._shared.file_descriptor(first.fingerprint),
            self._wake.set,
            ack_timeout=self._window.ack_timeout_s,
            tries=self._backoff.tries,
            held=held,
        )
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
            self._set_state("idle")
            if self._retire(self):
                break
        return None

    def _wait_out(self, error: StreamError | SpoolError) -> None:
        """Wait after a failure: shortly when the service is away, longer when it said no."""
        reason, hint = str(error), getattr(error, "hint", "")
        held = isinstance(error, StreamError) and error.end is End.HELD
        if held:
            changed, stuck = self._encode_anew()
            if changed:
                return
            hint = "; ".join(filter(None, (hint, stuck)))
        if "ack timeout" in reason.lower() or "exhausted" in reason.lower():
            self._window.timed_out(self._batch_bytes)
        delay = (self._held_backoff if held else self._backoff).failed()
        name = "held" if held else "waiting"
        if (self.state.state, self.state.reason) != (name, reason):
            level = logging.ERROR if held else logging.WARNING
            _log.log(level, "%s: %s: %s%s", self.table, name, reason, f" ({hint})" if hint else "")
        self._set_state(name, reason, hint)
        if held:
            self._shared.sleep(delay)
        else:
            self._was_away = True
            self._shared.wait_for_recovery(delay)

    def _encode_anew(self) -> tuple[bool, str]:
        """Give batches of an older schema the configured one: did that help, and what is stuck."""
        schema = self._shared.schemas.get(self.table)
        try:
            self._front.rewind()
            waiting = self._front.batches(1)
            if schema is None or not waiting or waiting[0].fingerprint == schema.fingerprint:
                return False, ""
            return encode_table_anew(self._spool, self.table, schema)
        except SpoolError as error:
            return False, str(error)

    def _set_state(self, name: str, reason: str = "", hint: str = "") -> None:
        if name == "streaming" and self.state.state in ("held", "waiting"):
            _log.info("%s: streaming again", self.table)
        self.state.state, self.state.reason, self.state.hint = name, reason, hint

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._wake.wait(seconds)
        self._wake.clear()
