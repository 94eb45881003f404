"""How an emulator runs: one frozen value, checked when it is built."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from collector.errors import CollectorError

RECORD_CALL_MAX_BYTES: Final = 10 * 1024 * 1024
"""The service takes no larger message; over it gRPC itself answers RESOURCE_EXHAUSTED."""

PENDING_MAX_BYTES: Final = 64 * 1024 * 1024
"""Taken and not yet committed, per table; at the limit the emulator stops reading."""


class OptionsError(CollectorError):
    """The options of the emulator contradict each other."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """Port 0 lets the operating system choose; `docs/emulator.md` explains each option."""

    lake: Path | None = None
    grpc: str = "127.0.0.1:0"
    http: str = "127.0.0.1:0"
    tables: Mapping[str, Path] | None = None
    count_only: bool = False
    log: Path | None = None
    faults: Mapping[str, Any] = field(default_factory=dict)
    ack_delay: float = 0.15
    commit_interval: float = 0.2
    streams_per_connection: int = 100
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    token_ttl: float = 3600.0
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if not self.count_only and self.lake is None:
            raise OptionsError("no lake is given", "Give --lake DIR, or --count-only.")
        if self.count_only and (self.lake or self.log or self.tables is not None):
            raise OptionsError(
                "--count-only decodes and stores nothing",
                "Leave out --lake, --log, --tables and --table, or --count-only.",
            )
        if (self.cert is None) != (self.key is None):
            raise OptionsError("TLS needs a certificate and its key", "Give --cert and --key.")
        if bool(self.client_id) != bool(self.client_secret):
            raise OptionsError(
                "credentials are a client id and its secret",
                "Give --client-id and --client-secret-file (or EMULATOR_CLIENT_SECRET).",
            )
        if min(self.ack_delay, self.commit_interval) < 0 or self.streams_per_connection < 1:
            raise OptionsError("delays can't be negative, and a connection carries a stream")
        parse_address(self.grpc)
        parse_address(self.http)


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, with [HOST]:PORT for IPv6."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise OptionsError(f"{text!r} is no address", "Write HOST:PORT, such as 127.0.0.1:15051.")
    return host.strip("[]"), int(port)
