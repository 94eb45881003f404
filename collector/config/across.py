"""What is checked across keys, sections and stations, when each by itself is right."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collector.config import fields
from collector.config.document import Document, Place
from collector.config.models import Metrics, Mqtt, SpoolLimits, Station, Zerobus
from collector.config.quantities import format_size


def check_certificate(document: Document, mqtt: Mapping[str, Any]) -> None:
    """Report a certificate without its key, or a key without its certificate."""
    for key, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if key in mqtt and other not in mqtt:
            document.report(("mqtt", key), f"needs {other} as well")


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
    if mqtt.encrypted:
        return []
    warnings = []
    if mqtt.password and not fields.is_loopback(mqtt.host):
        warnings.append(
            f"mqtt.url: the password goes to {mqtt.host} unencrypted; use mqtts:// or wss://"
        )
    if mqtt.ca_file or mqtt.cert_file:
        warnings.append(f"mqtt.ca_file and mqtt.cert_file have no effect with {mqtt.scheme}://")
    return warnings
