"""One EphemeralStream after its open: take messages, acknowledge what is durable, end.

One coroutine reads and one writes. What breaks a rule of the service ends the RPC at arrival, and
the client hears nothing more of what was not acknowledged by then. The plan is asked at each step,
so that faults act on streams that are open already.
"""

import asyncio
import contextlib
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from grpc.aio import EOF

from collector.emulator.commits import Committer, Taken, check_range, sleep_unless
from collector.emulator.faults import Fault, Plan
from collector.emulator.lake import Table
from collector.emulator.rows import RowReader
from collector.emulator.wire import Refusal, Wire

COALESCE_S: Final = 0.02
"""Acks that are due within this time go as one: the SDK's cost is per ack."""

STOP_S: Final = 5.0
"""A stream that can't be acknowledged by then is ended without it when the emulator stops."""

_AGED: Final = Refusal("UNAVAILABLE", "Stream timeout reached. Error Code: 6002")


@dataclass(slots=True)
class Counts:
    """What the streams of one table did since the emulator started."""

    opened: int = 0
    open: int = 0
    messages: int = 0
    bytes: int = 0
    taken: int = 0
    acknowledged: int = 0
    ended: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Sink:
    """Where the records of a stream go, and what reads them: its descriptor's reader."""

    committer: Committer
    reader: RowReader
    descriptor: bytes


class Stream:
    """One open stream; without a sink it only counts."""

    def __init__(
        self, context: Any, wire: Wire, table: str, counts: Counts, sink: Sink | None
    ) -> None:
        self._context = context
        self._wire = wire
        self._table = table
        self._counts = counts
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._opened_at = self._loop.time()
        self._end: asyncio.Future[Refusal] = self._loop.create_future()
        self._age: asyncio.TimerHandle | None = None
        self._signalled = False
        self._messages = 0
        self._acked = 0
        self._durable: deque[tuple[float, int, int]] = deque()
        self._progress = asyncio.Event()
        self._settled = asyncio.Event()
        self._stopping = asyncio.Event()
        self._writing = asyncio.Lock()

    async def serve(self, plan: Plan, ack_delay: float) -> None:
        """Run the stream until the client is done; raises Refusal if it ends otherwise."""
        await self._write(self._wire.opened(str(uuid.uuid4())))
        self.review(plan)
        taking = asyncio.create_task(self._take(plan))
        acknowledging = asyncio.create_task(self._acknowledge(plan, ack_delay))
        tasks = [taking, acknowledging]
        try:
            ends: list[asyncio.Future[Any]] = [*tasks, self._end]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._end.done():
                raise self._end.result()
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            if self._age is not None:
                self._age.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def review(self, plan: Plan) -> None:
        """Look at the age that the plan grants; call it when the plan was replaced."""
        if self._age is not None:
            self._age.cancel()
        fault = plan.find("max_age", self._table)
        if fault is not None:
            ends = self._opened_at + fault.parameters["seconds"]
            self._age = self._loop.call_at(ends, self._age_out, fault)

    def altered(self, table: Table) -> None:
        """The table has other columns: go on with them, or end if the descriptor does not fit."""
        if self._sink is None or self._sink.committer.table is not table:
            return
        try:
            self._sink = replace(self._sink, reader=table.reader(self._sink.descriptor))
        except Refusal as refusal:
            self.end(refusal)

    def durable(self, offset: int, arrived: float, records: int) -> None:
        """The message of an offset is in the Delta log."""
        self._durable.append((arrived, offset, records))
        self._progress.set()

    def end(self, refusal: Refusal) -> None:
        """End the stream with a status; the first one counts."""
        if not self._end.done():
            self._end.set_result(refusal)

    async def stop(self) -> None:
        """Take nothing more, acknowledge what was taken without delay, and end."""
        self._stopping.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._settle()
        self.end(Refusal("UNAVAILABLE", "The emulator is stopping"))

    def _age_out(self, fault: Fault) -> None:
        if fault.live():
            fault.hits += 1
            self.end(_AGED)

    async def _take(self, plan: Plan) -> None:
        """Take messages until the client is done, then wait until all is acknowledged."""
        while (raw := await self._context.read()) is not EOF:
            if self._stopping.is_set():
                return await self._end_only()
            await self._take_one(raw, plan)
            self._counts.messages += 1
            self._counts.bytes += len(raw)
            self._messages += 1
            await self._faults(plan)
        await self._settle()
        return None

    async def _take_one(self, raw: bytes, plan: Plan) -> None:
        """Check a message, and hand it to the commit; its number is its offset."""
        request = self._wire.request.FromString(raw)
        kind = request.WhichOneof("payload")
        if kind not in ("ingest_record", "ingest_record_batch"):
            raise Refusal("INVALID_ARGUMENT", "Expected records after the open")
        message = getattr(request, kind)
        if message.offset_id != self._messages:
            text = f"Offset {message.offset_id} out of order; expected {self._messages}"
            raise Refusal("INVALID_ARGUMENT", text)
        arrived = self._loop.time()
        if self._sink is None:
            count = _count(message)
            self._counts.taken += count
            self.durable(self._messages, arrived, count)
            return
        rows, records = self._read(message, self._sink)
        for fault in plan.all("poison", self._table):
            if self._sink.reader.holds(
                rows, fault.parameters["column"], fault.parameters["equals"]
            ):
                fault.hits += 1
                raise Refusal("INVALID_ARGUMENT", "Record rejected")
        self._counts.taken += len(rows)
        taken = Taken(self, self._messages, arrived, len(raw), self._sink.reader, rows, records)
        await self._sink.committer.take(taken)

    def _read(self, message: Any, sink: Sink) -> tuple[Any, Any]:
        """The rows of a message, and its raw records if they are needed."""
        kind = message.WhichOneof("record" if hasattr(message, "json_record") else "batch")
        reader = sink.reader
        try:
            if kind == "proto_encoded_record":
                records: Sequence[bytes] = [message.proto_encoded_record]
                rows = reader.one(message.proto_encoded_record)
            elif kind == "proto_encoded_batch":
                batch = message.proto_encoded_batch
                rows = reader.many(batch.SerializeToString())
                records = batch.records if sink.committer.keeps_records else ()
            else:
                raise Refusal("INVALID_ARGUMENT", "Record type differs from that of the open")
            check_range(reader, rows, sink.committer.table)
        except ValueError as error:
            raise Refusal("INVALID_ARGUMENT", f"Bad record: {error}") from error
        return rows, records

    async def _faults(self, plan: Plan) -> None:
        """What the plan does to a stream that has taken so many messages."""
        for fault in plan.all("close_signal", self._table):
            if not self._signalled and self._messages >= fault.parameters["after"]:
                fault.hits += 1
                self._signalled = True
                await self._write(self._wire.close_signal(fault.parameters["seconds"]))
                self._loop.call_later(fault.parameters["seconds"], self.end, _AGED)
        for fault in plan.all("abort", self._table):
            if self._messages >= fault.parameters["after"]:
                fault.hits += 1
                raise Refusal(fault.parameters["status"], fault.parameters["message"])

    async def _acknowledge(self, plan: Plan, ack_delay: float) -> None:
        """Acknowledge what is durable, each message so long after its arrival."""
        while True:
            while not self._durable:
                self._progress.clear()
                await self._progress.wait()
            delay = await self._due(self._durable[0][0], plan, ack_delay)
            horizon = self._loop.time() + COALESCE_S - delay
            offset, records = 0, 0
            while self._durable and self._durable[0][0] <= horizon:
                _, offset, more = self._durable.popleft()
                records += more
            wrong = plan.hit("wrong_ack", self._table)
            ack = self._wire.ack(offset + (wrong.parameters["ahead"] if wrong else 0))
            await self._write(ack)
            if plan.hit("duplicate_ack", self._table):
                await self._write(ack)
            self._counts.acknowledged += records
            self._acked = offset + 1
            self._settled.set()

    async def _due(self, arrived: float, plan: Plan, ack_delay: float) -> float:
        """Wait until the ack of a message is due; returns the delay that applied."""
        while True:
            if plan.find("silence", self._table):
                await plan.wait()
                continue
            late = plan.find("late_ack", self._table)
            delay = ack_delay + (late.parameters["seconds"] if late else 0.0)
            if self._stopping.is_set():
                return 0.0
            left = arrived + delay - self._loop.time()
            if left <= 0:
                return delay
            await sleep_unless(self._stopping, left)

    async def _settle(self) -> None:
        """Wait until all that was taken is acknowledged."""
        while self._acked < self._messages:
            self._settled.clear()
            await self._settled.wait()

    async def _end_only(self) -> None:
        """Wait for the end that comes from outside."""
        await asyncio.wait([self._end])

    async def _write(self, response: bytes) -> None:
        async with self._writing:
            await self._context.write(response)


def _count(message: Any) -> int:
    """How many records a message carries, whatever their type."""
    kind = message.WhichOneof("batch") if hasattr(message, "json_batch") else None
    return len(getattr(message, kind).records) if kind else 1
