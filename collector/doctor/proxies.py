"""Which proxy the parts of the program take to a host, by the variables of this environment.

Measured with the SDK: its streams look at `grpc_proxy` and `https_proxy` whatever the scheme, also
for loopback; its tokens at the one of their scheme. Either case of letters does. No text holds the
user and password that the address of a proxy may have.
"""

import ipaddress
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_FOR_STREAMS: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_ALL: Final = ("all_proxy",)
VARIABLES: Final = (*_FOR_STREAMS, *_ALL, "no_proxy", "no_grpc_proxy")


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy listens, and the variable that names it."""

    host: str
    port: int
    variable: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({self.variable})"


def for_streams(host: str) -> Proxy | None:
    """Return the proxy that a stream to this host goes through."""
    excepted = _value("no_grpc_proxy") or _value("no_proxy")
    return None if _is_excepted(host, excepted) else _first(_FOR_STREAMS)


def for_tokens(scheme: str, host: str) -> Proxy | None:
    """Return the proxy that a request to the workspace goes through."""
    if _is_excepted(host, _value("no_proxy")):
        return None
    return _first((f"{scheme}_proxy", *_ALL))


def seen() -> Iterator[str]:
    """The variables that are set; of addresses only host and port."""
    for name in VARIABLES:
        value = _value(name)
        if value and name.startswith("no_"):
            yield f"{name}={value}"
        elif value:
            yield f"{name}={_parsed(name, value).host}:{_parsed(name, value).port}"


def _first(names: tuple[str, ...]) -> Proxy | None:
    return next((_parsed(name, value) for name in names if (value := _value(name))), None)


def _parsed(name: str, value: str) -> Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        return Proxy(parts.hostname or "?", parts.port or 80, name)
    except ValueError:
        return Proxy("?", 0, name)


def _value(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper()) or ""


def _is_excepted(host: str, excepted: str) -> bool:
    """Whether a list of hosts, domains and networks has this host in it."""
    entries = [one.strip().lower() for one in excepted.split(",") if one.strip()]
    return any(_fits(host.lower(), one) for one in entries)


def _fits(host: str, entry: str) -> bool:
    domain = entry.removeprefix("*").removeprefix(".")
    if entry == "*" or host == domain or host.endswith(f".{domain}"):
        return True
    with suppress(ValueError):  # A name is no address.
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    return False
