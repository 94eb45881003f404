"""Programs on a terminal of their own: what a person would see, and what they type."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pyte

from support.line import ROOT
from support.waiting import wait_for

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "NO_COLOR": "1"}
COLLECTOR = (sys.executable, "-m", "collector")


def run_on_terminal(*arguments, folder, columns=80, rows=24, typed="", timeout=60):
    """Run `collector ...` on a terminal; returns exit code and all that it wrote there.

    `typed` is written as soon as the program has asked something that ends with ": ".
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*COLLECTOR, *map(str, arguments)],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=ENVIRONMENT, close_fds=True,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    written, deadline = b"", time.monotonic() + timeout
    with contextlib.suppress(OSError):  # EIO: the program has closed the terminal.
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                chunk = os.read(master, 65_536)
                if not chunk:
                    break
                written += chunk
            if typed and written.rstrip(b" ").endswith(b":"):
                os.write(master, typed.encode() + b"\n")
                typed = ""
    os.close(master)
    return process.wait(timeout), written.decode().replace("\r\n", "\n")


def run_plain(*arguments, folder, timeout=60, **options):
    """Run `collector ...` without a terminal; returns the completed process, with text."""
    return subprocess.run(
        [*COLLECTOR, *map(str, arguments)],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False,
        **options,
    )  # fmt: skip


class Terminal:
    """A program that stays on a terminal: what it wrote there, and the screen that this gives."""

    def __init__(
        self, *arguments, folder, program=COLLECTOR, columns=80, rows=24, **environment
    ):  # fmt: skip
        self._master, self._slave = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.resize(columns, rows)
        self.mode = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=self._slave, stdout=self._slave, stderr=self._slave, cwd=folder,
            env={**ENVIRONMENT, **environment}, preexec_fn=lambda: os.login_tty(0),  # noqa: PLW1509
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        os.close(self._slave)
        os.close(self._master)

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self._master, keys)

    def lines(self):
        """Take in what was written since, and return the lines of the screen."""
        while select.select([self._master], [], [], 0)[0]:
            chunk = os.read(self._master, 65_536)
            self.written += chunk
            self._stream.feed(chunk)
        return [line.rstrip() for line in self.screen.display]

    def shows(self, *texts):
        """Wait until every text is on the screen; returns its lines."""
        try:
            return wait_for(lambda: self._having(texts), f"{texts} on the terminal")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines()])) from None

    def _having(self, texts):
        lines = self.lines()
        return lines if all(text in "\n".join(lines) for text in texts) else None

    def ends(self):
        """Wait for the end and return the exit code; the mode of the terminal is as it was."""
        wait_for(lambda: self.lines() and self.process.poll() is not None, "the program to end")
        self.lines()
        assert termios.tcgetattr(self._slave) == self.mode
        return self.process.returncode
