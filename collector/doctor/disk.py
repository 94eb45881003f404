"""Where the spool lies: who may write there, on what, how much fits, and how fast it syncs."""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from pwd import getpwuid
from typing import Final

from collector.config import Config, SpoolLimits, format_duration, format_size
from collector.doctor.deadline import within
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok, skipped, warning
from collector.tables import FILE_NAME

SYNCS: Final = 40
SYNCING_S: Final = 2.0
"""Syncing stops after this many or this long, but is done a few times in any case."""
SYNCS_MIN: Final = 3
STALLED_S: Final = 20.0
_PROBE_BYTES: Final = 4096
_MIB: Final = 1 << 20
_NETWORK: Final = ("nfs", "cifs", "smb", "ceph", "glusterfs", "afs", "9p", "virtiofs", "fuse.sshfs")
_VOLATILE: Final = {
    "tmpfs": "it is memory: at the next start of this box it is empty",
    "ramfs": "it is memory: at the next start of this box it is empty",
    "overlay": "it is the layer of a container, or of a box that forgets: it goes with it",
}


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of the spool's place."""
    folder = ("configuration", "spool folder")
    yield Check("spool folder", lambda: _folder(facts.config.spool.path.parent), folder[:1])
    yield Check("spool owner", lambda: _owner(facts.config), folder)
    yield Check("spool disk", lambda: _file_system(facts.config.spool.path.parent), folder)
    yield Check("spool room", lambda: room(facts.config.spool), folder)
    yield Check("spool speed", lambda: _speed(facts.config.spool), folder)


def _folder(folder: Path) -> Iterator[Finding]:
    place = existing(folder)
    if not place.is_dir():
        yield error(f"{place} is a file", "Give spool.path a folder, or move this file away.")
        return
    about = place.stat()
    owner, mode = _user(about.st_uid), about.st_mode & 0o7777
    try:
        with tempfile.TemporaryFile(dir=place, prefix=".doctor-"):
            pass
    except OSError as why:
        me = _user(os.geteuid())
        yield error(
            f"{me} can't write to {place} (of {owner}, {mode:04o}): {why.strerror}",
            f"Run this as the user of the daemon (`sudo -u {owner}`), or give the folder to it.",
            (f"chown collector: {place}", f"chmod 0700 {place}"),
        )
        return
    if place != folder:
        yield ok(f"{folder} is not there yet: the first start makes it in {place}")
    elif mode & 0o007 or (mode & 0o070 and os.geteuid() in (0, about.st_uid)):
        # The volume of a pod is root's, and this user has it by its group.
        is_ours = os.geteuid() in (0, about.st_uid)
        yield warning(
            f"{folder} is open to others than {owner} ({mode:04o}): it holds what was measured",
            "Close it." if is_ours else "Close it, unless a volume of a pod is given like that.",
            (f"chmod 0700 {folder}",) if is_ours else (),
        )
    else:
        yield ok(f"{folder}, of {owner}, {mode:04o}")


def _owner(config: Config) -> Iterator[Finding]:
    """Look whether the owner of the spool's folder, as whom the daemon runs, can use its files."""
    folder = config.spool.path.parent
    if not folder.is_dir():
        yield ok("nothing is there yet")
        return
    uid = folder.stat().st_uid
    owner = _user(uid)
    files = [*folder.glob(f"{config.spool.path.name}*"), *folder.glob("quarantine/**/*")]
    others = [path for path in files if path.lstat().st_uid != uid]
    # Whoever is neither root nor the owner sees what it may see itself.
    sources = [config.path, *(station.schema_dir / FILE_NAME for station in config.stations)]
    closed = [path for path in sources if os.geteuid() == 0 and not is_readable_by(path, uid)]
    if others:
        yield error(
            f"{others[0]} belongs to {_user(others[0].lstat().st_uid)}: {owner} can't use it",
            "Give all of them to the user of the daemon.",
            (f"chown -R {owner}: {folder}",),
        )
    if closed:
        yield error(
            f"{closed[0]} can't be read by {owner}, as whom the daemon runs",
            "Let that user read the configuration and the tables.",
            (f"chgrp {owner} {closed[0]}", f"chmod g+r {closed[0]}"),
        )
    if not others and not closed:
        yield ok(f"what is there can be used by {owner}")


def is_readable_by(path: Path, uid: int) -> bool:
    """Whether the bits of a file, and of the folders above it, let a user read it."""
    if uid == 0:
        return True
    try:
        account = getpwuid(uid)
        groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    except KeyError:
        groups = set()
    path = path.resolve()
    wanted = [(path, 4), *((folder, 1) for folder in path.parents)]
    return all(_may(one, bit, uid, groups) for one, bit in wanted)


def _may(path: Path, bit: int, uid: int, groups: set[int]) -> bool:
    about = path.stat()
    shift = 6 if about.st_uid == uid else 3 if about.st_gid in groups else 0
    return bool(about.st_mode >> shift & bit)


def existing(folder: Path) -> Path:
    """Return the folder, or the first above it that is there: it will be made in that one."""
    return next((one for one in (folder, *folder.parents) if _is_there(one)), Path("/"))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False  # It lies in a folder that is closed to this user: that one is told.


def _user(uid: int) -> str:
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _file_system(folder: Path) -> Iterator[Finding]:
    kind, mount = file_system(existing(folder), Path("/proc/self/mountinfo"))
    if kind.startswith(_NETWORK):
        yield warning(
            f"{mount} is {kind}: a file system over a network may lie about what is on the disk",
            "Put spool.path on a disk of this box: SQLite is not safe on a network file system.",
        )
    elif kind in _VOLATILE:
        yield warning(
            f"{mount} is {kind}: {_VOLATILE[kind]}",
            "Put spool.path on a disk, or a volume, that stays.",
        )
    else:
        yield ok(f"{kind or 'a file system that is not told'} at {mount}")


def file_system(path: Path, mounts: Path) -> tuple[str, str]:
    """Return kind and mount point of what a path lies on, by the kernel's list of mounts."""
    found = ("", "/")
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return found
    real = path.resolve()
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        # Of two on one place the later lies on top.
        if real.is_relative_to(point) and len(point) >= len(found[1]):
            found = (after.split()[0], point)
    return found


def room(options: SpoolLimits) -> Iterator[Finding]:
    """Compare what is free with what the spool may grow to."""
    free = shutil.disk_usage(existing(options.path.parent)).free
    has = options.path.stat().st_size if options.path.is_file() else 0
    may, least = options.max_bytes, options.min_free_bytes
    about = f"{_rough(free)} free"
    if free < least:
        yield error(
            f"{about}, and spool.min_free_bytes is {format_size(least)}: the spool is full at once",
            "Make room on this disk, or set spool.min_free_bytes lower.",
        )
    elif may - has > free - least:
        fits = max((free - least + has) // _MIB, 0)
        yield warning(
            f"{about}: the disk is full before the spool is, at {_rough(free - least + has)} of"
            f" spool.max_bytes {format_size(may)}",
            f"Make room, or set spool.max_bytes to {fits}MiB or less.",
        )
    else:
        yield ok(f"{about}; the spool has {_rough(has)} and may grow to {format_size(may)}")


def _rough(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB"


def _speed(options: SpoolLimits) -> Iterator[Finding]:
    place = existing(options.path.parent)
    try:
        durations = within(STALLED_S, lambda: sync_times(place))
    except TimeoutError as why:
        yield error(
            f"a sync on this disk gives {why}",
            "Look for errors of the disk or card (`dmesg`), and replace it.",
        )
    except OSError as why:
        yield skipped(f"no probe file can be written: {why.strerror}")
    else:
        yield judge(durations, options.commit_interval)


def sync_times(folder: Path) -> list[float]:
    """Write and sync a page again and again, as a commit does; returns seconds of each sync."""
    durations: list[float] = []
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder, prefix=".doctor-") as probe:
        while len(durations) < SYNCS:
            os.write(probe.fileno(), b"\1" * _PROBE_BYTES)
            before = time.monotonic()
            os.fdatasync(probe.fileno())
            durations.append(time.monotonic() - before)
            if before - began > SYNCING_S and len(durations) >= SYNCS_MIN:
                break
    return durations


def judge(durations: Sequence[float], commit_interval: float) -> Finding:
    """Say whether a disk that syncs so keeps pace with a commit at each interval."""
    median, worst = statistics.median(durations), max(durations)
    took = f"a sync takes {_ms(median)}, at worst {_ms(worst)} of {len(durations)}"
    every = f"spool.commit_interval is {format_duration(commit_interval)}"
    if median <= commit_interval / 2:
        return ok(f"{took}; {every}")
    # Four times, so that the disk rests most of the time; up to the next tenth of a second.
    wanted = ceil(median * 4 * 10) / 10
    return warning(
        f"{took}, and {every}: the disk would do little else than sync",
        f"Set spool.commit_interval to {format_duration(wanted)}: fewer syncs, later PUBACKs.",
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
