"""The router: which stations get a copy of a message, and which filters to subscribe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.router.filters import Filter, identify, parse_filter
from collector.router.trie import Trie, Use

CACHE_MAX: Final = 10_000
CACHED_TOPIC_MAX: Final = 1_024
"""Together they bound the cache: a topic may be 64 KiB long."""

OVERLAPS_MAX: Final = 20
OVERLAP_STEPS_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A message goes to the station at this index, with these names for its topic levels."""

    station: int
    captures: dict[str, str]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What one copy of a message resolves to.

    `copies` is how many the broker sends of the message, one for each filter of ours that it fits;
    1 when they can't be told apart.
    """

    topic: str
    offers: tuple[Offer, ...]
    copies: int = 1


class Router:
    """Resolves topics to stations; see the package for its promise."""

    def __init__(
        self,
        stations: Sequence[tuple[str, Sequence[str]]],
        excepts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the name and the filters of each station, and by name the topics it won't have."""
        parsed = [[parse_filter(text) for text in texts] for _, texts in stations]
        self._excepts = {
            station: tuple(parse_filter(text).pattern for text in excepts[name])
            for station, (name, _) in enumerate(stations)
            if excepts and name in excepts
        }
        self.filters = identify(one for filters in parsed for one in filters)
        self._identifiers = {one.wire: one.identifier for one in self.filters}
        self._trie = Trie()
        uses = ((station, one) for station, filters in enumerate(parsed) for one in filters)
        for number, (station, one) in enumerate(uses):
            self._trie.add(one.levels, Use(station, one, number))
        self._cache: dict[tuple[bytes, tuple[int, ...]], Resolution] = {}

    def resolve(self, topic: bytes, identifiers: tuple[int, ...]) -> Resolution:
        """Say who gets this copy; raises `UnicodeDecodeError` when the topic is not UTF-8."""
        key = (topic, identifiers)
        resolution = self._cache.get(key)
        if resolution is None:
            resolution = self._resolve(topic.decode(), identifiers)
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            if len(topic) <= CACHED_TOPIC_MAX:
                self._cache[key] = resolution
        return resolution

    def uncovered(self) -> tuple[Filter, ...]:
        """The filters to subscribe where one message may not carry an identifier per filter.

        A shared subscription covers nothing and is covered by nothing: its messages are dealt out.
        """
        return tuple(one for one in self.filters if one.shared or not self._is_covered(one))

    def overlapping(self) -> tuple[tuple[str, str], ...]:
        """Pairs of uncovered filters that one topic may fit both; the first few, bounded work."""
        filters = self.uncovered()
        trie = Trie()
        for index, one in enumerate(filters):
            trie.add(one.levels, Use(index, one, index))
        pairs: set[tuple[int, int]] = set()
        steps = 0
        for index, one in enumerate(filters):
            # Two filters without a wildcard never overlap; the other kind finds the rest.
            if "+" not in one.levels and "#" not in one.levels:
                continue
            for use in trie.intersecting(one.levels):
                steps += 1
                if use is not None and use.station != index:
                    pairs.add((min(index, use.station), max(index, use.station)))
                if steps > OVERLAP_STEPS_MAX or len(pairs) >= OVERLAPS_MAX:
                    break
        return tuple((filters[a].text, filters[b].text) for a, b in sorted(pairs)[:OVERLAPS_MAX])

    def _resolve(self, topic: str, identifiers: tuple[int, ...]) -> Resolution:
        """Offer a copy to the stations that it fits.

        - By a shared subscription: to the stations that share it, for another member of the group
          may get the next one.
        - By any other of our filters: to all stations with such a filter; the copies by the others
          are repeats of it.
        - Without identifiers, or with one that is unknown or does not fit: to all stations.
        """
        uses = sorted(self._trie.fitting(topic.split("/")), key=lambda use: use.number)
        shared = {self._identifiers[use.filter.wire] for use in uses if use.filter.shared}
        plain = {self._identifiers[use.filter.wire] for use in uses if not use.filter.shared}
        is_known = bool(identifiers) and (shared | plain).issuperset(identifiers)
        if is_known and shared.issuperset(identifiers):
            wanted, copies = set(identifiers), 1
        elif is_known:
            wanted, copies = plain | set(identifiers), len(plain)
        else:
            wanted, copies = shared | plain, len(plain) if identifiers else 1
        taking: set[int] = set()
        captures: dict[int, dict[str, str]] = {}
        for use in uses:
            read = use.filter.pattern.read(topic)
            if read is None:
                continue
            # A message's captures depend on its topic alone, not on the copy that happened to
            # come: of all the station's filters that fit, the one listed first counts.
            captures[use.station] = read | captures.get(use.station, {})
            if self._identifiers[use.filter.wire] in wanted:
                taking.add(use.station)
        offers = tuple(
            Offer(station, captures[station])
            for station in sorted(taking)
            if not self._is_excepted(station, topic)
        )
        return Resolution(topic, offers, copies)

    def _is_excepted(self, station: int, topic: str) -> bool:
        patterns = self._excepts.get(station, ())
        return any(pattern.read(topic) is not None for pattern in patterns)

    def _is_covered(self, one: Filter) -> bool:
        return any(
            use.filter.wire != one.wire and not use.filter.shared
            for use in self._trie.covering(one.levels)
        )
