"""The names and addresses by which this box is asked."""

import ipaddress
import re
import socket
from functools import lru_cache
from typing import Final

_HOST: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::[0-9]+)?", re.ASCII)


@lru_cache(maxsize=64)
def is_own_name(host: str) -> bool:
    """Whether a `Host` header is an address, `localhost`, or empty.

    A web page can be given a name of its own that points to this box (DNS rebinding); it can't be
    given these.

    >>> [is_own_name(one) for one in ("localhost:9464", "[::1]:9464", "10.0.0.7", "evil.example")]
    [True, True, True, False]
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return not host
    try:
        ipaddress.ip_address(match[1] or match[2])
    except ValueError:
        return host.lower().partition(":")[0] == "localhost"
    return True


def family_of(host: str) -> socket.AddressFamily:
    """Return of which kind an address to listen on is."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET
