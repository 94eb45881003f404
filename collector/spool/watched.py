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
        # Whom each batch is watched for: when nobody is left, it is not.
        self._alive: dict[int, set[Watch]] = {}

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
                    self._forget(batch)
            raise

    def drop(self, watch: Watch) -> None:
        """Forget a watch that nobody waits for any more."""
        with self._lock:
            for batch in watch.batches:
                if batch in self._alive:
                    self._alive[batch].discard(watch)
                    if not self._alive[batch]:
                        self._forget(batch)

    def settle(self, batches: Iterable[int], undelivered: str = "") -> None:
        """Note what became of whole batches: delivered, unless it is said why not."""
        if not self._spans:
            return
        with self._lock:
            found = [span for batch in batches for span in self._forget(batch)]
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
                self._watch(to, found)

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
            self._watch(batch, list(spans))

    def _watch(self, batch: int, spans: Spans) -> None:
        self._spans[batch] = spans
        self._alive[batch] = {watch for _, watch in spans if watch is not None}
        for watch in self._alive[batch]:
            watch.batches.add(batch)

    def _forget(self, batch: int) -> Spans:
        self._alive.pop(batch, None)
        return self._spans.pop(batch, [])

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
            self._forget(batch)
        return taken


def _settle(spans: Spans, undelivered: str) -> None:
    for count, watch in spans:
        if watch is not None:
            watch.settle(count, undelivered)
