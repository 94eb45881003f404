"""A client as the configuration wants it: transport, TLS, login, session; and its last bytes."""

import contextlib
import socket
import ssl
import time
from typing import Any, Final, Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collector.config import Mqtt
from collector.subscriber.bulk import BulkClient

# Of the start: the private CA of the Zerobus SDK goes into the environment later.
_SYSTEM_CA: Final = ssl.get_default_verify_paths()
_DROP_BYTES: Final = 65_536
TAKEN_OVER: Final = 0x8E
_HINTS: Final = {
    TAKEN_OVER: "another client connected with the same mqtt.client_id: give each its own",
    0x86: "check mqtt.username and mqtt.password",
    0x87: "the broker's access list does not let this client in",
    0x85: "the broker does not take this mqtt.client_id",
}


def make_client(
    options: Mqtt, protocol: MQTTProtocolVersion, tls: ssl.SSLContext | None
) -> BulkClient:
    """Return a client that is ready for `reconnect`.

    The session is to outlive connections: clean start off, a long expiry, a stable client id.
    """
    client = BulkClient(
        options.client_id, protocol, transport_of(options), options.message_max_bytes
    )
    set_up(client, options, tls)
    session: dict[str, Any] = {}
    if protocol == MQTTProtocolVersion.MQTTv5:
        session = {"clean_start": False, "properties": _connect_properties(options)}
    if options.url:
        client.connect_async(options.host, options.port, int(options.keepalive), **session)
    return client


def transport_of(options: Mqtt) -> Literal["tcp", "websockets"]:
    """Return paho's word for what carries MQTT."""
    return "websockets" if options.scheme in ("ws", "wss") else "tcp"


def set_up(client: Client, options: Mqtt, tls: ssl.SSLContext | None) -> None:
    """Give a client its login, TLS and the path of a websocket."""
    if options.username is not None:
        password = options.password
        client.username_pw_set(options.username, password.get_secret_value() if password else None)
    if tls is not None:
        client.tls_set_context(tls)
    if transport_of(options) == "websockets":
        client.ws_set_options(path=options.path)


def make_tls(options: Mqtt) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and name."""
    cafile, capath = options.ca_file or _SYSTEM_CA.cafile, _SYSTEM_CA.capath
    context = ssl.create_default_context(cafile=cafile, capath=None if options.ca_file else capath)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.cert_file is not None:
        context.load_cert_chain(options.cert_file, options.key_file)
    return context


def _connect_properties(options: Mqtt) -> Properties:
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = min(int(options.session_expiry), 0xFFFFFFFF)
    properties.ReceiveMaximum = options.receive_maximum
    properties.MaximumPacketSize = options.maximum_packet_size
    return properties  # type: ignore[no-any-return]


def hint(reason: ReasonCode) -> str:
    """Return what an operator can do about a reason of the broker, in brackets, or nothing."""
    found = _HINTS.get(reason.value)
    return f" ({found})" if found else ""


def read_to_the_end(sock: socket.socket, deadline: float) -> None:
    """Drop what the broker had on its way, until it closes the connection."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while (remaining := deadline - time.monotonic()) > 0:
            sock.settimeout(remaining)
            if not sock.recv(_DROP_BYTES):
                return
