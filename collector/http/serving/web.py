"""The server of the station over HTTP: a thread with a loop of its own.

It serves one ASGI app. A port that is taken, or a certificate that can't be read, must not keep the
collector from its work: it goes on without, says so, and tries again.
"""

import asyncio
import logging
import os
import threading
from contextlib import suppress
from typing import Any

from collector.config import Http
from collector.http.asgi import App
from collector.http.serving.connection import loop_factory
from collector.http.serving.connections import Deadlines
from collector.http.serving.counts import Counts
from collector.http.serving.door import CANCEL_S, TLS_END_S, CertificateError, Door

_log = logging.getLogger(__name__)


class WebServer:
    """Serves an app from the first `serve` to `stop`; may be started again.

    `problem` says why it is not served as it should be, or is empty. `loop` is there from `serve`
    to `stop`.
    """

    deadlines = Deadlines()
    stop_s = 3.0

    def __init__(self, counts: Counts) -> None:
        self.problem = ""
        self.is_listening = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._counts = counts
        self._thread: threading.Thread | None = None
        self._wanted: tuple[Http, App]
        self._woken = asyncio.Event()
        self._is_to_stop = False

    @property
    def is_running(self) -> bool:
        """Whether it serves, or tries to."""
        return self._thread is not None and self._thread.is_alive()

    def serve(self, options: Http, app: App) -> None:
        """Listen, or go on trying to; one that runs takes the options up without a pause."""
        self._wanted = options, app
        if self.is_running:
            self._wake()
        else:
            self._start()

    def stop(self) -> None:
        """Take no more requests, end what waits or streams, and give the rest a moment."""
        if self._thread is None:
            return
        self._is_to_stop = True
        self._wake()
        self._thread.join(self.stop_s + 2 * CANCEL_S + TLS_END_S)
        if self._thread.is_alive():
            _log.warning("http: a request does not end: its thread is left behind")
        self._thread, self.loop = None, None

    def _wake(self) -> None:
        assert self.loop is not None  # noqa: S101 - There is a thread.
        with suppress(RuntimeError):  # The server has failed, and has said so.
            self.loop.call_soon_threadsafe(self._woken.set)

    def _start(self) -> None:
        self.problem, self._is_to_stop = "", False
        self._woken = asyncio.Event()
        runner = asyncio.Runner(loop_factory=loop_factory())
        self.loop = runner.get_loop()
        self._thread = threading.Thread(target=self._run, args=(runner,), name="web", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # At the limit of tasks.
            self._thread, self.loop = None, None
            runner.close()
            self._say(f"http: no thread can be started: {error}: reload when there is room")

    def _run(self, runner: asyncio.Runner) -> None:
        try:
            with runner:
                runner.get_loop().set_exception_handler(_complain)
                runner.run(self._serve())
        except Exception:  # noqa: BLE001 - The line goes on without it.
            self.problem = "http: the server has failed; the log says how"
            _log.exception("http: the server has failed")
        finally:
            self.is_listening = False

    async def _serve(self) -> None:
        door, served = Door(self.deadlines, self._counts), None
        while not self._is_to_stop:
            self._woken.clear()
            wanted = self._wanted
            if wanted is not served and self._follow(door, *wanted):
                served = wanted
            self.is_listening = door.is_open
            door.look()
            await _wait(self._woken, self.deadlines.look_s)
        door.close()
        self.is_listening = False
        await door.see_off(self.stop_s)

    def _follow(self, door: Door, options: Http, app: App) -> bool:
        """Serve by other options, if that can be; else it is tried again at the next look."""
        try:
            is_elsewhere = door.serve(options, app)
        except OSError as error:
            self._say(f"{_where(options, error)}; trying again every second")
            return False
        if is_elsewhere or self.problem:
            scheme = "https" if options.cert_file else "http"
            _log.info("%s://%s: records are taken, /ui shows the line", scheme, options.listen)
        self.problem = ""
        return True

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem


def _where(options: Http, error: OSError) -> str:
    if isinstance(error, CertificateError):
        return f"http.cert_file: {error}"
    what = os.strerror(error.errno) if error.errno else str(error)
    return (
        f"http.listen: {options.listen}: {what}: if another program has it, give this one another"
    )


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, OSError):  # The end of a connection; a failed handshake is one as well.
        _log.debug("%s: %s", context["message"], error)
    else:
        _log.error("http: %s", context["message"], exc_info=error)
