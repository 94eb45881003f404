"""From topics to filters: topics whose payloads are alike, with levels that vary as captures.

First topics of one form, depth and beginning whose payloads have the same keys come together, then
groups whose keys are much the same; where one value per topic stands at several depths, a tree. A
filter has the words that all its topics share, and captures where they differ or name one thing of
many.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations
from typing import Any, Final

from collector.discover.forms import Form
from collector.discover.heard import Topic
from collector.discover.looks import is_id, is_serial, is_varying
from collector.discover.names import capture_name

ALIKE: Final = 0.6
"""The part of the smaller one's keys that groups have in common when they are one."""
ALIKE_INSIDE: Final = 0.4
"""The same, of topics that end alike."""
FIRST_WORDS_MIN: Final = 8
"""So many topics that differ in their first level only are taken for one group."""
TREE_TOPICS_MIN: Final = 4
TREE_PART_MAX: Final = 0.8
"""Topics of several depths are a tree when no depth has more of them than this."""
COMPARED_MAX: Final = 200
WORDS_MAX: Final = 20
"""Values of a level that are listed in a filter, where only they are meant."""


@dataclass(slots=True)
class Group:
    """Topics that become a station; `filter` is its topic, `literals` the words in it.

    `captures` are the values that each capture had, by its name.
    """

    form: Form
    topics: list[Topic]
    filter: str = ""
    literals: list[str] = field(default_factory=list)
    captures: dict[str, list[str]] = field(default_factory=dict)
    is_tree: bool = False
    excepts: list[str] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """How many messages came by its topics."""
        return sum(topic.count for topic in self.topics)


def group(found: Iterable[tuple[Topic, Form]]) -> list[Group]:
    """Make groups of topics and give each its filter; the largest first."""
    buckets: dict[tuple[Any, ...], list[tuple[Topic, Form]]] = defaultdict(list)
    for topic, form in found:
        buckets[_bucket(topic, form)].append((topic, form))
    groups = [
        Group(_joined([form for _, form in members]), [topic for topic, _ in members])
        for members in buckets.values()
    ]
    groups = _merge_firsts(groups)
    groups = _merge(groups, _are_alike)
    groups = _merge_trees(groups)
    for one in groups:
        name_levels(one)
    return sorted(groups, key=lambda one: (-one.messages, one.filter))


def _bucket(topic: Topic, form: Form) -> tuple[Any, ...]:
    if form.format == "sparkplug":
        return ("sparkplug",)
    levels = topic.levels
    return form.kind, form.keys, len(levels), _first(levels[0])


def _first(level: str) -> str:
    """The first level tells groups apart, unless it names one thing of many."""
    return "" if is_id(level) or set(level) & set("{}") else level


def _joined(forms: Sequence[Form]) -> Form:
    """The form of several topics."""
    return reduce(Form.joined, forms)


# -- which groups are one --------------------------------------------------------------------------


def _merge(groups: list[Group], are_one: Any) -> list[Group]:
    """Join what belongs together, pair by pair, until nothing does."""
    parted: dict[tuple[Any, ...], list[Group]] = defaultdict(list)
    for one in groups:
        levels = one.topics[0].levels
        parted[(one.form.kind, len(levels), _first(levels[0]))].append(one)
    result: list[Group] = []
    for part in parted.values():
        open_ = list(part)
        if len(open_) > COMPARED_MAX:
            result += open_
            continue
        while pair := next((p for p in combinations(open_, 2) if are_one(*p)), None):
            open_ = [one for one in open_ if one is not pair[0] and one is not pair[1]]
            open_.append(_union(pair))
        result += open_
    return result


def _union(groups: Sequence[Group]) -> Group:
    return Group(
        _joined([one.form for one in groups]), [topic for one in groups for topic in one.topics]
    )


def _are_alike(one: Group, other: Group) -> bool:
    """Whether keys are much the same, or one group's are some of the other's.

    Or whether both are ids at the same levels and have a key in common: devices of one family. So
    are topics that differ in one level that is not the last: that one says what kind they are of.
    """
    if not one.form.format or one.form.format == "sparkplug":
        return one.form.format == other.form.format
    mine, theirs = one.form.keys, other.form.keys
    common = len(mine & theirs) / max(min(len(mine), len(theirs)), 1)
    if common >= ALIKE:
        return True
    differing = _differing(_shape(one), _shape(other))
    return bool(common) and (not differing or (differing == ["inside"] and common >= ALIKE_INSIDE))


def _differing(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Where shapes differ: at an end, or inside."""
    places = [place for place in range(len(one)) if one[place] != other[place]]
    return ["inside" if 0 < place < len(one) - 1 else "end" for place in places]


def _shape(group: Group) -> tuple[str, ...]:
    """The levels of a group's topics, with a mark where they vary."""
    columns = zip(*(topic.levels for topic in group.topics), strict=True)
    return tuple("" if len(set(c)) > 1 or is_id(c[0]) else c[0] for c in columns)


def _merge_firsts(groups: list[Group]) -> list[Group]:
    """Join groups that differ in their first level only, when there are many."""
    alike: dict[tuple[Any, ...], list[Group]] = defaultdict(list)
    for one in groups:
        levels = one.topics[0].levels
        rests = {tuple(topic.levels[1:]) for topic in one.topics}
        key = (one.form.kind, one.form.keys, len(levels), frozenset(rests))
        alike[key if one.form.format != "sparkplug" else ("sparkplug",)].append(one)
    result: list[Group] = []
    for part in alike.values():
        result += [_union(part)] if len(part) >= FIRST_WORDS_MIN else part
    return result


def _merge_trees(groups: list[Group]) -> list[Group]:
    """Join groups of one value per topic that stand at several depths below one word."""
    below: dict[tuple[Any, ...], list[Group]] = defaultdict(list)
    result: list[Group] = []
    bases: set[frozenset[str]] = set()
    for one in sorted(groups, key=lambda each: -len(each.topics)):
        first = one.topics[0].levels[0]
        if len(one.form.keys) <= 3 and one.form.format in ("text", "json") and _first(first):
            keys = next((k for k in bases if k <= one.form.keys or one.form.keys <= k), None)
            below[(one.form.kind, keys or one.form.keys, first)].append(one)
            bases |= {one.form.keys} if keys is None else set()
        else:
            result.append(one)
    for part in below.values():
        depths = Counter(len(topic.levels) for one in part for topic in one.topics)
        whole = depths.total()
        is_tree = whole >= TREE_TOPICS_MIN and max(depths.values()) <= TREE_PART_MAX * whole
        if is_tree and min(depths) > 1:
            tree = _union(part)
            tree.is_tree = True
            result.append(tree)
        else:
            result += part
    return result


# -- what the levels are called --------------------------------------------------------------------


def name_levels(group: Group) -> None:
    """Give a group its filter."""
    if group.form.format == "sparkplug":
        group.filter, group.literals, group.captures = "spBv1.0/#", ["sparkplug"], {}
        return
    parts: list[str] = []
    group.literals, group.captures = [], {}
    rows = [topic.levels for topic in group.topics]
    depth = min(map(len, rows))
    fixed = _fixed_levels(rows, depth) if group.is_tree else depth
    levels = [sorted({row[place] for row in rows}) for place in range(fixed)]
    is_word = [_is_literal(values, place) for place, values in enumerate(levels)]
    in_pairs = _is_in_pairs(is_word)
    is_value = group.form.format in ("text", "json") and len(group.form.keys) == 1
    for place, values in enumerate(levels):
        if is_word[place]:
            parts.append(values[0])
            group.literals.append(values[0])
            continue
        before = levels[place - 1][0] if place and is_word[place - 1] else ""
        name = capture_name(
            values,
            before,
            group.captures,
            in_pairs=in_pairs,
            names_value=is_value and place == fixed - 1 and not group.is_tree,
            is_alone=is_word.count(False) == 1 and not group.is_tree,
        )
        group.captures[name] = values
        parts.append(f"{{{name}}}")
    if group.is_tree:
        group.captures["path"] = sorted({"/".join(row[fixed:]) for row in rows})
        parts.append("{path*}")
    group.filter = "/".join(parts)


def _is_in_pairs(is_word: Sequence[bool]) -> bool:
    """Whether each of several captures has its own word before it: a/{a}/b/{b}."""
    captures = [place for place, word in enumerate(is_word) if not word]
    return len(captures) > 1 and all(place and is_word[place - 1] for place in captures)


def _is_literal(values: Sequence[str], place: int) -> bool:
    """Whether a level is a word of the filter: it never varies, and names no thing of many.

    The first level may look like one: a filter that begins with a wildcard means a whole broker,
    which only a serial number is worth.
    """
    if len(values) > 1 or set(values[0]) & set("{}"):
        return False
    return not (is_id(values[0]) if place else is_serial(values[0]))


def _fixed_levels(rows: Sequence[Sequence[str]], depth: int) -> int:
    """How many levels of a tree come before the part whose depth varies."""
    for place in range(1, depth - 1):
        values = {row[place] for row in rows}
        if len(values) > 1 and not is_varying(values) and not _repeats(rows, place):
            return place
        if len(values) > 1 and place > 1:
            return place
    return max(depth - 1, 1)


def _repeats(rows: Sequence[Sequence[str]], place: int) -> bool:
    """Whether what follows a level is the same below several of its values."""
    below = Counter(rest for rest, _ in {(tuple(r[place + 1 :]), r[place]) for r in rows})
    return sum(count > 1 for count in below.values()) * 2 >= len(below)
