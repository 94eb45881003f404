"""The emulator as a whole: builds the parts, runs them in one thread, and stops them in order."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

from collector.emulator.faults import Plan
from collector.emulator.link import Link
from collector.emulator.options import EmulatorOptions, parse_address
from collector.emulator.rpc import Zerobus
from collector.emulator.tokens import Tokens
from collector.emulator.web import Web
from collector.errors import CollectorError

CALL_MAX_S: Final = 60.0
"""A call from another thread; more means that the emulator's loop is stuck."""

_SUMMED: Final = (
    "records",
    "taken",
    "acknowledged",
    "messages",
    "bytes",
    "commits",
    "streams_opened",
    "open_streams",
)
_Result = TypeVar("_Result")


class Emulator:
    """A local Zerobus: `start` it, use `endpoint` and `workspace_url`, `stop` it.

    Its event loop runs in a thread of its own; every method may be called from any other. Ports are
    known after `start`.
    """

    def __init__(self, options: EmulatorOptions) -> None:
        """Raise PlanError if the fault plan of the options is none."""
        self._options = options
        self._plan = Plan(options.faults)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._grpc_host, self._grpc_wanted = parse_address(options.grpc)
        self._http_host, self._http_wanted = parse_address(options.http)
        self._zerobus: Zerobus
        self._web: Web
        self._link: Link
        self._server: Any = None
        self.grpc_port = 0
        self.http_port = 0

    def __repr__(self) -> str:
        state = "running" if self._thread.is_alive() else "not running"
        return f"<Emulator {self.endpoint} {self.workspace_url} {state}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """What a client takes for the Zerobus endpoint."""
        return f"{self._scheme}://{_host(self._grpc_host)}:{self.grpc_port}"

    @property
    def workspace_url(self) -> str:
        """What a client takes for the workspace's URL."""
        return f"{self._scheme}://{_host(self._http_host)}:{self.http_port}"

    def start(self) -> None:
        """Return when both ports listen; raises CollectorError if that can't be."""
        self._thread.start()
        try:
            # A lake with many rows is read first: that takes as long as it takes.
            self._call(self._start(), None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Commit and acknowledge what was taken, then close the ports."""
        if self._thread.is_alive():
            self._call(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def set_faults(self, plan: Mapping[str, Any]) -> None:
        """Replace the fault plan, as `PUT /faults` does; `{}` lifts all faults."""

        async def replace() -> None:
            self._replace(plan)

        self._call(replace())

    def faults(self) -> dict[str, Any]:
        """The fault plan, as `GET /faults` shows it."""

        async def read() -> dict[str, Any]:
            return self._plan.as_json()

        return self._call(read())

    def stats(self) -> dict[str, Any]:
        """The figures, as `GET /stats` shows them."""

        async def read() -> dict[str, Any]:
            return self._stats()

        return self._call(read())

    def define_table(self, name: str, columns: Sequence[Mapping[str, Any]]) -> None:
        """Make a table or alter it, as `PUT /tables/NAME` does; raises ValueError."""
        self._call(self._zerobus.define(name, {"columns": list(columns)}))

    @property
    def _scheme(self) -> str:
        return "http" if self._options.cert is None else "https"

    def _run(self) -> None:
        """The thread: run the loop until it is stopped, then close it."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def _call(
        self, work: Coroutine[Any, Any, _Result], timeout: float | None = CALL_MAX_S
    ) -> _Result:
        """Run a coroutine in the emulator's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    async def _start(self) -> None:
        options = self._options
        tokens = Tokens(options.client_id, options.client_secret)
        self._zerobus = Zerobus(options, self._plan, tokens)
        self._server, inner = await self._zerobus.serve("127.0.0.1:0")
        self._link = Link(self._plan, inner)
        self._web = Web(
            self._plan,
            tokens,
            options.token_ttl,
            self._zerobus.table,
            self._stats,
            self._replace,
            self._zerobus.define,
        )
        try:
            await self._link.start(self._grpc_host, self._grpc_wanted)
            self.grpc_port = self._link.port
            self.http_port = await self._web.start(
                self._http_host, self._http_wanted, _tls(options)
            )
        except OSError as error:
            raise CollectorError(
                f"the emulator can't listen: {error.strerror or error}",
                "Is another one running? Choose other ports with --grpc and --http.",
            ) from error

    async def _stop(self) -> None:
        if self._server is None:
            return
        if hasattr(self, "_web"):
            await self._web.stop()
        await self._zerobus.stop()
        await self._server.stop(grace=1.0)
        await self._link.stop()

    def _replace(self, plan: object) -> None:
        self._plan.replace(plan)
        self._zerobus.review()

    def _stats(self) -> dict[str, Any]:
        tables = self._zerobus.stats()
        return {
            "tables": tables,
            "totals": {key: sum(one[key] for one in tables.values()) for key in _SUMMED},
            "connections": {"open": len(self._link.open), "opened": self._link.connections},
            "tokens_issued": self._web.tokens_issued,
        }


def _host(host: str) -> str:
    """A host in a URL; what listens everywhere is reached at loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - Compared only.
    return f"[{host}]" if ":" in host else host


def _tls(options: EmulatorOptions) -> ssl.SSLContext | None:
    """The certificate of the HTTP port."""
    if options.cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    return context
