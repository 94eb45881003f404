"""Waiting for a condition with a deadline, and ports that are free."""

import itertools
import os
import random
import socket
import time

_FIRST, _COUNT = 10_000, 20_000
# Test processes that run at one time begin at different places.
_ports = (
    _FIRST + number % _COUNT
    for number in itertools.count(random.Random(os.getpid()).randrange(_COUNT))
)


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
    """Return a port that is free, and below those that the kernel gives to whoever asks for any:
    nobody else takes it before it is used."""
    for port in _ports:
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
