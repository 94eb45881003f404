"""The line in front of the gRPC port: it can go away, and it can be slow.

A byte proxy between the public port and the gRPC server's own one on loopback. It knows nothing of
HTTP/2 or TLS, so that what it does looks to a client like the network. The plan's
`refuse_connections` closes the port and resets what is connected; `slow_link` reads no faster than
so many bytes a second, all connections together, so that the sender feels it.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Final

from collector.emulator.faults import Plan

SLOW_BUFFER_BYTES: Final = 16 * 1024
"""The receive buffer of a connection on a slow link: as little as makes sense."""

_SLICE_S: Final = 0.05
_RETRY_S: Final = 0.05
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close sends RST."""


class Link:
    """The public port; start it once, and it follows the plan until it is stopped."""

    def __init__(self, plan: Plan, upstream: int) -> None:
        self.plan = plan
        self.upstream = upstream
        self.host = ""
        self.port = 0
        self.connections = 0
        self.open: set[Inbound] = set()
        self._server: asyncio.Server | None = None
        self._free_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError if the port is taken."""
        self.host, self.port = host, port
        await self._listen()
        self.spawn(self._follow())

    async def stop(self) -> None:
        """Close the port and all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that ends with the link."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def spend(self, size: int, bytes_per_second: int) -> None:
        """Wait until the slow link has carried so many bytes."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size / bytes_per_second
        await asyncio.sleep(self._free_at - now)

    async def _follow(self) -> None:
        """Open and close the port as the plan says."""
        while True:
            refused = self.plan.find("refuse_connections") is not None
            if refused and self._server is not None:
                self._close()
            elif not refused and self._server is None:
                try:
                    await self._listen()
                except OSError:
                    # Another program has the port for a moment.
                    await asyncio.sleep(_RETRY_S)
                    continue
            await self.plan.wait()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Inbound(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for inbound in list(self.open):
            inbound.reset()


class Inbound(asyncio.Protocol):
    """A client's connection; it reads nothing until the one behind it stands."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._outbound: Outbound | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the gRPC server."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - It is a TCP connection.
        self.transport = transport
        # In the next turn: the asyncio of Python 3.11.2, Debian's, starts to read after this one.
        asyncio.get_running_loop().call_soon(transport.pause_reading)
        self._link.open.add(self)
        self._link.connections += 1
        self._link.spawn(self._connect())

    def data_received(self, data: bytes) -> None:
        """Carry bytes to the server, at once or slowly."""
        assert self._outbound is not None  # noqa: S101 - Reading begins after it stands.
        if self._link.plan.find("slow_link") is None:
            self._outbound.transport.write(data)
        else:
            self.transport.pause_reading()
            self._link.spawn(self._trickle(data, self._outbound))

    def pause_writing(self) -> None:
        """The client is slow: read no more from the server."""
        if self._outbound is not None:
            self._outbound.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._outbound is not None:
            self._outbound.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the connection behind this one."""
        self._link.open.discard(self)
        if self._outbound is not None:
            self._outbound.transport.close()

    def reset(self) -> None:
        """Drop the connection, as a router that reboots does."""
        connection = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    async def _connect(self) -> None:
        """Open the connection behind this one, then start to read."""
        loop = asyncio.get_running_loop()
        if self._link.plan.find("slow_link"):
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
        try:
            _, self._outbound = await loop.create_connection(
                lambda: Outbound(self), "127.0.0.1", self._link.upstream
            )
        except OSError:
            self.reset()
            return
        if self.transport.is_closing():
            self._outbound.transport.close()
        else:
            self.transport.resume_reading()

    async def _trickle(self, data: bytes, outbound: "Outbound") -> None:
        """Carry bytes at the pace of the slow link, then read on."""
        while data and not self.transport.is_closing():
            slow = self._link.plan.find("slow_link")
            size = len(data)
            if slow is not None:
                pace = slow.parameters["bytes_per_second"]
                size = max(1, int(pace * _SLICE_S))
                await self._link.spend(min(size, len(data)), pace)
            outbound.transport.write(data[:size])
            data = data[size:]
        if not self.transport.is_closing():
            self.transport.resume_reading()


class Outbound(asyncio.Protocol):
    """The connection to the gRPC server that belongs to a client's one."""

    def __init__(self, inbound: Inbound) -> None:
        self._inbound = inbound
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stand ready."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - It is a TCP connection.
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Carry bytes to the client."""
        self._inbound.transport.write(data)

    def pause_writing(self) -> None:
        """The server is slow: read no more from the client."""
        self._inbound.transport.pause_reading()

    def resume_writing(self) -> None:
        """The server has caught up."""
        self._inbound.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """End the client's connection, once it has what was sent."""
        self._inbound.transport.close()
