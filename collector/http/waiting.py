"""Waiting for Zerobus: until what a request stored is acknowledged, or all that a station has.

In an outage all who wait wait to the end of their time. So only some of the places of clients are
for them, and whoever is one too many is answered at once: the rest find a place all the time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from collector.http.asgi import Receive
from collector.http.serving.counts import Counts
from collector.spool.watched import Watch

WAITING_SHARE: Final = 1 / 2
"""The part of the places of clients that those may have who wait."""


class Waiters:
    """Those who wait, of `places` clients; for the loop of a server."""

    def __init__(self, places: int, counts: Counts) -> None:
        self._most = max(1, int(places * WAITING_SHARE))
        self._counts = counts

    async def wait(
        self, seconds: float, wanted: Callable[[], Awaitable[Any]], receive: Receive
    ) -> str:
        """Wait as `within` does, or not at all: then it returns why not."""
        if self._counts.awaiting >= self._most:
            self._counts.not_awaited += 1
            return (
                f"it was not waited for, since {self._most:,} requests wait already: no more than"
                " half of http.connections_max may"
            )
        self._counts.awaiting += 1
        try:
            await within(seconds, wanted(), receive)
        finally:
            self._counts.awaiting -= 1
        return ""


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
