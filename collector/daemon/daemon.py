"""The process around the line: signals, the tick, the watchdog, the end.

The main thread only waits and ticks, so that signals are answered at once. A thread that dies
ends the process loudly: a collector that runs on half of its threads would be believed.
"""

import faulthandler
import logging
import os
import resource
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Final, NoReturn

from collector import status
from collector.config import Config
from collector.daemon.announcement import Announcement
from collector.daemon.control import ControlSocket
from collector.daemon.heartbeat import Heartbeats
from collector.daemon.line import STOP_S, Line
from collector.daemon.notify import longer_start, notify, watchdog_interval_s
from collector.daemon.probes import Probes
from collector.daemon.reload import Reloads
from collector.daemon.snapshot import Snapshots
from collector.daemon.state import LineState
from collector.daemon.web import Web
from collector.errors import CollectorError, LockedError, SpoolDamagedError
from collector.http import Server, VitalSigns
from collector.logs import tell_repeats
from collector.operations import Scene
from collector.plan import plan
from collector.signals import Ending

_log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_REPORT_EVERY_S: Final = 5.0
_LOOK_AFTER_TICKS: Final = 10


def run(config: Config, line_type: type[Line] = Line) -> NoReturn:
    """Run the collector in the foreground until SIGTERM or SIGINT; ends the process.

    `line_type` lets the tests of a harness run a line that is wrong on purpose.

    Raises:
        ConfigError: before anything is opened.
        LockedError: another collector keeps the spool.
    """
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os.umask(0o077)
    # A core file would hold secrets.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _Daemon(config, line_type).run()


class _Daemon:
    """One run of the process."""

    def __init__(self, config: Config, line_type: type[Line]) -> None:
        self._signalled = Ending()
        self._dead_thread = False
        self._stopped = False
        threading.excepthook = self._on_dead_thread
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_hangup)
        self._is_to_reload = False
        for warning in config.warnings:
            _log.warning("%s", warning)
        compiled = plan(config)
        try:
            with longer_start():
                self._line = line_type(compiled, self._signalled.is_set)
        except LockedError:
            if self._signalled.is_set():
                self._exit(0)
            raise
        self._status = status.StatusFile(config.runtime_dir)
        self._control = ControlSocket(config.runtime_dir, self._scene)
        self._reloads = Reloads(self._line)
        self._server = Server()
        self._web = Web(self._line)
        self._state = LineState(self._line, self._reloads, self._server, self._web)
        self._signs = VitalSigns(Probes(self._state))
        self._snapshots = Snapshots(self._state)
        self._announcement = Announcement()
        self._heartbeats = Heartbeats(self._line)
        self._feed_every_s, self._fed_at = watchdog_interval_s(), 0.0
        self._standing: list[str] = []
        self._tick_error = ""
        self._ticks = 0
        self._snapshot: dict[str, Any] = {}
        self._reported: tuple[float, object] = (0.0, None)

    def _scene(self) -> Scene:
        return Scene(self._line.spool, self._line.config.path, self._line.drains)

    def run(self) -> NoReturn:
        """Run until a signal; whatever else ends the main thread ends the process at once."""
        try:
            self._follow_web()
            self._line.start()
            self._control.start()
            self._serve()
            self._tick()
            self._watch()
        except Exception:  # noqa: BLE001 - The top of the main thread.
            _log.critical("the collector ends", exc_info=True)
            self._exit(1)
        if self._dead_thread:
            self._exit(1)
        self._stop()
        self._exit(0)

    def _serve(self) -> None:
        self._server.start(self._line.config.metrics, self._signs)

    def _follow_web(self) -> None:
        self._web.follow(self._signs, self._state.look)

    def _watch(self) -> None:
        notify("READY=1")
        _log.info("ready: %d stations", len(self._line.config.stations))
        while not self._signalled.wait(_TICK_S):
            if self._is_to_reload:
                self._is_to_reload = False
                self._reload()
            self._tick()

    def _reload(self) -> None:
        before = self._line.config.metrics
        if not self._reloads.reload(self._tick):
            return
        if self._line.config.metrics != before:
            self._server.stop()
            self._serve()
        self._follow_web()

    def _tick(self) -> None:
        """What a second brings: deletes that wait for a commit, and signs of life."""
        error = ""
        self._ticks += 1
        # One that fails must not keep the others from their turn: least of all the report of it.
        spool = self._line.spool
        steps = (spool.tick, self._ticked, self._look_after, self._report, self._beat)
        for step in steps:
            try:
                step()
            except SpoolDamagedError as failed:
                _log.critical("%s", failed)
                self._exit(1)
            except CollectorError as failed:
                error = error or str(failed)
        if error and error != self._tick_error:
            _log.error("%s; trying again every second", error)
        self._tick_error = error
        tell_repeats()
        self._feed_watchdog()

    def _beat(self) -> None:
        if self._snapshot:
            self._heartbeats.tick(self._snapshot)

    def _ticked(self) -> None:
        self._state.ticked()
        self._web.tick(self._state.counted)

    def _look_after(self) -> None:
        if self._ticks % _LOOK_AFTER_TICKS == 0:
            self._line.drains.look_after(self._line.spool.reader.tables())

    def _report(self) -> None:
        """Write the status file when something has changed, and now and then as a sign of life."""
        now, changes = time.monotonic(), self._snapshots.changes()
        if changes == self._reported[1] and now - self._reported[0] < _REPORT_EVERY_S:
            return
        self._reported = (now, changes)
        snapshot = self._snapshot = self._snapshots.take()
        try:
            self._status.write(snapshot)
        except OSError as error:
            _log.warning("the status file can't be written: %s", error)
        notify("STATUS=" + status.line(snapshot))
        self._web.show(snapshot)
        self._announce(snapshot)

    def _announce(self, snapshot: dict[str, Any]) -> None:
        announcing = self._line.subscriber.announcing
        if announcing.topic and snapshot["broker"]["connected"]:
            said = self._announcement.due(snapshot, time.monotonic(), is_first=not announcing.said)
            announcing.said = said or announcing.said

    def _feed_watchdog(self) -> None:
        """Tell systemd that all is well, unless a loop stands still: then it restarts us."""
        standing = self._line.standing_still() + self._web.standing_still()
        if standing and standing != self._standing:
            _log.critical("%s: standing still", ", ".join(standing))
        self._standing = standing
        now, every_s = time.monotonic(), self._feed_every_s
        if every_s and now - self._fed_at >= every_s and not standing:
            notify("WATCHDOG=1")
            self._fed_at = now

    def _stop(self) -> None:
        notify("STOPPING=1")
        _log.info("stopping")
        deadline = time.monotonic() + STOP_S
        # Whatever hangs, the process is gone in time: what is stored is safe.
        guard = threading.Timer(STOP_S, lambda: self._exit(1))
        guard.daemon = True
        guard.start()
        self._stopped = True
        self._control.stop()
        self._server.stop()
        self._web.stop()
        self._state.stopping()
        try:
            self._line.stop(deadline)
        except CollectorError as error:
            _log.error("%s", error)
            self._exit(1)
        self._status.remove()
        _log.info("stopped")

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._signalled.is_set():
            self._exit(1)
        self._signalled.set()

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._is_to_reload = True

    def _on_dead_thread(self, arguments: threading.ExceptHookArgs) -> None:
        if self._stopped:
            return  # A drain that was still opening its stream when the spool was closed.
        name = arguments.thread.name if arguments.thread else "?"
        error = arguments.exc_value
        _log.critical("thread %s died: the collector ends", name, exc_info=error)
        self._dead_thread = True
        self._signalled.set()

    @staticmethod
    def _exit(code: int) -> NoReturn:
        """End without the interpreter's finalization: SDK threads may still be at work."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
