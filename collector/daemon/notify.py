"""sd_notify: one datagram to the socket that systemd names (gateway notes, systemd 252)."""

import os
import socket


def notify(*states: str) -> None:
    """Send states such as `READY=1`; does nothing when systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto("\n".join(states).encode(), address)
        except OSError:
            return  # systemd is being restarted: it asks again by its watchdog.


def watchdog_interval_s() -> float:
    """Return how often systemd wants to hear of us: half of its limit; 0 when it does not."""
    mine = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if mine and microseconds.isdigit() else 0.0
