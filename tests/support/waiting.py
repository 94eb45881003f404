"""Waiting for a condition with a deadline, and ports that are free."""

import socket
import time


def wait_for(condition, what, seconds=30.0, step=0.05):
    """Return the condition's value as soon as it is true; fails with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(step)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
