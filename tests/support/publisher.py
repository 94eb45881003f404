"""A publisher that knows what the broker has taken: an id counts when its PUBACK came.

A bare socket and MQTT 3.1.1, because it has to be fast and to survive restarts of the broker: what
has no PUBACK yet is published again on the next connection.
"""

import contextlib
import socket
import struct
import time
from collections import deque

WINDOW = 1_000


def _length(value):
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


class Publisher:
    """`acknowledged` has the ids that the broker took, in order; `again` those sent twice."""

    def __init__(self, port, qos=1, *, retain=False):
        self._port = port
        self._qos = qos
        self._retain = retain
        self._sock = None
        self._in_flight = {}
        self._packet_id = 0
        self._input = b""
        self.acknowledged = []
        self.again = set()

    def publish(self, messages, deadline_s=120.0, rate=0.0):
        """Publish (id, topic, payload) and wait until the broker has all of them."""
        waiting = deque(messages)
        started, sent = time.monotonic(), 0
        deadline = started + deadline_s
        while waiting or self._in_flight:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(waiting) + len(self._in_flight)} were not published")
            try:
                if self._sock is None:
                    self._connect()
                    again = [entry[1] for entry in self._in_flight.items()]
                    self._in_flight.clear()
                    self.again |= {entry[0] for entry in again}
                    waiting.extendleft(reversed(again))
                allowed = WINDOW - len(self._in_flight)
                if rate:
                    allowed = min(allowed, int((time.monotonic() - started) * rate) - sent)
                group = [waiting.popleft() for _ in range(max(0, min(allowed, len(waiting), 200)))]
                sent += len(group)
                if group:
                    self._send(group)
                self._receive(0.0 if group else 0.01)
            except OSError:
                self._drop()
                time.sleep(0.05)

    def close(self):
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.sendall(b"\xe0\x00")
        self._drop()

    def _connect(self):
        self._sock = socket.create_connection(("127.0.0.1", self._port), 5)
        name = b"publisher%d" % id(self)
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack(">H", len(name)) + name
        self._sock.sendall(b"\x10" + _length(len(body)) + body)
        answer = self._sock.recv(4)
        if answer[3:] != b"\x00":
            raise OSError("the broker refused the publisher")
        self._input = b""

    def _send(self, group):
        out = []
        for entry in group:
            _, topic, payload = entry
            topic = topic.encode()
            body = struct.pack(">H", len(topic)) + topic
            if self._qos:
                self._packet_id = self._packet_id % 65_535 + 1
                self._in_flight[self._packet_id] = entry
                body += struct.pack(">H", self._packet_id)
            else:
                self.acknowledged.append(entry[0])
            body += payload
            out.append(bytes([0x30 | self._qos << 1 | self._retain]) + _length(len(body)) + body)
        self._sock.settimeout(5)
        self._sock.sendall(b"".join(out))

    def _receive(self, wait_s):
        self._sock.settimeout(wait_s or 0.0)
        try:
            chunk = self._sock.recv(65_536)
        except (BlockingIOError, TimeoutError):
            return
        if not chunk:
            raise OSError("the broker went away")
        self._input += chunk
        whole = len(self._input) // 4 * 4
        for at in range(0, whole, 4):
            (packet_id,) = struct.unpack_from(">H", self._input, at + 2)
            entry = self._in_flight.pop(packet_id, None)
            if entry is not None:
                self.acknowledged.append(entry[0])
        self._input = self._input[whole:]

    def _drop(self):
        if self._sock is not None:
            self._sock.close()
            self._sock = None
