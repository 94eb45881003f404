"""The bulk reader gives what stock paho gives, byte for byte, however the stream is cut.

Goal: paho's private read path, on which the bulk reader leans, may change with any version. Method:
the same packets go through a socket pair into a stock client and into ours, in random pieces; the
messages that come out and the bytes that go back are compared.
"""

import contextlib
import itertools
import socket
import struct
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTErrorCode
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion, _ConnectionState
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collector.model import Message
from collector.subscriber.bulk import OVERSIZE_KEPT_BYTES, BulkClient

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
BIG = 1 << 40


def length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def publish(topic=b"a/b", payload=b"x", qos=1, packet_id=7, flags=0, properties=b"", v5=True):
    body = struct.pack(">H", len(topic)) + topic
    if qos:
        body += struct.pack(">H", packet_id)
    if v5:
        body += length(len(properties)) + properties
    body += payload
    return bytes([0x30 | flags | qos << 1]) + length(len(body)) + body


def block(identifiers=(), user=()):
    properties = Properties(PacketTypes.PUBLISH)
    for identifier in identifiers:
        properties.SubscriptionIdentifier = identifier
    for pair in user:
        properties.UserProperty = pair
    packed = properties.pack()
    # pack() begins with the length of the block, which publish() writes itself.
    return packed[len(length(len(packed) - 1)) :] if packed != b"\x00" else b""


def attach(client):
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    ours.setblocking(False)
    client._sock = ours
    client._state = _ConnectionState.MQTT_CS_CONNECTED
    client._keepalive = 0
    return theirs


def drain(sock):
    sock.setblocking(False)
    out = b""
    try:
        while chunk := sock.recv(1 << 20):
            out += chunk
    except BlockingIOError:
        return out
    return out


def through_stock(pieces, v5):
    client = Client(
        CallbackAPIVersion.VERSION2, protocol=V5 if v5 else V311, manual_ack=True,
        reconnect_on_failure=False,
    )  # fmt: skip
    out = []

    def on_message(_client, _userdata, message):
        identifiers = tuple(getattr(message.properties, "SubscriptionIdentifier", ()) or ())
        out.append(
            (message._topic, bytes(message.payload), message.qos, message.retain, message.dup,
             message.mid, identifiers if message.qos < 2 else ())
        )  # fmt: skip

    client.on_message = on_message
    return feed(client, pieces, out)


def through_bulk(pieces, v5, message_max_bytes=BIG):
    client = BulkClient("c", V5 if v5 else V311, "tcp", message_max_bytes)
    rc, sent, _ = feed(client, pieces, [])
    out = [
        (m.topic, m.payload, m.qos, m.retain, m.dup, m.packet_id, m.identifiers)
        for m in client.inbox
    ]
    return rc, sent, out, client.inbox


def feed(client, pieces, out):
    broker = attach(client)
    rc = MQTTErrorCode.MQTT_ERR_SUCCESS
    for piece in pieces:
        broker.sendall(piece)
        while client._sock is not None and has_input(client._sock):
            rc = client.loop_read()
            if rc:
                break
    sent = drain(broker)
    broker.close()
    if client._sock is not None:
        client._sock.close()
        client._sock = None
    return rc, sent, out


def has_input(sock):
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


@st.composite
def packets(draw, v5):
    kind = draw(st.sampled_from(["publish"] * 6 + ["pingresp", "qos2"]))
    if kind == "pingresp":
        return b"\xd0\x00"
    topic = draw(st.text("abcé/", min_size=1, max_size=200).map(str.encode))
    payload = draw(st.binary(max_size=60) | st.binary(min_size=300, max_size=600))
    properties = b""
    if v5:
        identifiers = draw(st.lists(st.integers(1, 2**28 - 1), max_size=3))
        user = draw(st.lists(st.tuples(st.text("abc", max_size=90), st.just("v")), max_size=3))
        properties = block(identifiers, user)
    packet_id = draw(st.integers(1, 65_535))
    if kind == "qos2":
        # A whole exchange, as paho's own path makes a message of it at the PUBREL.
        return publish(topic, payload, 2, packet_id, 0, properties, v5) + (
            b"\x62\x02" + struct.pack(">H", packet_id)
        )
    return publish(
        topic, payload, draw(st.integers(0, 1)), packet_id, draw(st.sampled_from([0, 1, 8, 9])),
        properties, v5,
    )  # fmt: skip


@st.composite
def streams(draw):
    v5 = draw(st.booleans())
    stream = b"".join(draw(st.lists(packets(v5), min_size=1, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return v5, [stream[a:b] for a, b in itertools.pairwise(edges) if a < b]


@given(streams())
@settings(max_examples=300, deadline=None)
@example((True, [publish(properties=block([1], [("k" * 100, "v" * 100)]))]))
def test_any_packet_stream_gives_what_stock_paho_gives(stream):
    v5, pieces = stream
    rc, sent, messages = through_stock(pieces, v5)
    bulk_rc, bulk_sent, bulk_messages, _ = through_bulk(pieces, v5)
    assert bulk_messages == messages
    assert bulk_sent == sent
    assert bulk_rc == rc


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\x01\x00",
        b"\x32\x05\xff\xff\x00\x00\x00",
        b"\x32\x80\x80\x80\x80\x01",
        b"\x36\x06\x00\x01a\x00\x01\x00",
        b"\xf0\x00",
        b"\x00\x00",
    ],
    ids=["short", "topic beyond the packet", "length of five bytes", "QoS 3", "AUTH", "type 0"],
)
@pytest.mark.parametrize("v5", [True, False])
def test_a_malformed_packet_ends_the_connection(packet, v5):
    rc, _, _, inbox = through_bulk([publish(v5=v5), packet], v5)
    assert rc == MQTTErrorCode.MQTT_ERR_PROTOCOL
    assert [m.payload for m in inbox] == [b"x"]


@given(
    size=st.integers(OVERSIZE_KEPT_BYTES + 1, 200_000),
    step=st.integers(1, 70_000),
    v5=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_payload_over_the_limit_keeps_its_beginning_and_its_place(size, step, v5):
    payload = bytes(range(256)) * (size // 256 + 1)
    stream = (
        publish(payload=b"before", v5=v5)
        + publish(b"t/big", payload[:size], packet_id=9, v5=v5)
        + publish(payload=b"after", v5=v5)
    )
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    rc, _, _, inbox = through_bulk(pieces, v5, message_max_bytes=OVERSIZE_KEPT_BYTES)
    assert rc == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert [m.payload for m in inbox] == [b"before", payload[:OVERSIZE_KEPT_BYTES], b"after"]
    assert inbox[1] == Message(b"t/big", payload[:OVERSIZE_KEPT_BYTES], packet_id=9, oversize=size)


def test_a_skipped_body_is_not_held_in_memory():
    client = BulkClient("c", V5, "tcp", 10_000)
    broker = attach(client)
    packet = publish(payload=b"y" * 5_000_000)
    broker.setblocking(False)
    at = 0
    while at < len(packet):
        with contextlib.suppress(BlockingIOError):
            at += broker.send(packet[at : at + 65_536])
        client.loop_read()
        assert client._buffered < 200_000
    while has_input(client._sock):
        client.loop_read()
    assert [m.oversize for m in client.inbox] == [5_000_000]
    broker.close()
    client._sock.close()
    client._sock = None


def test_pubacks_go_out_in_the_order_given_as_one_write():
    client = BulkClient("c", V5, "tcp", BIG)
    broker = attach(client)
    client.acknowledge([1, 65_535, 300])
    assert drain(broker) == b"\x40\x02\x00\x01\x40\x02\xff\xff\x40\x02\x01\x2c"
    broker.close()
    client._sock.close()
    client._sock = None


def test_reading_counts_as_a_sign_of_life():
    client = BulkClient("c", V5, "tcp", BIG)
    broker = attach(client)
    client._last_bytes_received = 0.0
    broker.sendall(publish())
    client.loop_read()
    assert time.monotonic() - client._last_bytes_received < 60
    broker.close()
    client._sock.close()
    client._sock = None
