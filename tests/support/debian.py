"""Debian 12 machines to install on: made by debootstrap, booted in namespaces, thrown away.

A machine is an overlay over folders that it does not change, with systemd as PID 1 and a network of
its own in which only loopback is there. All of it ends with the process that holds it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.booted import SPACES, refusal
from support.waiting import wait_for

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT = """
set -e
mount --make-rprivate /
# volatile: nothing here is to survive a power cut, and a sync would wait for all of this machine.
options="volatile,lowerdir=$LOWER,upperdir=$FOLDER/upper,workdir=$FOLDER/work"
mount -t overlay overlay -o "$options" "$FOLDER/root"
cd "$FOLDER/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs tmpfs $folder; done
chmod 1777 tmp
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm old
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=666
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . old
umount -l /old
rmdir /old
mount --make-rshared /
exec env -i container=namespaces "PATH=$PATH" $INIT
"""
SYSTEMD = "/lib/systemd/systemd --show-status=no"


def make_debian(folder, packages="ca-certificates,sudo,systemd"):
    """Make the system that all machines are made over; skips where that can't be done."""
    if reason := refusal():
        pytest.skip(reason)
    lacks = [tool for tool in ("debootstrap", "nsenter") if not shutil.which(tool)]
    if lacks:
        message = f"a Debian to install on can't be made without {', '.join(lacks)}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    words = ["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", folder]
    # What it mounts is gone with it, and what it started too, however it ends.
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    apt = 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\nDpkg::Use-Pty "false";\n'
    (folder / "etc" / "apt" / "apt.conf.d" / "90tests").write_text(apt)
    # An installer of Debian writes it; debootstrap does not.
    (folder / "etc" / "hosts").write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")
    # What this machine trusts: a registry may be reached through an authority of its own.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", folder / "etc" / "ssl" / "certs")
    return folder


class Machine:
    """One machine; `layers` are what it is made over, the first on top."""

    def __init__(self, folder, *layers, init=SYSTEMD):
        self.layers = (folder / "upper", *layers)
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        self._environment = {
            "PATH": PATH,
            "FOLDER": str(folder),
            "LOWER": ":".join(map(str, layers)),
            "INIT": init,
        }
        self._log = folder / "boot.log"
        self._boots = init == SYSTEMD
        self._holder, self.pid = None, 0

    def __enter__(self):
        with self._log.open("wb") as log:
            self._holder = subprocess.Popen(
                # Whatever becomes of the tests, nothing of it stays.
                ["timeout", "--signal=KILL", "900", "unshare", "--kill-child", *SPACES,
                 "sh", "-c", BOOT],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(self._is_up, "a machine to boot", 120, 0.1)
        except AssertionError:
            print(self._log.read_text())
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # It may have ended by its time limit.
        with contextlib.suppress(ProcessLookupError):
            # The first process of a namespace takes all others with it.
            os.killpg(self._holder.pid, signal.SIGKILL)
        self._holder.wait(30)

    def _is_up(self):
        assert self._holder.poll() is None, self._log.read_text()
        self.pid = _child(_child(self._holder.pid))
        if not self.pid or self.root.samefile("/") or (self.root / "old").exists():
            return False  # It is on its way: its root is this machine's until it has its own.
        if not self._boots:
            return True
        said = self.run("systemctl is-system-running", expected=None).stdout.strip()
        return said in ("running", "degraded")

    @property
    def root(self):
        """Its files, as seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def run(self, script, *, typed="", expected=0, outside=False, **environment):
        """Run a script of bash in /root, as root.

        `outside`: on the network of this machine, as what fetches packages needs. `expected` is
        the exit code; None takes any.
        """
        spaces = ["--mount", "--pid", "--uts", "--ipc", "--cgroup"] + ["--net"] * (not outside)
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", *spaces, "--root", "bash", "-c", f"cd; {script}"],
            input=typed, capture_output=True, text=True, timeout=300, check=False,
            env={"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **environment},
        )  # fmt: skip
        if expected is not None:
            assert done.returncode == expected, f"{script}\n{done.stdout}{done.stderr}"
        return done

    def beside(self, *words):
        """The words that start a program of this machine on the network of that one."""
        return ["nsenter", f"--target={self.pid}", "--net", *map(str, words)]


def _child(pid):
    """The first process that a process has started; 0 if there is none."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = children.read_text().split() if children.exists() else []
    return int(found[0]) if found else 0
