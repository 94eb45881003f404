"""Waiting for Zerobus: until what a request stored is acknowledged, or all that a station has."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final

from collector.config import Station
from collector.http.asgi import Receive
from collector.spool import Spool
from collector.spool.reader import SpoolReader
from collector.spool.watched import Watch

COUNTED_MAX: Final = 100_000
"""Batches that are counted to say how much is left."""
_UNDELIVERED: Final = ("buried", "expired", "dropped", "purged", "lost")


async def until_gone(receive: Receive) -> None:
    """Return when the client is gone; its body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def within(seconds: float, wanted: Awaitable[Any], receive: Receive) -> None:
    """Wait for something, but no longer than that, nor for a client that is gone.

    The end of the server, which cancels whoever waits, ends the wait as its time does: what is
    known by then is the answer.
    """
    tasks = {asyncio.ensure_future(wanted), asyncio.ensure_future(until_gone(receive))}
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        return
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


async def ended(watch: Watch) -> None:
    """Wait for the end of a watch, which any thread may bring about."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # The server was stopped meanwhile.
            loop.call_soon_threadsafe(event.set)

    watch.tell(wake)
    await event.wait()


class Backlog:
    """What a station has in the spool at this moment, to be seen leaving; asks the disk."""

    def __init__(self, spool: Spool, reader: SpoolReader, station: Station) -> None:
        self._spool = spool
        self._reader = reader
        self._place = (station.table, station.name)
        # Counted first: what leaves after that is of this backlog, or of what comes behind it.
        self._gone_before = self._gone()
        self._moment = (reader.last_batch(), time.time_ns() // 1000)

    def is_left(self) -> bool:
        """Whether Zerobus has still to acknowledge some of it."""
        return self._left(1) > 0

    def left(self) -> int:
        """Return how many of its records Zerobus has not acknowledged."""
        return self._left(COUNTED_MAX)

    def undelivered(self) -> int:
        """Return how many records of the table left since then without being delivered.

        That is at least those of the station: a table may have several.
        """
        return self._gone() - self._gone_before

    def _gone(self) -> int:
        counters = self._reader.counters()
        scope = f"table:{self._place[0]}"
        return sum(counters.get((scope, name), 0) for name in _UNDELIVERED)

    def _left(self, at_most: int) -> int:
        # Read first: what is deleted meanwhile is in neither.
        acknowledged = self._spool.taken.acknowledged()
        return self._reader.left(self._place, self._moment, acknowledged, at_most)
