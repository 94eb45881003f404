"""A look at a broker: what it says to CONNECT and SUBSCRIBE, and whether a message comes through.

A client of its own with a clean start and an id that nobody else has: it never takes the daemon's
connection or session over, and its own session ends when it says goodbye. Driven by whoever calls;
each step has a deadline.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from collector.config import Mqtt
from collector.errors import CollectorError
from collector.subscriber.connecting import make_tls, set_up, transport_of

Protocol = Literal["5", "3.1.1"]
_LOOP_S: Final = 0.1
_NO_RETAINED: Final = 2
_FILTERS_PER_PACKET: Final = 50


@dataclass(frozen=True, slots=True)
class Welcome:
    """The broker's answer to CONNECT: a reason code of MQTT 5 (0: come in), and what it limits.

    `limits` has the properties of CONNACK by the names that paho gives them; empty under 3.1.1.
    """

    code: int
    reason: str
    limits: Mapping[str, int] = field(default_factory=dict)


class Probe:
    """One connection, as a context: its end is the end of the session. Used by one thread.

    The broker may take `answer_s` to answer one call; `messages` has the last message of each
    topic that was subscribed with `keep`.
    """

    def __init__(
        self, options: Mqtt, protocol: Protocol, answer_s: float, session_expiry: int = 0
    ) -> None:
        self.client_id = f"collector-doctor-{secrets.token_hex(4)}"
        self.messages: dict[str, bytes] = {}
        self._options = options
        self._v5 = protocol == "5"
        self._answer_s = answer_s
        self._session_expiry = session_expiry
        self._welcome: Welcome | None = None
        self._kept: set[str] = set()
        self._answers: dict[int, list[int]] = {}
        self._client = self._new_client()

    def connect(self) -> Welcome:
        """Connect, and return what the broker says.

        Raises:
            CollectorError: it can't be reached, or doesn't answer.
        """
        more: dict[str, Any] = {}
        if self._v5:
            more = {"clean_start": True, "properties": self._connect_properties()}
        try:
            # The deadline of the TLS handshake is the keepalive.
            self._client.connect(
                self._options.host, self._options.port, max(int(self._answer_s), 1), **more
            )
        except (OSError, ValueError) as error:
            raise CollectorError(f"the connection fails: {error}") from error
        self._wait(lambda: self._welcome is not None, "CONNECT", time.monotonic() + self._answer_s)
        assert self._welcome is not None  # noqa: S101 - Waited for.
        return self._welcome

    def subscribe(self, filters: Sequence[str], qos: int, *, keep: bool = False) -> dict[str, int]:
        """Ask for filters; returns the granted QoS of each, or a code of 128 and more.

        With `keep` they are topics whose messages are wanted, the retained ones too; what else
        comes is let go unread.

        Raises:
            CollectorError: no answer came.
        """
        codes: dict[str, int] = {}
        deadline = time.monotonic() + self._answer_s
        options: Any = qos
        if self._v5:
            options = SubscribeOptions(qos=qos, retainHandling=0 if keep else _NO_RETAINED)
        self._kept |= set(filters) if keep else set()
        for at in range(0, len(filters), _FILTERS_PER_PACKET):
            some = filters[at : at + _FILTERS_PER_PACKET]
            result, packet_id = self._client.subscribe([(text, options) for text in some])
            codes |= zip(some, self._answer(result, packet_id, "SUBSCRIBE", deadline), strict=False)
        return codes

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish with QoS 1, not retained; returns the reason code of the PUBACK.

        Raises:
            CollectorError: no answer came.
        """
        sent = self._client.publish(topic, payload, qos=1)
        (code,) = self._answer(sent.rc, sent.mid, "PUBLISH", time.monotonic() + self._answer_s)
        return code

    def listen(self, seconds: float, enough: Callable[[], bool]) -> bool:
        """Take what comes into `messages`, until it is enough; False when it never was."""
        deadline = time.monotonic() + seconds
        while not enough() and time.monotonic() < deadline:
            if self._client.loop(_LOOP_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        return enough()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A broker that keeps sessions forgets this one at once.
        properties: Any = None
        if self._v5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop(_LOOP_S)

    def _new_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=None if self._v5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            transport=transport_of(options),
        )
        set_up(client, options, make_tls(options) if options.encrypted else None)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _connect_properties(self) -> Properties:
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session_expiry
        properties.ReceiveMaximum = self._options.receive_maximum
        properties.MaximumPacketSize = self._options.maximum_packet_size
        return properties  # type: ignore[no-any-return]

    def _answer(
        self, result: MQTTErrorCode, packet_id: int | None, what: str, deadline: float
    ) -> list[int]:
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or packet_id is None:
            raise CollectorError(f"the broker closed the connection before {what}")
        self._wait(lambda: packet_id in self._answers, what, deadline)
        return self._answers.pop(packet_id)

    def _wait(self, is_there: Callable[[], bool], what: str, deadline: float) -> None:
        while not is_there():
            result = self._client.loop(_LOOP_S)
            if is_there():
                return
            if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise CollectorError(
                    f"the broker closed the connection, without an answer to {what}"
                )
            if time.monotonic() > deadline:
                raise CollectorError(f"no answer to {what} within {self._answer_s:.0f} s")

    # -- called by paho, within loop -------------------------------------------------------------

    def _on_connect(
        self, _client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        limits = properties.json() if properties is not None else {}
        self._welcome = Welcome(reason.value if reason.is_failure else 0, str(reason), limits)

    def _on_subscribe(
        self, _client: Client, _userdata: Any, packet_id: int, reasons: list[ReasonCode], _p: Any
    ) -> None:
        self._answers[packet_id] = [reason.value for reason in reasons]

    def _on_publish(
        self, _client: Client, _userdata: Any, packet_id: int, reason: ReasonCode, _p: Any
    ) -> None:
        self._answers[packet_id] = [reason.value if reason.is_failure else 0]

    def _on_message(self, _client: Client, _userdata: Any, came: MQTTMessage) -> None:
        if came.topic in self._kept:
            self.messages[came.topic] = bytes(came.payload)
