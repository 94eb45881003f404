"""The station over HTTP: whether its port can be had, and how long its certificates are good."""

import errno
import os
import socket
import ssl
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from collector import status
from collector.config import Config, Http
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok
from collector.doctor.network import judge
from collector.errors import CollectorError
from collector.http.hosts import family_of

_FLIGHTS_MAX: Final = 10
"""More than a handshake has, so that none goes on for ever."""


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of `http:`; none without it."""
    config = facts.known
    if config is None or config.http is None:
        return
    yield Check("http port", partial(_port, config, config.http), ("configuration",))
    if config.http.cert_file is not None:
        run = partial(_certificates, config.http, config.http.cert_file)
        yield Check("http certificate", run, ("configuration",))


def _port(config: Config, options: Http) -> Iterator[Finding]:
    try:
        with socket.socket(family_of(options.address[0])) as probe:
            # As the daemon does; without listening, so that nobody is let in meanwhile.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(options.address)
    except OSError as why:
        yield (
            _taken(config, options)
            if why.errno == errno.EADDRINUSE
            else _not_to_be_had(options, why)
        )
    else:
        yield ok(f"{options.listen} is free")


def _taken(config: Config, options: Http) -> Finding:
    served, port = _served(config), options.address[1]
    # It may listen on another address of that port, until it is reloaded.
    if served.get("is_listening") and served["listen"].endswith(f":{port}"):
        return ok(f"the daemon listens on {served['listen']}")
    return error(
        f"{options.listen} is taken by another program",
        "Give http.listen another port, or end the program that has it; this says which it is:",
        (f"ss -ltnp 'sport = :{port}'",),
    )


def _not_to_be_had(options: Http, why: OSError) -> Finding:
    what = os.strerror(why.errno) if why.errno else str(why)
    return error(
        f"{options.listen} can't be listened on: {what}",
        "Give http.listen an address of this box, or 0.0.0.0 for all of them, and a port from 1024"
        " on.",
    )


def _served(config: Config) -> dict[str, Any]:
    """Return what the daemon says of its HTTP; nothing when it does not run, or has none."""
    try:
        return status.read(config.runtime_dir).get("http") or {}
    except CollectorError:
        return {}  # That it can't be asked is said by the check of the daemon.


def _certificates(options: Http, cert_file: Path) -> Iterator[Finding]:
    try:
        version, ends = _shake_hands(options, cert_file)
    except ssl.SSLCertVerificationError as why:
        yield error(
            f"clients will not take {cert_file}: {why.verify_message}",
            "Have it renewed, and reload the collector; if it has not expired, this box's clock is"
            " wrong.",
        )
    else:
        yield judge(f"{version}, its key fits", ends, str(cert_file))
    if options.client_ca_file is not None:
        yield from _authorities(options.client_ca_file)


def _shake_hands(options: Http, cert_file: Path) -> tuple[str, str]:
    """Make TLS with ourselves, by memory; returns its version, and the end of the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, options.key_file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False  # Nobody here knows by which name it will be asked.
    # The certificate itself is trusted, whoever has signed it: it is its dates that are looked at.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert_file)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(_FLIGHTS_MAX):
        if all([_is_done(asking), _is_done(answering)]):
            break
    return asking.version() or "TLS", str((asking.getpeercert() or {}).get("notAfter", ""))


def _is_done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _authorities(file: Path) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(file)
    for ends in [str(one["notAfter"]) for one in context.get_ca_certs()]:
        if ssl.cert_time_to_seconds(ends) < time.time():
            yield error(
                f"no client is let in by {file}: it has expired on {ends}",
                "Have its authority renewed, and reload the collector.",
            )
        else:
            yield judge("for clients", ends, str(file))
