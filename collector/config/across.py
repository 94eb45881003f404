"""What is checked across keys, sections and stations, when each by itself is right."""

import importlib.util
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from collector.config import fields
from collector.config.document import Document, Place
from collector.config.listening import Http, Metrics
from collector.config.models import Mqtt, SpoolLimits, Station, Zerobus
from collector.config.quantities import format_size

_PAIRS: Final = (
    ("cert_file", "key_file"),
    ("key_file", "cert_file"),
    ("client_ca_file", "cert_file"),
)
_TOKEN_CHARS_MIN: Final = 16
_HTTP_MODULES: Final = ("fastapi", "fastapi_offline", "uvicorn")


def check_certificate(document: Document, section: str, values: Mapping[str, Any]) -> None:
    """Report a certificate without its key, or a key without its certificate."""
    for key, other in _PAIRS:
        if key in values and other not in values:
            document.report((section, key), f"needs {other} as well")


def check_certificates(document: Document, mqtt: Mqtt | None, zerobus: Zerobus | None) -> None:
    """Report files of certificates that TLS can't use: they would end the next start."""
    encrypted: list[tuple[str, Mqtt | Zerobus]] = []
    if mqtt is not None and mqtt.encrypted:
        encrypted.append(("mqtt", mqtt))
    if zerobus is not None and zerobus.endpoint.startswith("https:"):
        encrypted.append(("zerobus", zerobus))
    for section, options in encrypted:
        if options.ca_file is not None:
            try:
                ssl.create_default_context(cafile=options.ca_file)
            except OSError as error:
                _report_file(document, (section, "ca_file"), options.ca_file, error)
    if mqtt is not None and mqtt.encrypted and mqtt.cert_file is not None:
        try:
            # Nobody is there to be asked for the password of a key.
            ssl.create_default_context().load_cert_chain(mqtt.cert_file, mqtt.key_file, lambda: "")
        except OSError as error:
            _report_file(document, ("mqtt", "cert_file"), mqtt.cert_file, error)


def _report_file(document: Document, place: Place, file: Path, error: OSError) -> None:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    document.report(place, f"{file} can't be used: {reason or error}")


def check_token(document: Document, metrics: Metrics | None) -> None:
    """Report an address where everybody can ask."""
    if metrics is not None and metrics.is_open and metrics.token is None:
        document.report(
            ("metrics", "listen"), "needs a token, because others than this box can ask there"
        )


def fill_status_topic(mqtt: dict[str, Any], gateway: Any) -> None:
    """Put the name of this box into the status topic."""
    if isinstance(topic := mqtt.get("status_topic"), str):
        mqtt["status_topic"] = topic.replace("{gateway}", str(gateway))


def check_limits(document: Document, mqtt: Mqtt | None, spool: SpoolLimits | None) -> None:
    """Report limits of the spool that only make sense together with the inbox."""
    if mqtt is None or spool is None:
        return
    inbox = mqtt.inbox_max_bytes
    if spool.commit_max_bytes > inbox:
        document.report(
            ("spool", "commit_max_bytes"),
            f"must not be more than mqtt.inbox_max_bytes ({format_size(inbox)})",
        )
    if spool.max_bytes * 0.95 < 2 * inbox:
        document.report(
            ("spool", "max_bytes"),
            f"must leave room for twice mqtt.inbox_max_bytes ({format_size(inbox)}) and 5 %",
            "a spool that was full is used again when it has that much room",
        )


def check_tables(document: Document, stations: list[Station]) -> None:
    """Report stations of one table that do not agree on it."""
    first: dict[str, Station] = {}
    for station in stations:
        other = first.setdefault(station.table.lower(), station)
        place: Place = ("stations", station.name)
        if other.table != station.table:
            text = f"is the table of {other.name}, written differently: {other.table}"
            document.report((*place, "table"), text)
        elif other.schema_dir != station.schema_dir:
            text = f"must be that of {other.name}, which feeds the same table"
            document.report((*place, "schema"), text, f"schema: {other.schema_dir.name}")


def plaintext_warnings(mqtt: Mqtt) -> list[str]:
    """Say what a connection without TLS shows to others, and what has no effect on it."""
    if mqtt.encrypted or not mqtt.url:
        return []
    warnings = []
    if mqtt.password and not fields.is_loopback(mqtt.host):
        warnings.append(
            f"mqtt.url: the password goes to {mqtt.host} unencrypted; use mqtts:// or wss://"
        )
    if mqtt.ca_file or mqtt.cert_file:
        warnings.append(f"mqtt.ca_file and mqtt.cert_file have no effect with {mqtt.scheme}://")
    return warnings


def check_broker(
    document: Document, mqtt: Mapping[str, Any], stations: Mapping[str, Any], *, has_http: bool
) -> None:
    """Report that no broker is named: only where all records come over HTTP none is needed."""
    has_topics = any("topic" in one for one in stations.values() if isinstance(one, dict))
    if "url" not in mqtt and (has_topics or not has_http):
        document.report(("mqtt", "url"), "is missing")


def check_port(document: Document, http: Mapping[str, Any]) -> None:
    """Report an instance that leaves its port open: the default is that of the plain unit."""
    if "listen" not in http:
        document.report(
            ("http", "listen"),
            "is missing: an instance has no default, because the instances of a box would fight"
            " for it",
            "choose a port, such as 127.0.0.1:8001",
        )


def check_http(document: Document, http: Http | None, metrics: Metrics | None) -> None:
    """Report what keeps the station over HTTP from being served, or from being safe."""
    if http is None:
        return
    lacking = [name for name in _HTTP_MODULES if importlib.util.find_spec(name) is None]
    if lacking:
        document.report(
            ("http",),
            f"needs what is not installed: {', '.join(lacking)}",
            "install zerobus-collector[http], or take the section out",
        )
    if http.is_open and http.token is None and http.client_ca_file is None:
        document.report(
            ("http", "listen"),
            "needs a token or a client_ca_file, because others than this box can send there",
        )
    if metrics is not None and _is_taken_by(metrics, http):
        document.report(("http", "listen"), "is that of metrics already", "choose another port")
    _check_http_files(document, http)


def _is_taken_by(metrics: Metrics, http: Http) -> bool:
    if metrics.listen == "off" or metrics.socket is not None:
        return False
    (host, port), (own, own_port) = metrics.address, http.address
    is_same = host == own or (fields.is_loopback(host) and fields.is_loopback(own))
    return port == own_port and (is_same or fields.is_every(host) or fields.is_every(own))


def _check_http_files(document: Document, http: Http) -> None:
    """Report files that TLS can't use."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if http.cert_file is None or http.key_file is None:
        return
    try:
        context.load_cert_chain(http.cert_file, http.key_file, lambda: "")
    except OSError as error:
        _report_file(document, ("http", "cert_file"), http.cert_file, error)
    if http.client_ca_file is not None:
        try:
            context.load_verify_locations(http.client_ca_file)
        except OSError as error:
            _report_file(document, ("http", "client_ca_file"), http.client_ca_file, error)


def token_warnings(section: str, options: Metrics | Http | None) -> list[str]:
    """Say that a token can be guessed: nothing slows down whoever tries."""
    token = options.token if options is not None else None
    if token is None or len(token.get_secret_value()) >= _TOKEN_CHARS_MIN:
        return []
    text = f"{section}.token: it has fewer than {_TOKEN_CHARS_MIN} characters and can be guessed"
    return [f"{text}; make one, such as by `openssl rand -hex 32`"]


def http_warnings(http: Http) -> list[str]:
    """Say what is shown to others without TLS."""
    if http.cert_file or not http.is_open:
        return []
    text = f"http.listen: what is sent to {http.listen}, and the token, go there unencrypted"
    return [f"{text}; set http.cert_file and http.key_file, or put a proxy with TLS before it"]
