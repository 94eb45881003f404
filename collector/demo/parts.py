"""The processes of the demonstration: started, watched, and stopped by their own process id.

Each has a session of its own, so that Ctrl-C reaches the demonstration alone, which then ends them
in order; each writes to a log of its own in the folder of the run.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from collector.errors import CollectorError

_READY_S: Final = 30.0
_STOP_S: Final = 30.0
_TAIL_LINES: Final = 15

_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1000
max_queued_messages 0
"""


class Part:
    """A child process and its log."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        # The SDK would take even loopback through a proxy.
        environment = {**os.environ, "no_proxy": "127.0.0.1,localhost"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise CollectorError when the process has ended, with the end of its log."""
        if self._process is not None and self._process.poll() is not None:
            tail = "\n".join(self.log().splitlines()[-_TAIL_LINES:])
            raise CollectorError(
                f"{self.name} ended with exit code {self._process.returncode}:\n{tail}"
            )

    def log(self) -> str:
        """What the process has written."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End the process; one that doesn't end is killed."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def collector_part(name: str, arguments: list[str], folder: Path) -> Part:
    """Return a part that runs one of our own commands."""
    return Part(name, [sys.executable, "-m", "collector", *arguments], folder)


def find_mosquitto() -> str | None:
    """Find mosquitto; Debian puts it where the PATH of a plain user doesn't look."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")


def start_broker(mosquitto: str | None, folder: Path) -> tuple[Part, int]:
    """Start mosquitto, or the embedded broker, on a free port of loopback."""
    port = _free_port()
    arguments = [sys.executable, "-m", "collector.demo.broker", str(port)]
    if mosquitto is not None:
        file = folder / "mosquitto.conf"
        # Started as root, mosquitto would become a user that can't write here.
        file.write_text(_MOSQUITTO.format(port=port, user=getpass.getuser(), folder=folder))
        arguments = [mosquitto, "-c", str(file)]
    broker = Part("broker", arguments, folder)
    broker.start()
    deadline = time.monotonic() + _READY_S
    while not _answers(port):
        _wait_on(broker, deadline)
    return broker, port


def start_zerobus(lake: Path, folder: Path) -> tuple[Part, str, str]:
    """Start the local Zerobus; returns its endpoint and its workspace URL too."""
    ports = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    zerobus = collector_part("zerobus", ["emulate", *ports, "--lake", str(lake)], folder)
    zerobus.start()
    deadline = time.monotonic() + _READY_S
    while not (ready := [x for x in zerobus.log().splitlines() if x.startswith("ready: ")]):
        _wait_on(zerobus, deadline)
    _, _, endpoint, _, workspace_url = ready[0].split()
    return zerobus, endpoint, workspace_url


def _wait_on(part: Part, deadline: float) -> None:
    part.check()
    if time.monotonic() > deadline:
        raise CollectorError(f"{part.name} is not ready after {_READY_S:.0f} s:\n{part.log()}")
    time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
