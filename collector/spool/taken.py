"""Which batches the drains have taken: in flight, or acknowledged and not deleted yet (decision 2).

Nothing else may drop, expire or purge those. A drain takes batches right before it sends them, and
learns then whether they are still there; while batches are being removed, it waits.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager


class Taken:
    """The marks of one spool; usable from every thread.

    `are_there` says whether all of some batches are in the file.
    """

    def __init__(self, are_there: Callable[[Sequence[int]], bool]) -> None:
        self._are_there = are_there
        self._lock = threading.Lock()
        self._in_flight: set[int] = set()
        # In the order of acknowledgment.
        self._acknowledged: dict[int, None] = {}
        self._removed_any = False

    def take(self, batches: Sequence[int]) -> bool:
        """Mark batches that are about to be sent; False, and no mark, when one is gone."""
        with self._lock:
            if self._removed_any and not self._are_there(batches):
                return False
            self._in_flight.update(batches)
            return True

    def release(self, batches: Iterable[int]) -> None:
        """Take marks back: these batches are not in flight any more."""
        with self._lock:
            self._in_flight.difference_update(batches)

    def acknowledge(self, batches: Iterable[int]) -> None:
        """Note that Zerobus has these batches: they wait for the commit that deletes them."""
        with self._lock:
            known = dict.fromkeys(batches)
            self._acknowledged.update(known)
            self._in_flight.difference_update(known)

    def marked(self) -> AbstractSet[int]:
        """Return what is not to be touched at this moment; only `removing` makes it last."""
        with self._lock:
            return self._in_flight | self._acknowledged.keys()

    # The next two are called inside a transaction, which `removing` waits for: they take no lock,
    # and need none, since each of their steps is one operation of the interpreter.

    def acknowledged(self) -> list[int]:
        """Return what waits for its deletion."""
        return list(self._acknowledged)

    def deleted(self, batches: Iterable[int]) -> None:
        """Forget acknowledged batches whose deletion is committed."""
        for batch in batches:
            self._acknowledged.pop(batch, None)

    @contextmanager
    def removing(self) -> Iterator[AbstractSet[int]]:
        """Keep the drains from taking batches while some are removed; gives those not to touch."""
        with self._lock:
            self._removed_any = True
            yield self._in_flight | self._acknowledged.keys()
