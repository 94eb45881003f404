"""The order of events: start the parts, publish, take Zerobus away, drain, stop, count."""

import http.client
import json
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from collector import status
from collector.demo.balance import Balance, next_number, take_balance
from collector.demo.parts import (
    Part,
    collector_part,
    find_mosquitto,
    start_broker,
    start_zerobus,
)
from collector.demo.sample import write_sample
from collector.demo.sensors import TABLES, Sensors
from collector.demo.view import View, lines_of
from collector.errors import CollectorError
from collector.signals import Ending
from collector.spool import SpoolReader
from collector.subscriber.publisher import Publisher

_TICK_S: Final = 0.02
_READY_S: Final = 30.0
_PUBACK_S: Final = 10.0
_DRAIN_S: Final = 30.0
_OUTAGE_FIRST_S: Final = 10.0
_BACKOFF_MAX_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How long (None: until a signal), how many messages a second, how long without Zerobus."""

    lake: Path
    seconds: float | None
    rate: float
    outage_s: float
    embedded: bool


class Demo:
    """One run. A context: whatever happens, no process is left behind."""

    def __init__(self, options: DemoOptions, view: View) -> None:
        self._options = options
        self._view = view
        self._ended = Ending()
        self.folder = Path(tempfile.mkdtemp(prefix="collector-demo-"))
        self._parts: list[Part] = []
        self._workspace_url = ""
        self._port = 0
        self._outage_until = 0.0
        self._mosquitto = None if options.embedded else find_mosquitto()
        self.broker = self._mosquitto or "an embedded one (amqtt, MQTT 3.1.1)"

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.kill()

    def run(self) -> Balance:
        """Run until the time is over or a signal came, then drain and count."""
        self._start_parts()
        first_number = next_number(self._options.lake)
        publisher = Publisher("127.0.0.1", self._port, "demo-sensors")
        sensors = Sensors(publisher, first_number, self._options.rate)
        with self._view:
            self._publish(sensors)
            if not publisher.wait(_PUBACK_S):
                raise CollectorError(f"the broker left {publisher.waiting} messages without answer")
            publisher.close()
            if self._outage_until > time.monotonic():
                # Ended early, by a signal.
                self._set_outage(0.0)
            self._drain(publisher.acknowledged)
        for part in reversed(self._parts):
            part.stop()
        spool = self.folder / "state" / "spool.db"
        return take_balance(publisher.acknowledged, first_number, self._options.lake, spool)

    def forget(self) -> None:
        """Remove the folder of the run: nothing in it is needed any more."""
        shutil.rmtree(self.folder)

    # -- starting ------------------------------------------------------------------------------

    def _start_parts(self) -> None:
        broker, self._port = start_broker(self._mosquitto, self.folder)
        self._parts.append(broker)
        zerobus, endpoint, self._workspace_url = start_zerobus(self._options.lake, self.folder)
        self._parts.append(zerobus)
        # amqtt takes the properties of an MQTT 5 CONNECT for a long client id, and waits for the
        # rest of it instead of answering that it does not know 5.
        protocol = "auto" if self._mosquitto else "3.1.1"
        config = write_sample(self.folder, self._port, protocol, endpoint, self._workspace_url)
        daemon = collector_part("daemon", ["run", "--config", str(config)], self.folder)
        daemon.start()
        self._parts.append(daemon)
        self._wait_for_grants(daemon)

    def _wait_for_grants(self, daemon: Part) -> None:
        """Wait until the broker keeps messages for the daemon: before, it would drop them."""
        spool = self.folder / "state" / "spool.db"
        deadline = time.monotonic() + _READY_S
        while not spool.exists() or len(_granted(spool)) < len(TABLES):
            daemon.check()
            if time.monotonic() > deadline or self._ended.wait(0.05):
                raise CollectorError(f"the daemon is not ready:\n{daemon.log()}")

    # -- running -------------------------------------------------------------------------------

    def _publish(self, sensors: Sensors) -> None:
        started = shown = time.monotonic()
        outage_at = self._outage_at(started)
        seconds = self._options.seconds
        while not self._ended.wait(_TICK_S):
            now = time.monotonic()
            if seconds is not None and now - started >= seconds:
                break
            sensors.tick()
            if now >= outage_at:
                self._set_outage(self._options.outage_s)
                outage_at = float("inf")
            if now - shown >= self._view.every_s:
                shown = now
                self._show(now - started, self._outage_note(now))
        self._started = started

    def _drain(self, published: int) -> None:
        """Wait until everything that was published went through, or for so long in vain."""
        now = time.monotonic()
        # After an outage the drain's next try may be as far away as the outage was long.
        deadline = now + _DRAIN_S + min(self._options.outage_s, _BACKOFF_MAX_S)
        while now < deadline:
            snapshot = self._show(now - self._started, "publishing has ended: draining")
            backlog = sum(table.get("spooled", 0) for table in snapshot["tables"].values())
            if snapshot["messages"].get("received", 0) >= published and not backlog:
                return
            time.sleep(0.5)
            now = time.monotonic()

    def _show(self, seconds: float, note: str) -> dict[str, Any]:
        for part in self._parts:
            part.check()
        snapshot = status.read(self.folder / "state")
        self._view.show(seconds, lines_of(snapshot), note)
        return snapshot

    # -- the outage ----------------------------------------------------------------------------

    def _outage_at(self, started: float) -> float:
        options = self._options
        if not options.outage_s:
            return float("inf")
        if options.seconds is None:
            return started + _OUTAGE_FIRST_S
        return started + (options.seconds - options.outage_s) / 2

    def _set_outage(self, seconds: float) -> None:
        """Take Zerobus away for so long, by the fault plan of the emulator; 0 gives it back."""
        fault = {"fault": "refuse_connections", "for_seconds": seconds}
        plan = {"faults": [fault] if seconds else []}
        connection = http.client.HTTPConnection(urlsplit(self._workspace_url).netloc, timeout=10)
        try:
            connection.request("PUT", "/faults", json.dumps(plan))
            answer = connection.getresponse()
            if answer.status != http.HTTPStatus.OK:
                raise CollectorError(f"the fault plan was refused: {answer.read().decode()}")
        finally:
            connection.close()
        self._outage_until = time.monotonic() + seconds

    def _outage_note(self, now: float) -> str:
        left = self._outage_until - now
        return f"OUTAGE: Zerobus refuses connections, {left:.0f} s more" if left > 0 else ""

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._ended.is_set():
            raise KeyboardInterrupt
        self._ended.set()


def _granted(spool: Path) -> dict[str, int]:
    """What the broker granted the daemon; nothing while the file is being made."""
    try:
        reader = SpoolReader(spool)
    except CollectorError:
        return {}
    try:
        return reader.granted()
    except CollectorError:
        return {}
    finally:
        reader.close()
