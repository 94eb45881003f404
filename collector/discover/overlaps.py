"""Filters that fit topics of another group: what is not meant is excepted, or only words are meant.

A message is offered to every station whose topics fit; without this each would become a dead letter
of the stations that it is not meant for.
"""

import re
from collections.abc import Sequence
from typing import Final

from collector.discover.grouping import WORDS_MAX, Group, name_levels
from collector.discover.limits import STATIONS_MAX
from collector.router import parse_filter

EXCEPTS_MAX: Final = 50
"""Topics that a station excepts one by one."""

_CAPTURE: Final = re.compile(r"\{[a-z_][a-z0-9_]*\}")


def part(groups: list[Group], known: Sequence[tuple[str, list[str]]]) -> list[Group]:
    """Make each topic that was heard fit its own group alone, as far as filters can say it.

    `known` are filters of others with topics that they took.
    """
    kept = _with_words(_merged(groups))
    patterns = {one.filter: parse_filter(one.filter).pattern for one in kept if one.filter}
    others = [(one.filter, [topic.name for topic in one.topics]) for one in kept] + list(known)
    # The largest come first, and no more of them are written.
    for one in kept[:STATIONS_MAX]:
        if not one.form.format:
            continue
        own = [topic.name for topic in one.topics]
        for text, topics in others:
            strays = [name for name in topics if patterns[one.filter].read(name) is not None]
            strays = [name for name in strays if name not in own]
            if strays:
                one.excepts += _excepted(text, own) or _literal(strays)
        one.excepts = list(dict.fromkeys(one.excepts))
    return kept


def _excepted(text: str, own: Sequence[str]) -> list[str]:
    """The other's filter, when it means none of our topics; captures are wildcards there."""
    if not text:
        return []
    pattern = parse_filter(text).pattern
    if any(pattern.read(name) is not None for name in own):
        return []
    return ["/".join(_plain_level(level) for level in text.split("/"))]


def _plain_level(level: str) -> str:
    if level.startswith("{") and level.endswith("*}"):
        return "#"
    return "+" if _CAPTURE.fullmatch(level) else level


def _literal(strays: Sequence[str]) -> list[str]:
    plain = [name for name in strays if not set(name) & set("{}")]
    return plain if len(plain) <= EXCEPTS_MAX else []


def _merged(groups: list[Group]) -> list[Group]:
    """Groups of one filter and one form are one, when they have anything in common."""
    result: list[Group] = []
    for one in groups:
        twin = next(
            (
                other
                for other in result
                if other.filter == one.filter
                and other.form.kind == one.form.kind
                and (other.form.keys & one.form.keys or _are_many(other, one))
            ),
            None,
        )
        if twin is None:
            result.append(one)
        else:
            twin.form = twin.form.joined(one.form)
            twin.topics += one.topics
            name_levels(twin)
    return result


def _are_many(one: Group, other: Group) -> bool:
    """Whether neither group could list its values."""
    return all(
        max(map(len, each.captures.values()), default=0) > WORDS_MAX for each in (one, other)
    )


def _with_words(groups: list[Group]) -> list[Group]:
    """Where two groups have one filter, the smaller one means its own words alone."""
    taken: set[str] = set()
    for one in sorted(groups, key=lambda each: -len(each.topics)):
        if one.filter in taken and one.form.format:
            for name, values in one.captures.items():
                if len(values) <= WORDS_MAX and not any(set(v) & set("{}|/+#") for v in values):
                    words = "|".join(value for value in values if value)
                    one.filter = one.filter.replace(f"{{{name}}}", f"{{{name}={words}}}")
        taken.add(one.filter)
    return groups
