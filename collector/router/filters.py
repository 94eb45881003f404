"""Topic filters as people write them: wildcards, captures and shared subscriptions.

Says what is subscribed for a filter and by which number the broker is asked to name it; what a
topic fits is found in `trie.py`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from collector.router.captures import Pattern, parse_pattern

IDENTIFIER_MAX: Final = (1 << 28) - 1
"""MQTT 5 encodes a subscription identifier in four bytes of seven bits, and 0 is not allowed."""

_FILTER_BYTES_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Filter:
    """A topic filter: as written, as subscribed (`wire`), and the number that names it.

    `levels` are those of the topics that are subscribed, without the group of a shared
    subscription; `pattern` says which of these topics are meant, and what their levels are called.
    """

    text: str
    wire: str
    identifier: int
    levels: tuple[str, ...]
    pattern: Pattern

    @property
    def shared(self) -> bool:
        """Whether the broker deals the messages out among the members of a group."""
        return self.wire.startswith("$share/")


def parse_filter(text: str) -> Filter:
    """Read a filter as people write it; raises `ValueError` that says what is wrong with it."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"the topic filter {text!r} is not valid Unicode") from None
    if "\0" in text:
        raise ValueError(f"the topic filter {text!r} holds a NUL character")
    if size > _FILTER_BYTES_MAX:
        raise ValueError(f"the topic filter {text[:40]!r}… is over {_FILTER_BYTES_MAX} bytes long")
    group, topic = _split_share(text)
    if not topic:
        raise ValueError("a topic filter must not be empty")
    pattern = parse_pattern(text, topic)
    wire = group + "/".join(pattern.wire)
    return Filter(text, wire, _hash(wire), pattern.wire, pattern)


def _split_share(text: str) -> tuple[str, str]:
    """`$share/GROUP/filter` → (`$share/GROUP/`, `filter`)."""
    if text != "$share" and not text.startswith("$share/"):
        return "", text
    _, _, rest = text.partition("/")
    group, slash, topic = rest.partition("/")
    if not group or not slash or not topic or set(group) & set("+#{}"):
        raise ValueError(f"{text!r} is no shared subscription: write $share/GROUP/filter")
    return f"$share/{group}/", topic


def identify(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """The distinct filters; where two hash to one number, the later in the alphabet moves on.

    The broker stamps the number when it queues a message, so it must outlive an edit of the
    configuration: it comes from the filter's text alone, but for these few.
    """
    distinct: dict[str, Filter] = {}
    for one in filters:
        distinct.setdefault(one.wire, one)
    taken: dict[int, str] = {}
    for wire in sorted(distinct):
        identifier = distinct[wire].identifier
        while identifier in taken:
            identifier = identifier % IDENTIFIER_MAX + 1
        taken[identifier] = wire
        distinct[wire] = replace(distinct[wire], identifier=identifier)
    return tuple(distinct.values())


def _hash(wire: str) -> int:
    digest = hashlib.blake2b(wire.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % IDENTIFIER_MAX + 1
