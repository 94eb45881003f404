"""The steps of a connection, each with a deadline: the name, TCP, a proxy, TLS.

Each raises `UnreachableError` with what is wrong and what to do; none of them sends anything else.
"""

import socket
import ssl
import time
from typing import Final

from collector.doctor.deadline import within
from collector.doctor.findings import Finding, error, ok, warning

NAME_S: Final = 5.0
CONNECT_S: Final = 5.0
TLS_S: Final = 5.0
DAYS_LEFT_MIN: Final = 30
_DAY_S: Final = 86_400
# The preface of HTTP/2 and a SETTINGS frame without settings; a server's first frame is one too.
_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEAD: Final = 9
_SETTINGS: Final = b"\4"
# OpenSSL's verdicts on a certificate.
_NOT_YET, _EXPIRED, _SELF_SIGNED = 9, 10, 18
_UNKNOWN_AUTHORITY: Final = (19, 20, 21)
_OTHER_NAME: Final = (62, 64)


class UnreachableError(Exception):
    """A step failed; `finding` says why."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.finding = error(found, fix)


def resolve(host: str, key: str) -> str:
    """Say what the addresses of a name are; `key` is where the configuration has it."""
    fix = f"Correct {key}, or see to the name server of this box (/etc/resolv.conf)."
    try:
        found = within(NAME_S, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except TimeoutError:
        why = f"no name server tells the address of {host} within {NAME_S:.0f} s"
        raise UnreachableError(why, fix) from None
    except (OSError, UnicodeError) as why:
        text = getattr(why, "strerror", None) or why
        raise UnreachableError(f"{host} has no address: {text}", fix) from None
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return f"{host} is {', '.join(addresses)}" if host not in addresses else f"{host} is an address"


def connect(host: str, port: int, key: str) -> socket.socket:
    """Return a connection."""
    where = f"{host}:{port}"
    try:
        # A name may have several addresses, each of which has its own deadline.
        return within(2 * CONNECT_S, lambda: socket.create_connection((host, port), CONNECT_S))
    except ConnectionRefusedError:
        raise UnreachableError(
            f"{where} refuses the connection: nothing listens there",
            f"Start it there, or correct host and port of {key}.",
        ) from None
    except TimeoutError:
        raise UnreachableError(
            f"{where} does not answer within {CONNECT_S:.0f} s",
            f"Is it up, is {key} right, and does a firewall let this box through to it?",
        ) from None
    except OSError as why:
        raise UnreachableError(
            f"{where} can't be reached: {why.strerror or why}",
            f"See to the network of this box and its routes, or correct {key}.",
        ) from None


def tunnel(sock: socket.socket, host: str, port: int) -> None:
    """Have an HTTP proxy connect on."""
    name = f"{host}:{port}"
    answer = b""
    try:
        sock.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        while b"\r\n" not in answer and len(answer) < 4096:
            answer += sock.recv(4096) or b"\r\n"
    except OSError as why:
        answer = str(why).encode() + b"\r\n"
    status = answer.partition(b"\r\n")[0].decode("latin-1")
    if status.split()[1:2] != ["200"]:
        raise UnreachableError(
            f"the proxy does not connect to {name}: {status or 'it closed the connection'}",
            f"Have the proxy let this box through to {name}, or name the host in no_proxy.",
        )


def encrypt(
    sock: socket.socket, context: ssl.SSLContext, host: str, key: str
) -> tuple[ssl.SSLSocket, Finding]:
    """Make TLS; returns the connection, and how long the certificate is good.

    `key` is where the configuration has the authorities' file.
    """
    sock.settimeout(TLS_S)
    try:
        encrypted = context.wrap_socket(sock, server_hostname=host)
        certificate = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as why:
        raise UnreachableError(*_mistrusted(why, host, key)) from None
    except ssl.SSLError as why:
        raise UnreachableError(*_no_tls(why, host)) from None
    except OSError as why:
        text = f"no answer within {TLS_S:.0f} s" if isinstance(why, TimeoutError) else why.strerror
        raise UnreachableError(
            f"no TLS with {host}: {text or why}",
            "Is the port one that speaks TLS? A firewall may also cut the connection here.",
        ) from None
    version, ends = encrypted.version() or "TLS", str(certificate.get("notAfter", ""))
    return encrypted, judge(version, ends, host)


def greet(sock: socket.socket, seconds: float, host: str) -> None:
    """Say hello in HTTP/2, as a stream does, and have it returned."""
    sock.settimeout(seconds)
    answer = b""
    try:
        sock.sendall(_HELLO)
        while len(answer) < _FRAME_HEAD and (more := sock.recv(4096)):
            answer += more
    except OSError as why:
        late = f"no answer within {seconds:.0f} s"
        said = late if isinstance(why, TimeoutError) else why.strerror or str(why)
    else:
        if answer[3:4] == _SETTINGS:
            return
        said = answer.partition(b"\r\n")[0].decode("latin-1")[:80]
        said = f"it says {said}" if said else "it closes the connection"
    raise UnreachableError(
        f"{host} speaks no HTTP/2: {said}",
        "Is it a Zerobus endpoint? If so, a proxy, a portal or a firewall stands between and must"
        " let HTTP/2 through.",
    )


def judge(version: str, not_after: str, host: str) -> Finding:
    """Say how many days a trusted certificate has left; `not_after` is OpenSSL's text of a time."""
    days = int((ssl.cert_time_to_seconds(not_after) - time.time()) // _DAY_S) if not_after else 0
    found = f"{version}, the certificate of {host} is good for {days} days"
    if days < DAYS_LEFT_MIN:
        return warning(found, f"Have it renewed before {not_after}.")
    return ok(found)


def _mistrusted(why: ssl.SSLCertVerificationError, host: str, key: str) -> tuple[str, str]:
    code, said = why.verify_code, why.verify_message.rstrip(".")
    of_host = f"the certificate of {host}"
    if code == _EXPIRED:
        return f"{of_host} has expired", "Renew it there. If it has not, this box's clock is wrong."
    if code == _NOT_YET:
        return f"{of_host} is not valid yet", "This box's clock is probably wrong: see clock."
    if code in _OTHER_NAME:
        return (
            f"{of_host} is for another host: {said}",
            "Write the name that stands in it as the host, or have one made for this host.",
        )
    if code == _SELF_SIGNED:
        return (
            f"{of_host} is self-signed, and this box does not know it",
            f"If it is yours, copy it to this box and name the file as {key}.",
        )
    if code in _UNKNOWN_AUTHORITY:
        return (
            f"{of_host} is signed by an authority that this box does not know: {said}",
            f"Name the file with the authority's certificate as {key}.",
        )
    return f"{of_host} is not trusted: {said}", f"Renew it there, or see {key}."


def _no_tls(why: ssl.SSLError, host: str) -> tuple[str, str]:
    reason = why.reason or str(why)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return (
            f"{host} speaks no TLS on this port ({reason})",
            "Use the port that does (8883 for MQTT, 443 for HTTPS), or an address without TLS.",
        )
    if "PROTOCOL" in reason or "VERSION" in reason:
        return f"{host} speaks only an old TLS ({reason})", "Have it speak TLS 1.2 or newer."
    if "CERTIFICATE" in reason:
        return (
            f"{host} does not take the certificate of this box ({reason})",
            "See to mqtt.cert_file and mqtt.key_file: are they signed by an authority it knows?",
        )
    return f"no TLS with {host}: {reason}", "Look into the log of that server."
