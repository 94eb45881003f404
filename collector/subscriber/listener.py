"""Listening along: a client of its own that takes what comes and owes the broker nothing.

QoS 0, a session that ends with the connection, and a client id that nobody else has, so that
neither the daemon nor its session is touched. Stock paho with its own network thread; not a part of
the line. A lost connection is made anew by paho, and all filters are asked for again.
"""

import queue
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collector.config import Mqtt
from collector.errors import CollectorError
from collector.model import Message
from collector.subscriber.connecting import make_tls, set_up, transport_of
from collector.subscriber.lengths import remaining_length
from collector.subscriber.subscriptions import Subscription

CONNECT_S: Final = 15.0
WAITING_MAX: Final = 20_000
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024
"""What may wait for the reader; beyond either, messages are counted in `missed` and let go."""

_UNKNOWN_PROTOCOL: Final = frozenset({"Unsupported protocol version"})


class Listener:
    """A context; `next` gives the messages in the order of their arrival, with its time in µs.

    Raises:
        CollectorError: the broker does not answer, or refuses the client or all of its filters.
    """

    def __init__(self, options: Mqtt, subscriptions: Sequence[Subscription]) -> None:
        self.missed = 0
        self.refused: dict[str, str] = {}
        self._options = options
        self._subscriptions = subscriptions
        self._waiting: queue.SimpleQueue[tuple[Message, int]] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._asked: dict[int, str] = {}
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._unanswered = len(subscriptions)
        self._v5 = options.protocol != "3.1.1"
        self._client = self._new_client()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def next(self, timeout: float) -> tuple[Message, int] | None:
        """Return the next message and when it came; None when none came in time."""
        try:
            message, received_us = self._waiting.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return None
        with self._lock:
            self._waiting_bytes -= len(message.payload)
        return message, received_us

    def _open(self) -> None:
        said = self._connect()
        if said in _UNKNOWN_PROTOCOL and self._options.protocol == "auto":
            self._client.loop_stop()
            self._v5 = False
            self._client = self._new_client()
            said = self._connect()
        if said:
            raise CollectorError(f"{self._broker()}: {said}")
        if len(self.refused) == len(self._subscriptions):
            raise CollectorError(f"{self._broker()} refused {', '.join(self.refused)}")

    def _broker(self) -> str:
        return f"the broker at {self._options.host}:{self._options.port}"

    def _new_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"collector-listens-{secrets.token_hex(6)}",
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            transport=transport_of(options),
        )
        set_up(client, options, make_tls(options) if options.encrypted else None)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect(self) -> str:
        """Connect and subscribe; returns why that did not go, or nothing."""
        try:
            self._client.connect(self._options.host, self._options.port)
        except OSError as error:
            raise CollectorError(f"{self._broker()} does not answer: {error}") from error
        self._client.loop_start()
        try:
            return self._answers.get(timeout=CONNECT_S)
        except queue.Empty:
            return f"no answer within {CONNECT_S:.0f} s"

    # -- called by paho's thread ---------------------------------------------------------------

    def _on_connect(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, reason: ReasonCode, _p: Any
    ) -> None:
        if reason.is_failure:
            self._answers.put(str(reason))
            return
        self._unanswered = len(self._subscriptions)
        for one in self._subscriptions:
            properties: Any = None
            if self._v5:
                properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
                properties.SubscriptionIdentifier = one.identifier
            # The answer can't come before this thread is back in its loop.
            _, packet_id = client.subscribe(one.filter, qos=0, properties=properties)
            if packet_id is not None:
                self._asked[packet_id] = one.filter

    def _on_subscribe(
        self, _client: Client, _userdata: Any, packet_id: int, reasons: list[ReasonCode], _p: Any
    ) -> None:
        text = self._asked.pop(packet_id, "")
        if reasons and reasons[0].is_failure:
            self.refused[text] = str(reasons[0])
        self._unanswered -= 1
        if not self._unanswered:
            self._answers.put("")

    def _on_message(self, _client: Client, _userdata: Any, came: MQTTMessage) -> None:
        payload = bytes(came.payload)
        with self._lock:
            if (
                self._waiting.qsize() >= WAITING_MAX
                or self._waiting_bytes + len(payload) > WAITING_BYTES_MAX
            ):
                self.missed += 1
                return
            self._waiting_bytes += len(payload)
        identifiers, properties = _properties(came)
        message = Message(
            came.topic.encode(),
            payload,
            qos=came.qos,
            retain=came.retain,
            dup=came.dup,
            identifiers=identifiers,
            properties=properties,
        )
        self._waiting.put((message, time.time_ns() // 1_000))


def _properties(came: MQTTMessage) -> tuple[tuple[int, ...], bytes]:
    """The subscription identifiers of a message, and its properties as they came."""
    found: Any = came.properties
    if found is None:
        return (), b""
    packed = found.pack()
    start, length = remaining_length(b"\0" + packed, 0, len(packed) + 1)
    identifiers = getattr(found, "SubscriptionIdentifier", None) or ()
    return tuple(identifiers), packed[start - 1 : start - 1 + length]
