"""The figures of the station over HTTP: what was asked, and what was answered."""

from collections.abc import Sequence
from typing import Final

from collector.metrics.samples import Family, Figures, Look, Samples, counter, gauge


def _requests(figures: Figures) -> Samples:
    return [
        ((method, route, str(status)), count)
        for (method, route, status), count in figures["requests"].items()
    ]


def _http(key: str) -> Look:
    """The figure of a station that is there."""
    return lambda figures: [((), figures["http"][key])] if figures["http"] else []


REQUESTS: Final[Sequence[Family]] = (
    counter(
        "http_requests",
        "Requests answered since the start; 499 is a client that went away, 0 no answer at all",
        _requests,
        "method",
        "route",
        "status",
    ),
    gauge(
        "http_listening",
        "1 while the station over HTTP can be asked; with 0 its port or certificate can't be had",
        _http("is_listening"),
    ),
    gauge("http_waiting_requests", "Requests that wait for a commit", _http("waiting")),
    gauge("http_held_bytes", "Bytes of their bodies, and of those that are read", _http("held")),
    gauge("http_max_held_bytes", "The limit http.inbox_max_bytes", _http("held_max")),
    gauge("http_connections", "Connections that are open", _http("connections")),
    gauge("http_max_connections", "The limit http.connections_max", _http("connections_max")),
    counter(
        "http_connections_cut_off",
        "Connections that were too slow, or made room for another, since the start",
        _http("cut_off"),
    ),
    counter(
        "http_connections_turned_away",
        "Connections for which there was no place, since the start",
        _http("turned_away"),
    ),
    gauge("http_awaiting_requests", "Requests that wait for Zerobus", _http("awaiting")),
    counter(
        "http_requests_not_awaited",
        "Requests that wanted to wait for Zerobus, and were answered at once since too many did",
        _http("not_awaited"),
    ),
    counter(
        "http_wrong_tokens", "Requests with a wrong token since the start", _http("wrong_tokens")
    ),
)
