"""The gRPC side: who may open a stream, on which table, and which streams are open.

Checks come in the order of the service: token, request, table, descriptor. A stream past the limit
of its connection never gets here: HTTP/2 itself holds it back, and its open times out.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
from grpc.aio import EOF

from collector.emulator.columns import from_body
from collector.emulator.commits import Committer, Log
from collector.emulator.faults import Plan
from collector.emulator.lake import Lake
from collector.emulator.options import RECORD_CALL_MAX_BYTES, EmulatorOptions
from collector.emulator.streams import Counts, Sink, Stream
from collector.emulator.tokens import Tokens
from collector.emulator.wire import METHOD, Refusal, Wire

WORKERS: Final = 4
"""Tables that commit at the same time."""

_ENVELOPE_BYTES: Final = 64 * 1024
"""What a call of the largest size needs around its records."""


class Zerobus:
    """The one method of the service, with the tables and the streams behind it."""

    def __init__(self, options: EmulatorOptions, plan: Plan, tokens: Tokens) -> None:
        self._options = options
        self._plan = plan
        self._tokens = tokens
        self._wire = Wire()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="emulator-commit")
        self._log = Log(options.log) if options.log else None
        self._lake = None if options.lake is None else Lake(options.lake, options.tables)
        self._committers: dict[str, Committer] = {}
        self._counts: dict[str, Counts] = {}
        self._streams: set[Stream] = set()
        self._stopping = False

    async def serve(self, address: str) -> tuple[grpc.aio.Server, int]:
        """Start a gRPC server; returns it and its port."""
        server = grpc.aio.server(
            options=[
                ("grpc.max_concurrent_streams", self._options.streams_per_connection),
                ("grpc.max_receive_message_length", RECORD_CALL_MAX_BYTES + _ENVELOPE_BYTES),
                # A port that is taken is an error, not a port to share.
                ("grpc.so_reuseport", 0),
                # Clients may send keepalive pings as often as they like.
                ("grpc.http2.max_ping_strikes", 0),
            ]
        )
        service, _, method = METHOD[1:].partition("/")
        # No deserializer: bytes come in and go out.
        methods = {method: grpc.stream_stream_rpc_method_handler(self._ephemeral_stream)}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, methods),),
        )
        port = (
            server.add_insecure_port(address)
            if self._options.cert is None
            else server.add_secure_port(address, _credentials(self._options))
        )
        await server.start()
        return server, port

    def review(self) -> None:
        """The plan was replaced."""
        for stream in self._streams:
            stream.review(self._plan)

    async def stop(self) -> None:
        """Commit and acknowledge all that was taken, then end the streams."""
        self._stopping = True
        for committer in self._committers.values():
            committer.hurry()
        await asyncio.gather(*(stream.stop() for stream in self._streams))
        for committer in self._committers.values():
            await committer.stop()
        self._workers.shutdown()
        if self._log is not None:
            self._log.close()

    def table(self, name: str) -> Mapping[str, Any] | None:
        """A table as Unity Catalog describes it."""
        table = None if self._lake is None else self._lake.tables.get(name)
        return None if table is None else table.described()

    async def define(self, name: str, body: object) -> None:
        """Make a table, or alter one as an ALTER TABLE does; raises ValueError if that can't be."""
        if self._lake is None:
            raise ValueError("with --count-only there are no tables")
        columns, fills = from_body(body)
        work = partial(self._lake.define, name, columns, fills)
        if name in self._committers:
            await self._committers[name].between(work)
        else:
            await asyncio.get_running_loop().run_in_executor(self._workers, work)
        for stream in self._streams:
            stream.altered(self._lake.tables[name])

    def stats(self) -> dict[str, dict[str, Any]]:
        """What each table holds, and what its streams did."""
        names = {*self._counts, *(self._lake.tables if self._lake else ())}
        return {name: self._stats(name) for name in sorted(names)}

    def _stats(self, name: str) -> dict[str, Any]:
        counts = self._counts.get(name) or Counts()
        table = self._lake.tables.get(name) if self._lake else None
        seen = table.seen if table else None
        committer = self._committers.get(name)
        return {
            "records": table.records if table else counts.taken,
            "distinct": seen.distinct if seen else None,
            "duplicates": seen.records - seen.distinct if seen else None,
            "taken": counts.taken,
            "acknowledged": counts.acknowledged,
            "messages": counts.messages,
            "bytes": counts.bytes,
            "commits": committer.commits if committer else 0,
            "streams_opened": counts.opened,
            "open_streams": counts.open,
            "ended": dict(counts.ended),
        }

    async def _ephemeral_stream(self, _requests: Any, context: Any) -> None:
        """One RPC: open, serve, and say how it ended."""
        counts, status = None, "CANCELLED"
        try:
            name, descriptor = await self._request(context)
            counts = self._counts.setdefault(name, Counts())
            sink = await self._sink(name, descriptor)
            stream = Stream(context, self._wire, name, counts, sink)
            self._streams.add(stream)
            counts.opened += 1
            counts.open += 1
            try:
                await stream.serve(self._plan, self._options.ack_delay)
            finally:
                counts.open -= 1
                self._streams.discard(stream)
            status = "OK"
        except Refusal as refusal:
            status = refusal.status.name
            await context.abort(refusal.status, refusal.text)
        finally:
            if counts is not None:
                counts.ended[status] += 1

    async def _request(self, context: Any) -> tuple[str, bytes]:
        """Check the open as far as the table; returns its name and the descriptor."""
        metadata = dict(context.invocation_metadata())
        why = self._tokens.refuses(str(metadata.get("authorization", "")))
        if why:
            # In place of headers: after them the SDK might find its open cut off, not refused.
            raise Refusal("UNAUTHENTICATED", f"Invalid token: {why}")
        # The SDK waits for the headers before it sends its open.
        await context.send_initial_metadata(())
        raw = await context.read()
        request = self._wire.request() if raw is EOF else self._wire.request.FromString(raw)
        if request.WhichOneof("payload") != "create_stream":
            raise Refusal("INVALID_ARGUMENT", "The first message must be create_stream")
        create = request.create_stream
        if self._stopping:
            raise Refusal("UNAVAILABLE", "The emulator is stopping")
        fault = self._plan.hit("refuse_open", create.table_name)
        if fault is not None:
            raise Refusal(fault.parameters["status"], fault.parameters["message"])
        if self._lake is not None and create.record_type != self._wire.proto:
            raise Refusal("UNIMPLEMENTED", "The emulator takes records of type PROTO only")
        return create.table_name, create.descriptor_proto

    async def _sink(self, name: str, descriptor: bytes) -> Sink | None:
        """Where the records go; raises Refusal if the descriptor does not fit the table."""
        if self._lake is None:
            return None
        table = await asyncio.get_running_loop().run_in_executor(
            self._workers, self._lake.table, name, descriptor
        )
        reader = table.reader(descriptor)
        if name not in self._committers:
            self._committers[name] = Committer(
                table, self._options.commit_interval, self._workers, self._log
            )
        return Sink(self._committers[name], reader, descriptor)


def _credentials(options: EmulatorOptions) -> grpc.ServerCredentials:
    """The certificate of the gRPC port."""
    pair = (_read(options.key), _read(options.cert))
    return grpc.ssl_server_credentials([pair])


def _read(path: Path | None) -> bytes:
    return b"" if path is None else path.read_bytes()
