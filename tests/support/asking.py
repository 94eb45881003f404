"""Asking a daemon over HTTP, as a probe or Prometheus does; and what the figures say."""

import http.client
import socket
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families


class Said(NamedTuple):
    status: int
    content_type: str
    text: str


def ask(port, path="/health", method="GET", unix=None, **headers):
    """`port` of loopback, or the path of a `unix` socket."""
    connection = http.client.HTTPConnection("127.0.0.1", port or 1, timeout=20)
    try:
        if unix is not None:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(unix))
        connection.request(
            method, path, headers={key.replace("_", "-"): one for key, one in headers.items()}
        )
        answer = connection.getresponse()
        return Said(answer.status, answer.getheader("Content-Type"), answer.read().decode())
    finally:
        connection.close()


def figures(text):
    """(name, labels in their order) → value, as Prometheus reads it."""
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(port, name, **labels):
    """The figure with these labels; None when it is not there."""
    found = figures(ask(port, "/metrics").text)
    return found.get((f"collector_{name}", *(labels[key] for key in sorted(labels))))
