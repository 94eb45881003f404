"""A connection to the broker that is kept: connecting, subscribing, reading, acknowledging.

Used by one thread, which calls `receive` for ever. Every connect subscribes to all filters again,
because a session that the broker kept does not prove that its filters are there (decision 7).
"""

import logging
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from collector.backoff import Backoff
from collector.config import Mqtt
from collector.model import Message
from collector.subscriber.announcing import Announcing
from collector.subscriber.bulk import BulkClient
from collector.subscriber.connecting import TAKEN_OVER, hint, make_client, make_tls, read_to_the_end
from collector.subscriber.subscriptions import Subscriptions

_log = logging.getLogger(__name__)

_STABLE_S: Final = 60.0
_CONNACK_S: Final = 15.0
_GOODBYE_S: Final = 2.0
_PROTOCOL_UNKNOWN: Final = 0x84
_NAMES: Final = {MQTTProtocolVersion.MQTTv5: "5", MQTTProtocolVersion.MQTTv311: "3.1.1"}


@dataclass(slots=True)
class BrokerState:
    """What status and health say about the broker; replaced values, read by other threads."""

    connected: bool = False
    protocol: str = ""
    session_present: bool = False
    connects: int = 0
    disconnects: int = 0
    sessions_lost: int = 0
    last_error: str = ""
    connecting_since: float = 0.0


class Subscriber:
    """The MQTT side of the line.

    `subscriptions` says what is asked of the broker, and what it answered.
    """

    def __init__(self, options: Mqtt, subscriptions: Subscriptions) -> None:
        self._options = options
        self.subscriptions = subscriptions
        self._had_session = False
        self.state = BrokerState()
        self.epoch = 0
        self._protocol = (
            MQTTProtocolVersion.MQTTv311
            if options.protocol == "3.1.1"
            else MQTTProtocolVersion.MQTTv5
        )
        self.announcing = Announcing(options.status_topic)
        self._backoff = Backoff(1.0, 30.0)
        self._connected_at = 0.0
        self._connecting_at = 0.0
        self._next_misc = 0.0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        # Made once: a private CA for the Zerobus SDK goes into the environment later.
        self._tls = make_tls(options) if options.encrypted else None
        self._client = self._make_client()

    # -- the thread of the intake --------------------------------------------------------------

    def receive(self, timeout: float) -> list[Message]:
        """Return what arrived, waiting up to `timeout` seconds; connects when it is time to.

        `epoch` grows with each connection: packet ids belong to the one they came by.
        """
        self.keep_alive()
        client = self._client
        if client.socket() is None:
            pause = min(timeout, self._backoff.remaining())
            if pause > 0:
                self._wait(None, pause)
            elif self._backoff.remaining() == 0:
                self._connect()
            return []
        if self._wait(client, timeout):
            client.loop_read()
        messages = client.inbox
        client.inbox = []
        return messages

    def acknowledge(self, packet_ids: list[int], epoch: int) -> None:
        """Send PUBACKs in this order; those of an earlier connection mean nothing any more."""
        if packet_ids and epoch == self.epoch and self._client.socket() is not None:
            self._client.acknowledge(packet_ids)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message of QoS 0, as well as may be: nothing waits for it, nobody is told."""
        if self.state.connected and self._client.socket() is not None:
            self._client.publish(topic, payload)

    def keep_alive(self) -> None:
        """Do once a second what a quiet connection needs; also while the line is paused."""
        now = time.monotonic()
        if now < self._next_misc:
            return
        self._next_misc = now + 1.0
        if self._client.socket() is None:
            return
        self._client.loop_misc()
        if not self.state.connected and now - self._connecting_at > _CONNACK_S:
            self._give_up_connecting()
        if self.state.connected and now - self._connected_at > _STABLE_S:
            self._backoff.settled()
        self.subscriptions.retry_refused(self._client, now)
        self.announcing.publish(self._client, now - self._connected_at)

    def disconnect(self, reason: str = "") -> None:
        """Say goodbye to the broker, which keeps the session; `reason` is kept as an error.

        Waits a little until the broker has read it: a socket that is closed while something is
        unread in it resets the connection, and the last PUBACKs with it.
        """
        client = self._client
        sock: Any = client.socket()
        if sock is not None:
            deadline = time.monotonic() + _GOODBYE_S
            self.announcing.goodbye(client, reason or "stopped")
            # paho closes its own as soon as the goodbye is written.
            with socket.socket(fileno=os.dup(sock.fileno())) as ours:
                client.disconnect()
                while client.want_write() and client.socket() and time.monotonic() < deadline:
                    self._wait(client, 0.1)
                    client.loop_write()
                read_to_the_end(ours, deadline)
        if reason:
            self.state.last_error = reason
            if sock is not None:
                self._backoff.failed()

    def wake(self) -> None:
        """End a wait of `receive`; may be called from any thread."""
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            return  # The pipe is full of wake-ups already.

    def follow(self, other: "Subscriber") -> None:
        """Count on where another one ended, which is not to be used any more."""
        before, state = other.state, self.state
        state.connects, state.disconnects = before.connects, before.disconnects
        state.sessions_lost = before.sessions_lost
        other.close()

    def close(self) -> None:
        """Give back what wakes it; it has said goodbye, and nobody uses it any more."""
        os.close(self._wake_read)
        os.close(self._wake_write)

    def change(self, subscriptions: Subscriptions) -> None:
        """Want other filters; only while no thread is inside `receive`."""
        before, self.subscriptions = self.subscriptions, subscriptions
        self._client.on_subscribe = subscriptions.on_subscribe
        self._client.on_unsubscribe = subscriptions.on_unsubscribe
        if self.announcing.try_again():
            self.disconnect()
        if self.state.connected:
            subscriptions.go_on(self._client, before)

    # -- connecting ----------------------------------------------------------------------------

    def _connect(self) -> None:
        self.epoch += 1
        self._client.forget_buffer()
        self.announcing.before_connect(self._client)
        self._connecting_at = self.state.connecting_since = time.monotonic()
        try:
            self._client.reconnect()
        except (OSError, ValueError) as error:
            self._failed(f"{self._options.url}: {error}")
        finally:
            self.state.connecting_since = 0.0

    def _give_up_connecting(self) -> None:
        """Leave a broker that took the connection and doesn't answer: some don't know MQTT 5."""
        hint = ""
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            hint = "; if it knows only MQTT 3.1.1, set mqtt.protocol to 3.1.1"
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client = self._make_client()
        self._failed(f"{self._options.url}: no answer to CONNECT within {_CONNACK_S:.0f} s{hint}")

    def _make_client(self) -> BulkClient:
        client = make_client(self._options, self._protocol, self._tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self.subscriptions.on_subscribe
        client.on_unsubscribe = self.subscriptions.on_unsubscribe
        return client

    def _on_connect(
        self, client: Client, _userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._refused_connection(reason)
            return
        state = self.state
        state.connected, state.session_present = True, flags.session_present
        state.protocol, state.last_error = _NAMES[self._protocol], ""
        state.connects += 1
        self._connected_at = time.monotonic()
        if self._had_session and not flags.session_present:
            state.sessions_lost += 1
            _log.warning("the broker forgot the session: what it queued meanwhile is gone")
        self._had_session = True
        _log.info(
            "connected to %s with MQTT %s, session %s",
            self._options.url,
            state.protocol,
            "present" if flags.session_present else "new",
        )
        expiry = getattr(properties, "SessionExpiryInterval", None)
        if expiry is not None and expiry < int(self._options.session_expiry):
            _log.warning("the broker keeps the session for %d s only", expiry)
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        identified = v5 and getattr(properties, "SubscriptionIdentifierAvailable", 1) == 1
        self.subscriptions.ask_for_all(client, v5=v5, identified=identified)

    def _refused_connection(self, reason: ReasonCode) -> None:
        unknown_protocol = reason.value in (1, _PROTOCOL_UNKNOWN)
        if unknown_protocol and self._protocol == MQTTProtocolVersion.MQTTv5:
            if self._options.protocol == "auto":
                _log.warning(
                    "the broker does not know MQTT 5: going on with 3.1.1, which has no window"
                    " of its own and no subscription identifiers; 5 is tried at the next start"
                )
                self._protocol = MQTTProtocolVersion.MQTTv311
                old, self._client = self._client, self._make_client()
                old.on_disconnect = None
                return
            self._failed("the broker does not know MQTT 5: set mqtt.protocol to auto")
            return
        self.announcing.ended(reason)
        self._failed(f"the broker refused the connection: {reason}{hint(reason)}")

    def _on_disconnect(
        self, _client: Client, _userdata: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        was_connected, self.state.connected = self.state.connected, False
        if not was_connected:
            if not self._backoff.remaining():
                self.announcing.ended(None)
                self._failed(f"{self._options.url}: the broker closed the connection")
            return
        self.state.disconnects += 1
        if reason.is_failure:
            self.announcing.ended(reason)
            cap = 300.0 if reason.value == TAKEN_OVER else None
            by = "by the broker" if flags.is_disconnect_packet_from_server else "connection lost"
            self._failed(f"disconnected ({by}): {reason}{hint(reason)}", cap)

    def _failed(self, error: str, cap: float | None = None) -> None:
        if cap is not None:
            for _ in range(5):
                self._backoff.failed(cap)
        delay = self._backoff.failed(cap)
        if error != self.state.last_error:
            _log.warning("%s; trying again, next in %.1f s", error, delay)
        self.state.last_error = error

    # -- waiting -------------------------------------------------------------------------------

    def _wait(self, client: BulkClient | None, timeout: float) -> bool:
        """Wait for the broker, a wake-up or the timeout; True when there is something to read."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        sock: Any = client.socket() if client is not None else None
        if client is not None and sock is not None:
            pending = sock.pending() if hasattr(sock, "pending") else 0
            if pending:
                return True
            wants = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
            poll.register(sock.fileno(), wants)
        readable = False
        for descriptor, events in poll.poll(max(0, int(timeout * 1000 + 0.999))):
            if descriptor == self._wake_read:
                os.read(self._wake_read, 4096)
            elif client is not None:
                if events & select.POLLOUT:
                    client.loop_write()
                readable = bool(events & ~select.POLLOUT)
        return readable
