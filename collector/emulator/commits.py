"""Group commit: what the streams of one table took since the last commit becomes one Delta commit.

Order: Delta commit, then the log with its fsync, then the acks. So an acked record is in both. A
commit that fails ends the streams whose records it held; they were not acked, and are sent again.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from collector.emulator.lake import Table
from collector.emulator.options import PENDING_MAX_BYTES
from collector.emulator.rows import RowReader
from collector.emulator.wire import Refusal

GATHER_S: Final = 0.02
"""After a pause, the first record waits this long for others; a commit costs about as much."""


class Waiting(Protocol):
    """What took a message and waits for its commit: a stream."""

    def durable(self, offset: int, arrived: float, records: int) -> None:
        """The message of an offset is in the Delta log."""

    def end(self, refusal: Refusal) -> None:
        """The commit failed."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a stream took; `records` are its raw records if there is a log."""

    stream: Waiting
    offset: int
    arrived: float
    size: int
    reader: RowReader
    rows: Sequence[Any]
    records: Sequence[bytes]


class Log:
    """The acknowledged records, one JSON line each: the oracle of a reliability test."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        if self._file.tell() and not _ends_with_newline(path):
            # A kill cut the last line in two; it was not acked.
            self._file.write("\n")
        self._lock = threading.Lock()

    def append(self, table: str, group: Sequence[Taken]) -> None:
        """Write the records of a commit; when it returns they are on disk."""
        lines = [
            json.dumps({"table": table, "sha": hashlib.sha256(record).hexdigest(), "row": row})
            for taken in group
            for record, row in zip(taken.records, taken.reader.json(taken.rows), strict=True)
        ]
        with self._lock:
            self._file.write("\n".join([*lines, ""]))
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Committer:
    """The loop of one table: gather, commit in a worker thread, tell the streams."""

    def __init__(self, table: Table, interval: float, workers: Executor, log: Log | None) -> None:
        self.table = table
        self.commits = 0
        self._interval = interval
        self._workers = workers
        self._log = log
        self._pending: list[Taken] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._hurry = asyncio.Event()
        self._committing = asyncio.Lock()
        self._task = asyncio.create_task(self._run())

    @property
    def keeps_records(self) -> bool:
        """The raw records are needed for the log."""
        return self._log is not None

    async def take(self, taken: Taken) -> None:
        """Put a message into the next commit; waits while too much is pending."""
        while self._pending_bytes > PENDING_MAX_BYTES:
            self._room.clear()
            await self._room.wait()
        self._pending.append(taken)
        self._pending_bytes += taken.size
        self._wake.set()

    def hurry(self) -> None:
        """Commit without waiting from here on: the emulator stops."""
        self._hurry.set()

    async def between(self, work: Callable[[], None]) -> None:
        """Do something to the table while nothing is committed to it."""
        async with self._committing:
            await asyncio.get_running_loop().run_in_executor(self._workers, work)

    async def stop(self) -> None:
        """End the loop; what is still pending is not committed."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Commit for ever."""
        loop = asyncio.get_running_loop()
        started = float("-inf")
        while True:
            await self._wake.wait()
            due = max(started + self._interval, loop.time() + min(GATHER_S, self._interval))
            await sleep_unless(self._hurry, due - loop.time())
            started = loop.time()
            group, self._pending = self._pending, []
            self._pending_bytes = 0
            self._wake.clear()
            self._room.set()
            try:
                async with self._committing:
                    await loop.run_in_executor(self._workers, self._commit, group)
            except Exception as error:  # noqa: BLE001 - Any failure is the streams' to know.
                failed = Refusal("INTERNAL", f"Commit to {self.table.name} failed: {error}")
                for taken in group:
                    taken.stream.end(failed)
                continue
            self.commits += 1
            for taken in group:
                taken.stream.durable(taken.offset, taken.arrived, len(taken.rows))

    def _commit(self, group: Sequence[Taken]) -> None:
        """Commit a group and log it, in a worker thread."""
        batches = []
        for reader in dict.fromkeys(taken.reader for taken in group):
            rows = [row for taken in group if taken.reader is reader for row in taken.rows]
            batches.append(reader.arrow(rows, self.table.columns))
        self.table.append(batches)
        if self._log is not None:
            self._log.append(self.table.name, group)


async def sleep_unless(event: asyncio.Event, seconds: float) -> None:
    """Sleep, unless an event is set or becomes so."""
    with contextlib.suppress(TimeoutError):
        # Not wait_for: in Python 3.11 that swallows a cancellation when the event comes with it.
        async with asyncio.timeout(max(seconds, 0)):
            await event.wait()


def check_range(reader: RowReader, rows: Sequence[Any], table: Table) -> None:
    """Raise ValueError if a value does not fit a narrow column; others hold all that protobuf has.

    Only what would make the commit fail is worth a conversion at arrival.
    """
    if not table.narrow:
        return
    try:
        reader.arrow(rows, table.columns)
    except (pa.ArrowInvalid, OverflowError) as error:
        raise ValueError(f"value out of range: {error}") from error


def _ends_with_newline(path: Path) -> bool:
    """Whether the last line of a file is whole."""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
