"""Which stations a message is offered to, and what its topic levels are called.

A trie of topic levels answers for 10,000 filters without looking at each of them, and what a topic
resolves to is cached. The module subscribes to nothing and keeps nothing: it says what to subscribe
(`filters`, or `uncovered` where the broker knows no subscription identifiers).

It promises (decision 8) that each copy of a message is offered to every station that it fits, and
says how many copies there are: which of them is a repeat is the intake's to know. In doubt a copy
is offered: a duplicate can be removed, a loss can't.
"""

from collector.router.filters import IDENTIFIER_MAX, Filter, parse_filter
from collector.router.router import (
    CACHE_MAX,
    CACHED_TOPIC_MAX,
    OVERLAPS_MAX,
    Offer,
    Resolution,
    Router,
)

__all__ = [
    "CACHED_TOPIC_MAX",
    "CACHE_MAX",
    "IDENTIFIER_MAX",
    "OVERLAPS_MAX",
    "Filter",
    "Offer",
    "Resolution",
    "Router",
    "parse_filter",
]
