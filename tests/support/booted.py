"""A real systemd as PID 1 of namespaces of its own, with the units of the repository in it.

`boot.sh` is what becomes that PID 1. Its root is an overlay of this machine's, kept in memory: at
the end its processes are killed, and all that they wrote is gone with them.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).with_name("boot.sh")
COLLECTOR = "/opt/collector/bin/collector"
SPACES = ("--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup")
_GONE_AFTER_S = "900"
# PrivateUsers= needs a user namespace, which the kernel refuses in a chroot.
_TRIAL = "unshare --user true; mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir old; pivot_root . old"


def refusal():
    """Say what the kernel, or the container around the tests, refuses; nothing if it does not."""
    if os.geteuid() != 0:
        return "to boot systemd needs root"
    if shutil.which("unshare") is None:
        return "to boot systemd needs unshare, which only Linux has"
    trial = ["unshare", *SPACES, "sh", "-ec", _TRIAL]
    tried = subprocess.run(trial, capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"no namespaces to boot systemd in: {tried.stderr.strip()}"
    try:
        groups = _new_groups(f"booted-trial-{uuid.uuid4().hex[:8]}")
    except OSError as error:
        return f"no control groups to boot systemd in: {error}"
    for group in groups:
        group.rmdir()
    return "" if groups else "no control groups are mounted to boot systemd in"


class Booted:
    """Runs for as long as `with` does. Paths are those inside of it."""

    def __init__(self, folder):
        self._box, self._log = folder / "box", folder / "boot.log"
        self._box.mkdir()
        self._groups = _new_groups(f"booted-{uuid.uuid4().hex[:8]}")
        self._process, self._init, self._since = None, 0, ""

    def __enter__(self):
        join = "".join(
            f"echo $$ >{shlex.quote(str(one / 'cgroup.procs'))}; " for one in self._groups
        )
        boot = ["sh", BOOT, self._box, ROOT, sys.prefix, sys.base_prefix]
        # Whatever becomes of the tests, nothing of it stays.
        limit = ["timeout", "--signal=KILL", _GONE_AFTER_S]
        command = shlex.join(map(str, [*limit, "unshare", "--kill-child", *SPACES, *boot]))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", f"{join}exec {command}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(self._is_up, "systemd to be up", 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            # unshare takes the first process of the namespace with it, and that one all others.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        for group in self._groups:
            wait_for(lambda group=group: _is_removed(group), f"{group} to be empty")

    def run(self, *command, check=True):
        """Run a command in there and return what it says on stdout."""
        done = self._enter(*command)
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def succeeds(self, *command):
        return self._enter(*command).returncode == 0

    def _enter(self, *command):
        enter = ["nsenter", "--target", self._init, "--all", "--root", "--wd=/", "--", *command]
        return subprocess.run(
            list(map(str, enter)), capture_output=True, text=True, timeout=180, check=False
        )

    def file(self, path):
        """The file of in there, as one from out here."""
        return Path(f"/proc/{self._init}/root") / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        file = self.file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def start(self, name, *command):
        """Start a program as a unit of its own."""
        self.run("systemd-run", "--quiet", "--collect", f"--unit={name}", *command)

    def show(self, unit, name):
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def shown(self, unit, **wanted):
        """Whether systemd shows these properties of a unit."""
        return all(self.show(unit, name) == str(value) for name, value in wanted.items())

    def forget_journal(self):
        """What was logged until then is not in `journal` any more."""
        self._since = self.run("journalctl", "--lines=1", "--show-cursor").split("-- cursor: ")[1]

    def journal(self, unit):
        self.run("journalctl", "--sync")
        since = f"--after-cursor={self._since.strip()}"
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}", since)

    def collector(self, *arguments):
        """Run a command of the collector by hand, as its user; returns its stdout."""
        return self.run("runuser", "-u", "collector", "--", COLLECTOR, *arguments, check=False)

    def _is_up(self):
        if self._process.poll() is not None:
            raise AssertionError(f"systemd did not boot:\n{self._log.read_text()}")
        # sh became timeout, which started unshare, which started it.
        children = _children(self._process.pid)
        self._init = next((one for child in children for one in _children(child)), 0)
        if not self._init:
            return False
        with contextlib.suppress(OSError):
            if Path(f"/proc/{self._init}/comm").read_text().strip() != "systemd":
                return False
        return self.run("systemctl", "is-active", "basic.target", check=False) == "active\n"


def _children(pid):
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return []


def _new_groups(name):
    """Make a control group below that of this process, in each hierarchy that there is."""
    groups = []
    try:
        for parent, controllers in _own_groups():
            group = parent / name
            group.mkdir()
            groups.append(group)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if controllers == "cpuset":
                    (group / setting).write_text((parent / setting).read_text())
    except OSError:
        for group in groups:
            group.rmdir()
        raise
    return groups


def _own_groups():
    """The control group of this process in each hierarchy, with the controllers of that."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        tree = Path("/sys/fs/cgroup") / (controllers.removeprefix("name=") or "unified")
        if not controllers and not tree.exists():
            tree = tree.parent
        group = Path(f"{tree}{place}")
        if group.is_dir():
            yield group, controllers


def _is_removed(group):
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()
