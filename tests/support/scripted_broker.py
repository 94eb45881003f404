"""A broker that answers as it is told to, and keeps every packet that it got."""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field

CONNECT, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 4, 8, 10, 12, 14
ACCEPTED_5 = b"\x20\x03\x00\x00\x00"
ACCEPTED_5_PRESENT = b"\x20\x03\x01\x00\x00"
ACCEPTED_3 = b"\x20\x02\x00\x00"


def string(body, at):
    (size,) = struct.unpack_from(">H", body, at)
    return body[at + 2 : at + 2 + size].decode(), at + 2 + size


def varint(body, at):
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


@dataclass
class Asked:
    """One filter of a SUBSCRIBE: its options byte, and the identifier or 0."""

    filter: str
    options: int
    identifier: int = 0


@dataclass
class Connection:
    """A connection of the client: `packets` are (type, body)."""

    sock: socket.socket
    packets: list = field(default_factory=list)

    def of(self, kind):
        return [body for packet, body in self.packets if packet == kind]

    @property
    def level(self):
        return self.of(CONNECT)[0][6]

    @property
    def has_will(self):
        return bool(self.of(CONNECT)[0][7] & 0x04)

    @property
    def asked(self):
        return [one for body in self.of(SUBSCRIBE) for one in self.parse(body)]

    def parse(self, body):
        at, identifier, found = 2, 0, []
        if self.level == 5:
            size, at = varint(body, at)
            end = at + size
            if size and body[at] == 0x0B:
                identifier, _ = varint(body, at + 1)
            at = end
        while at < len(body):
            text, at = string(body, at)
            found.append(Asked(text, body[at], identifier))
            at += 1
        return found

    @property
    def dropped(self):
        found = []
        for body in self.of(UNSUBSCRIBE):
            at = 2
            if self.level == 5:
                size, at = varint(body, at)
                at += size
            while at < len(body):
                text, at = string(body, at)
                found.append(text)
        return found

    @property
    def acknowledged(self):
        return [struct.unpack(">H", body[:2])[0] for body in self.of(PUBACK)]

    def send(self, data):
        self.sock.sendall(data)

    def publish(self, topic, payload, packet_id):
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id)
        body += (b"\x00" if self.level == 5 else b"") + payload
        self.send(bytes([0x32, len(body)]) + body)

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class ScriptedBroker:
    """`connacks` answers one connection after the other, the last of them all that follow, and an
    empty one hangs up; filters in `refused` get a SUBACK that says no. While `may_read` is not
    set, what comes waits in the socket."""

    def __init__(self, *connacks):
        self.connacks = list(connacks)
        self.refused = set()
        self.may_read = threading.Event()
        self.may_read.set()
        self.connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        for connection in self.connections:
            connection.close()

    @property
    def connects(self):
        return [one for one in self.connections if one.of(CONNECT)]

    @property
    def last(self):
        return self.connections[-1]

    def _serve(self):
        readers = []
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                break
            self.connections.append(Connection(sock))
            readers.append(threading.Thread(target=self._read, args=(self.last,)))
            readers[-1].start()
        for connection in self.connections:
            connection.close()
        for reader in readers:
            reader.join(10)

    def _read(self, connection):
        buffer = b""
        with contextlib.suppress(OSError):
            while self.may_read.wait(20) and (chunk := connection.sock.recv(65_536)):
                buffer += chunk
                while len(buffer) >= 2:
                    try:
                        size, start = varint(buffer, 1)
                    except IndexError:
                        break
                    if len(buffer) < start + size:
                        break
                    kind, body = buffer[0] >> 4, buffer[start : start + size]
                    buffer = buffer[start + size :]
                    connection.packets.append((kind, body))
                    self._answer(connection, kind, body)

    def _answer(self, connection, kind, body):
        properties = b"\x00" if connection.level == 5 else b""
        if kind == CONNECT:
            answer = self.connacks.pop(0) if len(self.connacks) > 1 else self.connacks[0]
            connection.send(answer) if answer else connection.close()
        elif kind == SUBSCRIBE:
            no = b"\x87" if connection.level == 5 else b"\x80"
            reasons = b"".join(
                no if one.filter in self.refused else b"\x01" for one in connection.parse(body)
            )
            packet = body[:2] + properties + reasons
            connection.send(bytes([0x90, len(packet)]) + packet)
        elif kind == UNSUBSCRIBE:
            count = len(connection.dropped)
            packet = body[:2] + properties + (b"\x00" * count if connection.level == 5 else b"")
            connection.send(bytes([0xB0, len(packet)]) + packet)
        elif kind == PINGREQ:
            connection.send(b"\xd0\x00")
        elif kind == DISCONNECT:
            connection.close()
