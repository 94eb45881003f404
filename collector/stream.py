"""A Zerobus stream: the only file that imports the SDK, and the only one that reads its errors.

The SDK's own recovery is off: the drain owns every retry (decision 1). What the SDK does with
threads ends here as well: a callback only appends an event to its own stream's queue, because a
call into the SDK from a callback panics, and because callbacks may still fire after `close`.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

# The SDK logs to stdout, coloured, at INFO, unless told otherwise before it is imported.
os.environ.setdefault("RUST_LOG", "off")

from collector import sdk_words
from collector.config import Zerobus
from collector.supported import importing_sdk

with importing_sdk():
    from zerobus.sdk.shared import (
        AckCallback,
        NonRetriableException,
        StreamConfigurationOptions,
        TableProperties,
        ZerobusException,
    )
    from zerobus.sdk.sync import ZerobusSdk, ZerobusStream

CALL_MAX_BYTES: Final = 1024 * 1024
CALLS_IN_FLIGHT_MAX: Final = 256
STREAMS_PER_CONNECTION: Final = 50
_OPENS_AT_A_TIME: Final = 8
_HELD_OPENS_AT_A_TIME: Final = 2
_OPEN_TIMEOUT_S: Final = 15.0
_OPEN_TIMEOUT_MAX_S: Final = 60.0
_CLOSED_KEPT_S: Final = 60.0
_SYSTEM_CA: Final = os.environ.get("SSL_CERT_FILE")
# Both are the SDK's own words for INVALID_ARGUMENT; which of them comes is a race inside it.
_REFUSED_PREFIXES: Final = (
    "Invalid argument:",
    "Stream is closed: code: 'Client specified an invalid argument'",
)


class End(Enum):
    """How a stream ended, and so what becomes of what was in flight (decision 16)."""

    KEPT = "kept"
    """Anything that is not a listed refusal: everything is sent again."""
    REFUSED = "refused"
    """The service refused a record of a call in flight, and doesn't say which."""
    HELD = "held"
    """The open was refused: credentials, permissions, a missing table, a schema."""


class StreamError(Exception):
    """A stream ended, or could not be opened."""

    def __init__(self, end: End, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.end = end
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `offset` of this stream is durable."""

    offset: int
    at: float


class _Callback(AckCallback):  # type: ignore[misc]
    """Puts events into the queue of one stream; nothing else is allowed in a callback."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self.events: deque[Ack | str] = deque()
        self._wake = wake
        self.last_ack = 0.0

    def on_ack(self, offset: int) -> None:
        self.last_ack = time.monotonic()
        self.events.append(Ack(offset, self.last_ack))
        self._wake()

    def on_error(self, offset: int, error_message: str) -> None:  # noqa: ARG002 - the SDK's words.
        self.events.append(error_message)
        self._wake()


@dataclass(eq=False, slots=True)
class _Connection:
    """One SDK object: one connection to the server, shared by the streams in `callbacks`."""

    sdk: ZerobusSdk
    limit: int = STREAMS_PER_CONNECTION
    callbacks: list[_Callback] = field(default_factory=list)
    opening: int = 0

    @property
    def streams(self) -> int:
        return len(self.callbacks) + self.opening


class Stream:
    """One open stream of one table and one schema. Used by one thread; offsets count from 0."""

    def __init__(
        self, raw: ZerobusStream, callback: _Callback, release: Callable[[], None]
    ) -> None:
        self._raw = raw
        self._callback = callback
        self._release = release
        self.opened_at = time.monotonic()

    def ingest(self, records: list[bytes]) -> int:
        """Send records as one call; returns its offset. It never blocks below the limits."""
        try:
            offset: int = self._raw.ingest_records_offset(records)
        except ZerobusException as error:
            # "Stream closed" hides the cause: on_error has it, when something was in flight.
            self._close_raw()
            raise _ended(self._cause() or str(error)) from error
        return offset

    def acks(self) -> list[Ack]:
        """Return the acknowledgments that arrived; raises StreamError behind the last of them.

        When the stream has ended, the acknowledgments before its end are returned first and the
        error is raised by the next call.
        """
        events, acks = self._callback.events, []
        while events and isinstance(events[0], Ack):
            acks.append(events.popleft())
        if not acks and events:
            raise _ended(str(events[0]))
        return acks  # type: ignore[return-value]

    def close(self) -> list[Ack]:
        """Close; returns the acknowledgments that nobody has taken yet."""
        self._close_raw()
        self._release()
        return [event for event in self._callback.events if isinstance(event, Ack)]

    def _close_raw(self) -> None:
        """Close the SDK's stream, which waits for its callbacks a little."""
        try:
            self._raw.close()
        except ZerobusException:
            return  # Something was not acknowledged: the drain's ledger knows what.

    def _cause(self) -> str:
        return next((event for event in self._callback.events if isinstance(event, str)), "")


class Connections:
    """Opens streams over connections that they share: servers limit the streams of each."""

    def __init__(self, options: Zerobus, application: str) -> None:
        self._options = options
        self._application = application
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._opens = threading.BoundedSemaphore(_OPENS_AT_A_TIME)
        self._held_opens = threading.BoundedSemaphore(_HELD_OPENS_AT_A_TIME)
        self._graveyard: deque[tuple[float, _Callback, ZerobusStream]] = deque()
        # The SDK knows no other way to a private CA.
        if ca_file := options.ca_file or _SYSTEM_CA:
            os.environ["SSL_CERT_FILE"] = str(ca_file)
        else:
            os.environ.pop("SSL_CERT_FILE", None)

    def open(
        self,
        table: str,
        file_descriptor: bytes,
        wake: Callable[[], None],
        *,
        ack_timeout: float,
        tries: int,
        held: bool,
    ) -> Stream:
        """Open a stream; `tries` counts earlier failures in a row and lengthens the deadline.

        Raises:
            StreamError: HELD when the service refused, KEPT when it could not be reached.
        """
        with self._held_opens if held else nullcontext(), self._opens:
            callback = _Callback(wake)
            connection = self._choose()
            began = time.monotonic()
            try:
                raw = connection.sdk.create_stream(
                    self._options.client_id,
                    self._options.client_secret.get_secret_value(),
                    TableProperties(table, file_descriptor),
                    self._stream_options(callback, ack_timeout, tries),
                )
            except NonRetriableException as error:
                self._leave(connection)
                raise StreamError(
                    End.HELD, sdk_words.reason(str(error)), sdk_words.hint(str(error), table)
                ) from error
            except ZerobusException as error:
                self._leave(connection)
                self._learn_limit(connection, began, str(error))
                raise StreamError(End.KEPT, sdk_words.reason(str(error))) from error
            with self._lock:
                connection.opening -= 1
                connection.callbacks.append(callback)
        return Stream(raw, callback, lambda: self._release(connection, callback, raw))

    def _stream_options(
        self, callback: _Callback, ack_timeout: float, tries: int
    ) -> StreamConfigurationOptions:
        open_timeout = min(_OPEN_TIMEOUT_S * 2 ** min(tries, 8), _OPEN_TIMEOUT_MAX_S)
        return StreamConfigurationOptions(
            # Counts calls, not records; above our own limit, so that a call never blocks.
            max_inflight_records=2 * CALLS_IN_FLIGHT_MAX,
            recovery=False,
            recovery_retries=0,
            recovery_timeout_ms=int(open_timeout * 1000),
            server_lack_of_ack_timeout_ms=int(ack_timeout * 1000),
            flush_timeout_ms=5_000,
            callback_max_wait_time_ms=500,
            ack_callback=callback,
        )

    def _choose(self) -> _Connection:
        """Take a place on a connection that has one, or on a new connection."""
        with self._lock:
            for connection in self._connections:
                if connection.streams < connection.limit:
                    break
            else:
                connection = _Connection(
                    ZerobusSdk(
                        self._options.endpoint,
                        self._options.workspace_url,
                        application_name=self._application,
                        connection_per_stream=False,
                    )
                )
                self._connections.append(connection)
            connection.opening += 1
            return connection

    def _leave(self, connection: _Connection) -> None:
        """Give the place of a stream that was not opened back."""
        with self._lock:
            connection.opening -= 1

    def _learn_limit(self, connection: _Connection, began: float, reason: str) -> None:
        """Learn the server's limit: an open timed out while the others got acknowledgments."""
        if "timed out" not in reason.lower() and "timeout" not in reason.lower():
            return
        with self._lock:
            streams = len(connection.callbacks)
            if streams and any(c.last_ack > began for c in connection.callbacks):
                connection.limit = min(connection.limit, streams)

    def _release(self, connection: _Connection, callback: _Callback, raw: ZerobusStream) -> None:
        now = time.monotonic()
        with self._lock:
            connection.callbacks.remove(callback)
            # The SDK may call back after close, and a stream that is dropped while it does can
            # hang the process: both outlive the close for a while.
            self._graveyard.append((now, callback, raw))
            while self._graveyard and now - self._graveyard[0][0] > _CLOSED_KEPT_S:
                self._graveyard.popleft()


def _ended(reason: str) -> StreamError:
    """Classify the end of a stream by the SDK's own prefix; the server's words are not read."""
    end = End.REFUSED if reason.startswith(_REFUSED_PREFIXES) else End.KEPT
    return StreamError(end, reason)
