"""Waiting for Zerobus: until what a request stored is acknowledged, or all that a station has."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from collector.http.asgi import Receive
from collector.spool.watched import Watch


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
