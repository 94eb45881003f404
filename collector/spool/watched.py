"""Records whose fate somebody waits for: from the commit that stores them to the acknowledgment.

A watch ends when every one of its records is delivered, or is known not to be any more. A record
that leaves in a way that is not told here (by its age, or in a damaged page) never counts as
delivered: its watch does not end, and whoever waits gives up in time.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

Spans = list[tuple[int, "Watch | None"]]
"""The records of a batch in their order: so many, and whose they are."""


class Watch:
    """Waits for `count` records; usable from every thread.

    `undelivered` says why some were not delivered, or is empty; it counts when the watch has ended.
    """

    def __init__(self, count: int) -> None:
        self.undelivered = ""
        self.batches: set[int] = set()
        self._waiting = count
        self._lock = threading.Lock()
        self._told: list[Callable[[], None]] = []

    @property
    def has_ended(self) -> bool:
        """Whether the fate of every record is known."""
        return self._waiting <= 0

    @property
    def is_delivered(self) -> bool:
        """Whether Zerobus has acknowledged every record."""
        return self.has_ended and not self.undelivered

    def settle(self, count: int, undelivered: str = "") -> None:
        """Note what became of some records."""
        with self._lock:
            self.undelivered = self.undelivered or undelivered
            self._waiting -= count
            told, self._told = (self._told, []) if self.has_ended else ([], self._told)
        for tell in told:
            tell()

    def tell(self, ended: Callable[[], None]) -> None:
        """Call `ended` once, when the watch has ended: by any thread, so that it must be quick."""
        with self._lock:
            if not self.has_ended:
                self._told.append(ended)
                return
        ended()


class Watched:
    """The batches that watches wait for; usable from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: dict[int, Spans] = {}

    def __len__(self) -> int:
        return len(self._spans)

    @contextmanager
    def commit(self, watches: Mapping[int, Spans]) -> Iterator[Callable[[int, int], None]]:
        """Watch what a commit stores, unless it fails: from within, since a drain may be quicker.

        `watches` are by the first number of a batch; what is lent takes the id and that number.
        """
        noted: list[int] = []

        def note(batch: int, first_seq: int) -> None:
            if (spans := watches.get(first_seq)) is not None:
                noted.append(batch)
                self._add(batch, spans)

        try:
            yield note
        except BaseException:
            with self._lock:
                for batch in noted:
                    self._spans.pop(batch, None)
            raise

    def drop(self, watch: Watch) -> None:
        """Forget a watch that nobody waits for any more."""
        with self._lock:
            for batch in watch.batches:
                spans = self._spans.get(batch, [])
                left = [(count, None if one is watch else one) for count, one in spans]
                if any(one for _, one in left):
                    self._spans[batch] = left
                else:
                    self._spans.pop(batch, None)

    def settle(self, batches: Iterable[int], undelivered: str = "") -> None:
        """Note what became of whole batches: delivered, unless it is said why not."""
        if not self._spans:
            return
        with self._lock:
            found = [span for batch in batches for span in self._spans.pop(batch, ())]
        _settle(found, undelivered)

    def settle_first(self, batch: int, count: int, undelivered: str = "") -> None:
        """Note what became of the first records of a batch."""
        if not self._spans:
            return
        with self._lock:
            found = self._take_first(batch, count)
        _settle(found, undelivered)

    def move_first(self, batch: int, to: int) -> None:
        """Note that the first record of a batch stands in another one."""
        if not self._spans:
            return
        with self._lock:
            found = self._take_first(batch, 1)
            if found and found[0][1] is not None:
                self._spans[to] = found
                found[0][1].batches.add(to)

    def settle_places(self, batch: int, places: Iterable[int], undelivered: str) -> None:
        """Note that the records at some places of a batch are in it no more."""
        with self._lock:
            spans = self._spans.get(batch)
            if not spans:
                return
            owners = [watch for count, watch in spans for _ in range(count)]
            gone = set(places)
            found = [(1, owners[place]) for place in gone]
            self._spans[batch] = [
                (1, watch) for place, watch in enumerate(owners) if place not in gone
            ]
        _settle(found, undelivered)

    def _add(self, batch: int, spans: Spans) -> None:
        with self._lock:
            self._spans[batch] = list(spans)
            for _, watch in spans:
                if watch is not None:
                    watch.batches.add(batch)

    def _take_first(self, batch: int, count: int) -> Spans:
        spans = self._spans.get(batch)
        taken: Spans = []
        while spans and count > 0:
            size, watch = spans.pop(0)
            part = min(size, count)
            taken.append((part, watch))
            if part < size:
                spans.insert(0, (size - part, watch))
            count -= part
        if spans is not None and not spans:
            del self._spans[batch]
        return taken


def _settle(spans: Spans, undelivered: str) -> None:
    for count, watch in spans:
        if watch is not None:
            watch.settle(count, undelivered)
