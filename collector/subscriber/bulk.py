"""paho's client with a bulk reader: many PUBLISH frames out of one `recv`, PUBACKs as one write.

paho keeps the protocol of connecting, TLS, websockets, subscribing and pings: every packet that is
no PUBLISH of QoS 0 or 1 goes through its own `_packet_handle`. What this leans on is private to
paho (`_sock_recv`, `_packet_handle`, `_in_packet`, `_loop_rc_handle`, `_packet_queue`), so its
version is pinned and a contract test compares what comes out with stock paho, byte for byte.
"""

import struct
import time
from typing import Any, Final

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.model import Message
from collector.subscriber.lengths import pack_length, remaining_length

READ_MAX_BYTES: Final = 256 * 1024
OVERSIZE_KEPT_BYTES: Final = 4096
_PUBLISH: Final = 0x30
_PUBACK: Final = 0x40
_IDENTIFIERS_CACHED: Final = 10_000
_new_tuple: Final = tuple.__new__


class BulkClient(Client):
    """Collects messages in `inbox`; the owner takes them and acknowledges them by packet id.

    A PUBLISH whose payload is over `message_max_bytes` is collected with the first
    `OVERSIZE_KEPT_BYTES` of it; the rest of its body is skipped without being held.
    """

    def __init__(
        self,
        client_id: str,
        protocol: MQTTProtocolVersion,
        transport: Any,
        message_max_bytes: int,
    ) -> None:
        v5 = protocol == MQTTProtocolVersion.MQTTv5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if v5 else False,
            protocol=protocol,
            transport=transport,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.suppress_exceptions = False
        self.on_message = self._keep_stock_message
        self.inbox: list[Message] = []
        self.bytes_read = 0
        self._v5 = v5
        self._message_max_bytes = message_max_bytes
        self._identifiers: dict[bytes, tuple[int, ...]] = {b"": ()}
        self.forget_buffer()

    def forget_buffer(self) -> None:
        """Drop what was read of a connection that is gone."""
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._needed = 2
        self._skip = 0
        self._oversize: Message | None = None
        self.inbox.clear()

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:  # noqa: ARG002 - paho's signature.
        """Read until nothing is left, or READ_MAX_BYTES are gathered, and split into packets."""
        gathered, rc = 0, MQTTErrorCode.MQTT_ERR_SUCCESS
        while gathered < READ_MAX_BYTES:
            try:
                chunk = self._sock_recv(READ_MAX_BYTES)
            except BlockingIOError:
                break
            except OSError:
                rc = MQTTErrorCode.MQTT_ERR_CONN_LOST
                break
            if not chunk:
                rc = MQTTErrorCode.MQTT_ERR_CONN_LOST
                break
            gathered += len(chunk)
            self._chunks.append(chunk)
        if gathered:
            self.bytes_read += gathered
            self._buffered += gathered
            with self._msgtime_mutex:
                self._last_bytes_received = time.monotonic()
            # What arrived before the end of the connection counts.
            try:
                rc = self._split() or rc
            except (IndexError, MQTTException):
                rc = MQTTErrorCode.MQTT_ERR_PROTOCOL
        return self._loop_rc_handle(rc) if rc else rc

    def acknowledge(self, packet_ids: list[int]) -> None:
        """Write the PUBACKs of these packets, in this order, as one buffer."""
        count = len(packet_ids)
        ids = struct.pack(f">{count}H", *packet_ids)
        packet = bytearray(4 * count)
        packet[0::4] = b"\x40" * count
        packet[1::4] = b"\x02" * count
        packet[2::4] = ids[0::2]
        packet[3::4] = ids[1::2]
        self._packet_queue(_PUBACK, packet, 0, 1)

    def _split(self) -> MQTTErrorCode:
        """Take whole packets out of the buffer; what is left waits for the next read."""
        success = MQTTErrorCode.MQTT_ERR_SUCCESS
        if self._skip and not self._skip_body():
            return success
        if self._buffered < self._needed:
            return success
        buffer = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        position, end = 0, len(buffer)
        self._needed = 2
        while end - position >= 2:
            start, length = position + 2, buffer[position + 1]
            if length > 127:
                start, length = remaining_length(buffer, position, end)
            if length < 0:
                if start:
                    return MQTTErrorCode.MQTT_ERR_PROTOCOL
                self._needed = end - position + 1
                break
            stop = start + length
            command = buffer[position]
            is_publish = command & 0xF0 == _PUBLISH and command & 0x06 < 4
            if is_publish and length > self._message_max_bytes:
                taken = self._begin_oversize(command, buffer, start, stop)
                if taken < 0:
                    return MQTTErrorCode.MQTT_ERR_PROTOCOL
                if taken == 0 and stop > end:
                    self._needed = min(stop - position, max(2 * (end - position), 70_000))
                    break
                if taken > 0:
                    position = min(stop, end)
                    self._skip = stop - position
                    if self._skip:
                        break
                    self._end_oversize()
                    continue
            if stop > end:
                self._needed = stop - position
                break
            if is_publish:
                if not self._collect(command, buffer, start, stop):
                    return MQTTErrorCode.MQTT_ERR_PROTOCOL
            elif rc := self._hand_to_paho(command, buffer[start:stop]):
                return rc
            if self._sock is None:
                return success
            position = stop
        self._chunks = [buffer[position:]] if position < end else []
        self._buffered = end - position
        return success

    def _collect(self, command: int, buffer: bytes, start: int, stop: int) -> bool:
        """Put one PUBLISH of QoS 0 or 1 into the inbox; False when it is malformed."""
        topic_end = start + 2 + (buffer[start] << 8) + buffer[start + 1]
        at = topic_end
        packet_id = 0
        if command & 0x06:
            packet_id = (buffer[at] << 8) + buffer[at + 1]
            at += 2
        properties = b""
        identifiers: tuple[int, ...] = ()
        if self._v5:
            size = buffer[at]
            at += 1
            if size:
                if size > 127:
                    at, size = remaining_length(buffer, at - 2, stop)
                properties = buffer[at : at + size]
                at += size
                identifiers = self._identifiers.get(properties) or self._parse(properties)
        elif topic_end == start + 2:
            return False
        if at > stop:
            return False
        # What Message(…) does, without its Python-level call: a tenth of the reader's time.
        fields = (
            buffer[start + 2 : topic_end],
            buffer[at:stop],
            (command & 0x06) >> 1,
            command & 0x01 == 1,
            command & 0x08 == 8,
            packet_id,
            identifiers,
            properties,
            0,
        )
        self.inbox.append(_new_tuple(Message, fields))
        return True

    def _begin_oversize(self, command: int, buffer: bytes, start: int, stop: int) -> int:
        """Look at the head of a large PUBLISH.

        Returns 1 when it is too large, and begun; 0 when more of it must be seen, or when it is
        not too large; -1 when it is malformed.
        """
        kept_until = min(stop, len(buffer))
        try:
            collected = self._collect(command, buffer, start, kept_until)
        except IndexError:
            collected = False
        if not collected:
            return 0 if kept_until < stop else -1
        head = self.inbox.pop()
        length = len(head.payload) + stop - kept_until
        if length <= self._message_max_bytes:
            return 0
        if len(head.payload) < OVERSIZE_KEPT_BYTES and kept_until < stop:
            return 0
        self._oversize = head._replace(payload=head.payload[:OVERSIZE_KEPT_BYTES], oversize=length)
        return 1

    def _skip_body(self) -> bool:
        """Drop bytes of an oversize body; True when all of it has gone by."""
        if self._buffered < self._skip:
            self._skip -= self._buffered
            self._chunks, self._buffered = [], 0
            return False
        rest = b"".join(self._chunks)[self._skip :]
        self._chunks, self._buffered, self._skip = [rest], len(rest), 0
        self._end_oversize()
        return True

    def _end_oversize(self) -> None:
        if self._oversize is not None:
            self.inbox.append(self._oversize)
            self._oversize = None

    def _parse(self, properties: bytes) -> tuple[int, ...]:
        """Return the subscription identifiers in a property block."""
        if properties in self._identifiers:
            return self._identifiers[properties]
        block: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        block.unpack(pack_length(len(properties)) + properties)
        identifiers = tuple(getattr(block, "SubscriptionIdentifier", ()))
        if len(self._identifiers) >= _IDENTIFIERS_CACHED:
            self._identifiers.clear()
        self._identifiers[properties] = identifiers
        return identifiers

    def _keep_stock_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        """Collect a message that came through paho's own path: QoS 2, which nobody asked for."""
        self.inbox.append(
            Message(
                message.topic.encode(),
                bytes(message.payload),
                message.qos,
                message.retain,
                message.dup,
                message.mid,
            )
        )

    def _hand_to_paho(self, command: int, body: bytes) -> MQTTErrorCode:
        self._in_packet = {
            "command": command,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": bytearray(body),
            "to_process": 0,
            "pos": 0,
        }
        try:
            return self._packet_handle()
        except MQTTException:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
