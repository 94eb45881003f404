"""sd_notify: one datagram to the socket that systemd names (gateway notes, systemd 252)."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SEND_S: Final = 1.0
_EXTEND_EVERY_S: Final = 10.0
_EXTEND_BY_S: Final = 60.0
START_MAX_S: Final = 3_600.0
"""A spool of many GiB on a worn SD card is checked within that; beyond, systemd starts us anew."""


def notify(*states: str) -> None:
    """Send states such as `READY=1`; does nothing when systemd did not start us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        # A systemd that does not read must not stop the thread that looks after all others.
        sock.settimeout(_SEND_S)
        try:
            sock.sendto("\n".join(states).encode(), address)
        except OSError:
            return  # systemd is being restarted, or hangs: the next state is told anew.


@contextmanager
def longer_start() -> Iterator[None]:
    """Ask systemd for patience while a spool is opened: checking a damaged one takes its time."""
    is_open = threading.Event()

    def extend() -> None:
        for _ in range(int(START_MAX_S / _EXTEND_EVERY_S)):
            notify(f"EXTEND_TIMEOUT_USEC={_EXTEND_BY_S * 1e6:.0f}", "STATUS=opening the spool")
            if is_open.wait(_EXTEND_EVERY_S):
                return

    thread = threading.Thread(target=extend, name="start", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_open.set()
        thread.join()


def watchdog_interval_s() -> float:
    """Return how often systemd wants to hear of us: half of its limit; 0 when it does not."""
    mine = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if mine and microseconds.isdigit() else 0.0
