"""The Dockerfile, without Docker: its very steps, in a Debian of our own.

The base image is not at hand; Debian 12 with its own Python stands for it. What Docker adds is done
as it does it: stages of their own, a numeric user, a root that can't be written to, a volume.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.debian import Machine
from support.line import ROOT
from support.waiting import wait_for

TEXT = (ROOT / "Dockerfile").read_text()
IDLE = "sleep 900"
USER = "setpriv --reuid=10001 --regid=10001 --clear-groups"
# How this machine reaches the registry of Python's packages.
PIP = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


def stages():
    """The instructions of each stage, by its name; what it is made from is the first."""
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    instructions = [
        one.split(maxsplit=1)
        for one in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
        if one.strip()
    ]
    found = {}
    for word, rest in instructions:
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found[name or "last"] = [(word, image)]
        else:
            found[list(found)[-1]].append((word, rest))
    return found


def given(stage, wanted):
    """What a stage says with an instruction that stands there once."""
    (text,) = [rest for word, rest in stages()[stage] if word == wanted]
    return text


def environment():
    words = dict(word.split("=", 1) for word in shlex.split(given("last", "ENV")))
    return {name: value.replace("$PATH", os.defpath) for name, value in words.items()}


def perform(machine, stage, others):
    """Do what a stage says that touches files."""
    folder = "/"
    for word, rest in stages()[stage]:
        if word == "WORKDIR":
            folder = rest
            machine.run(f"mkdir -p {folder}")
        elif word == "RUN":
            machine.run(f"cd {folder}; {rest}", outside=True, **PIP)
        elif word == "COPY":
            *sources, target = rest.split()
            origin = ROOT
            if sources[0].startswith("--from="):
                origin = others[sources.pop(0).removeprefix("--from=")].root
            for source in sources:
                place = os.path.normpath(f"{folder}/{target}")
                place = target if target.startswith("/") else place
                _copy(origin / source.lstrip("/"), machine.root / place.lstrip("/"))


def _copy(source, place):
    """Copy a file or the content of a folder, as COPY does."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    else:
        shutil.copy(source, place / source.name if place.is_dir() else place)


@pytest.fixture(scope="module")
def image(debian, tmp_path_factory):
    """The layers of what `docker build` would give."""
    with Machine(tmp_path_factory.mktemp("base"), debian, init=IDLE) as base:
        base.run("apt-get update && apt-get install python3-venv", outside=True)
        base.run("ln -s /usr/bin/python3 /usr/local/bin/python")
    folder = tmp_path_factory.mktemp("image")
    with (
        Machine(folder / "build", *base.layers, init=IDLE) as build,
        Machine(folder / "last", *base.layers, init=IDLE) as last,
    ):
        perform(build, "build", {})
        perform(last, "last", {"build": build})
    return last.layers


@pytest.fixture
def container(image, tmp_path):
    with Machine(tmp_path / "container", *image, init=IDLE) as machine:
        folder = machine.root / "etc" / "collector"
        shutil.copy(ROOT / "deploy" / "compose" / "stations.yaml", folder)
        shutil.copytree(ROOT / "tables", folder / "tables")
        # The volume that Docker makes has the owner of the folder that it lies over.
        machine.run(
            "mount -t tmpfs -o mode=0700,uid=10001,gid=10001 tmpfs /var/lib/collector;"
            " mkdir -p /run/collector; chown 10001:10001 /run/collector; mount -o remount,ro /"
        )
        yield machine


class Daemon:
    """What the container runs, as its user and with its environment."""

    def __init__(self, machine):
        self.machine = machine
        words = json.loads(given("last", "ENTRYPOINT")) + json.loads(given("last", "CMD"))
        folder = given("last", "WORKDIR")
        script = f"cd {folder}; exec {USER} {shlex.join(words)}"
        self.process = subprocess.Popen(
            machine.beside("--mount", "--pid", "--root", "bash", "-c", script), env=environment()
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        """Send what STOPSIGNAL says, as Docker does to the first process; returns its exit code."""
        said = (self.machine.root / "run" / "collector" / "status.json").read_bytes()
        self.machine.run(f"kill -s {given('last', 'STOPSIGNAL')} {json.loads(said)['pid']}")
        return self.process.wait(60)


def health(machine):
    """Ask what HEALTHCHECK says, as Docker does: without a shell, and by its exit code alone."""
    words = json.loads(given("last", "HEALTHCHECK").partition("CMD")[2])
    done = machine.run(f"{USER} {shlex.join(words)}", expected=None, **environment())
    assert done.returncode in (0, 1), done.stderr
    return done.returncode


def test_the_steps_give_what_runs_as_a_numeric_user_with_a_root_that_cannot_be_written(container):
    assert given("last", "USER") == "10001:10001"
    container.run("touch /opt/collector/x", expected=1)
    assert health(container) == 1  # Nothing runs yet.
    with Daemon(container) as daemon:
        # No broker and no cloud is there: it is well all the same.
        wait_for(lambda: health(container) == 0, "the daemon to be healthy", 120, 0.5)
        files = container.run("stat --format '%u %a' /var/lib/collector/spool.db").stdout
        assert files == "10001 600\n"
        assert (
            "offline"
            in container.run(f"{USER} collector status", expected=1, **environment()).stdout
        )
        assert daemon.stop() == 0
    assert health(container) == 1


def test_a_volume_that_belongs_to_a_group_of_the_user_does_too(container):
    """As Kubernetes gives it, by `fsGroup`."""
    container.run("chown 0:10001 /var/lib/collector; chmod 2775 /var/lib/collector")
    with Daemon(container) as daemon:
        wait_for(lambda: health(container) == 0, "the daemon to be healthy", 120, 0.5)
        assert daemon.stop() == 0


def test_the_image_has_the_libraries_of_the_lock_and_no_sources(container):
    site = container.root / "opt" / "collector" / "lib" / "python3.11" / "site-packages"
    there = {
        re.sub(r"[-_.]+", "-", path.name.removesuffix(".dist-info")).lower()
        for path in site.glob("*.dist-info")
    }
    lock = (ROOT / "requirements.lock").read_text()
    for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE):
        assert re.sub(r"[-_.]+", "-", f"{name}-{version}") in there
    assert not (container.root / "src").exists()


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
