"""Measure what a large backlog costs: every command that reads or changes a spool of 10,000,000
records, the start of the daemon, and a drain of all of them into a local Zerobus that counts.

    python benchmarks/backlog.py [--records N] [--only STEP ...] > backlog.json

The folder for temporary files gets the spool, a copy and an export: 4 GB for 10,000,000 records.
Memory is the peak of a command's whole process as Linux counts it. The longest append is that of an
intake beside an operation: for so long it stood still. Figures of one machine compare with each
other only.
"""

import argparse
import json
import os
import platform
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.line import LocalZerobus  # noqa: E402

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TICKS = os.sysconf("SC_CLK_TCK")
LARGE_SPOOL = Path(__file__).with_name("large_spool.py")
STATIONS = ("boilers", "pumps", "meters", "doors")
BIG, OTHERS, SINGLES = "main.plant.boilers", ["main.plant.pumps"], "main.plant.doors"
READY_S = 60


def write_config(folder, grpc=1, http=1):
    """Nothing listens at port 1: the daemon is without a broker, and without Zerobus."""
    document = {
        "gateway": "test",
        "mqtt": {"url": "mqtt://127.0.0.1:1"},
        "zerobus": {
            "endpoint": f"http://127.0.0.1:{grpc}",
            "workspace_url": f"http://127.0.0.1:{http}",
            "client_id": "emulator",
            "client_secret": "emulator",
        },
        "spool": {"path": "state/spool.db", "max_bytes": "1TiB", "min_free_bytes": "0"},
        "stations": {
            name: {
                "topic": f"plant/{name}/+",
                "table": f"main.plant.{name}",
                "schema": "station_two",
            }
            for name in STATIONS
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "stations.yaml").write_text(json.dumps(document))
    if not (folder / "tables").exists():
        (folder / "tables").symlink_to(ROOT / "tables")


# -- commands ------------------------------------------------------------------------------------


def collector(folder, *arguments, memory=None):
    """Run a command to its end; `memory` gets its resident megabytes, once a second."""
    out, error = folder / "out", folder / "error"
    started = time.monotonic()
    with out.open("wb") as stdout, error.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "collector", *map(str, arguments)],
            stdout=stdout, stderr=stderr, cwd=folder, env=ENVIRONMENT,
        )  # fmt: skip
    ended = threading.Event()
    if memory is not None:
        threading.Thread(target=sample, args=(process.pid, ended, memory)).start()
    usage = waited(process)
    wall_s = time.monotonic() - started
    ended.set()
    return {
        "wall_s": round(wall_s, 2),
        "peak_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "exit": process.returncode,
        "out_bytes": out.stat().st_size,
        "said": next(reversed(error.read_text(errors="replace").splitlines()), ""),
    }


def waited(process):
    """Wait for a process and return what it used; this one is small, which counts as its least."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def sample(pid, ended, memory):
    while not ended.wait(1.0):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return
        memory += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]


def reading(folder):
    """The commands that change nothing, by the names of their steps."""
    first, middle, last = numbers(folder)
    return {
        "stats": ("spool", "stats"),
        "list": ("spool", "list"),
        "list newest": ("spool", "list", BIG, "--newest"),
        "list after": ("spool", "list", "--after", middle),
        "list nothing": ("spool", "list", "--station", "doors", "--since", "2030-01-01"),
        "show first": ("spool", "show", first),
        "show middle": ("spool", "show", middle),
        "show last": ("spool", "show", last),
        "show delivered": ("spool", "show", first - 1),
        "show missing": ("spool", "show", last + 1),
        "export ndjson": ("spool", "export", BIG),
        "export csv": ("spool", "export", BIG, "--format", "csv"),
        "export singles": ("spool", "export", SINGLES),
        "dead list": ("dead", "list"),
        "dead list by": ("dead", "list", "--by", "kind", "--by", "station"),
        "dead export": ("dead", "export"),
        "verify": ("spool", "verify"),
        "purge dry run": ("spool", "purge", BIG, "--station", "boilers", "--dry-run"),
        "purge since": ("spool", "purge", BIG, "--since", "2026-11-20", "--dry-run"),
        "replay dry run": ("dead", "replay", "--all", "--dry-run"),
        "backup": ("spool", "backup", "copy/state/spool.db", "--force"),
    }


def numbers(folder):
    """The numbers of three records: the first, one in the middle, the last."""
    uri = f"file:{folder / 'state' / 'spool.db'}?mode=ro"
    sql = "SELECT first_seq, records FROM batches WHERE id >= ? LIMIT 1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        low, high = connection.execute("SELECT min(id), max(id) FROM batches").fetchone()
        found = [
            connection.execute(sql, (batch,)).fetchone() for batch in (low, (low + high) // 2, high)
        ]
    return found[0][0], found[1][0] + found[1][1] // 2, sum(found[2]) - 1


def daemon(folder, seconds):
    """How long the daemon takes to be ready, and what the backlog costs it each second then."""
    # An abstract name: the path of a folder may be too long for a socket.
    place = f"\0collector-backlog-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(place)
        ready.settimeout(READY_S)
        started = time.monotonic()
        with (folder / "daemon.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "collector", "run"],
                stderr=log,
                cwd=folder,
                env={**ENVIRONMENT, "NOTIFY_SOCKET": place.replace("\0", "@")},
            )
        try:
            while b"READY=1" not in ready.recv(1_000):
                continue
            ready_s = time.monotonic() - started
            before = cpu_s(process.pid)
            time.sleep(seconds)
            percent = (cpu_s(process.pid) - before) / seconds * 100
        finally:
            process.send_signal(signal.SIGTERM)
            usage = waited(process)
    return {
        "wall_s": round(ready_s, 2),
        "peak_rss_mb": round(usage.ru_maxrss / 1024, 1),
        "cpu_percent": round(percent, 2),
        "exit": process.returncode,
    }


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def drain(folder):
    """Drain the spool into a Zerobus that counts."""
    zerobus = LocalZerobus(folder, "--count-only").start()
    memory = []
    try:
        write_config(folder, zerobus.grpc, zerobus.http)
        result = collector(folder, "drain", "--for", "60min", "--json", memory=memory)
    finally:
        zerobus.stop()
        write_config(folder)
    delivered = json.loads((folder / "out").read_text())["delivered"]
    return {
        **result,
        "delivered": delivered,
        "records_per_s": round(delivered / result["wall_s"]),
        "rss_mb_by_tenths": [round(memory[len(memory) * n // 10], 1) for n in range(10) if memory],
    }


def large_spool(what, folder, argument):
    arguments = [sys.executable, str(LARGE_SPOOL), what, str(folder), argument]
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout


def beside(folder, request):
    return json.loads(large_spool("beside", folder, json.dumps(request)))


# -- the steps -----------------------------------------------------------------------------------


def steps(folder, seconds):
    """The steps in their order: what only reads, what empties the spool, what shrinks its copy."""
    copy = folder / "copy"
    purge = {"operation": "purge records", "selection": {"tables": [BIG, *OTHERS]}}
    return {
        **{
            name: lambda arguments=arguments: collector(folder, *arguments)
            for name, arguments in reading(folder).items()
        },
        "run": lambda: daemon(folder, seconds),
        "drain": lambda: drain(folder),
        "compact": lambda: collector(folder, "spool", "compact"),
        "purge beside an intake": lambda: beside(copy, purge),
        "compact beside an intake": lambda: beside(copy, {"operation": "compact"}),
    }


def measure(folder, records, only):
    for place in (folder, folder / "copy"):
        write_config(place)
        (place / "state").mkdir(mode=0o700)
    started = time.monotonic()
    large_spool("fill", folder, str(records))
    result = {
        "machine": {"python": platform.python_version(), "cores": os.cpu_count()},
        "records": records,
        "made_s": round(time.monotonic() - started, 1),
        "spool_mb": round((folder / "state" / "spool.db").stat().st_size / 1e6, 1),
        "steps": {},
    }
    for name, step in steps(folder, seconds=20 if records >= 1_000_000 else 1).items():
        if only is None or name in only:
            result["steps"][name] = step()
            print(f"{name:26}", result["steps"][name], file=sys.stderr)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument(
        "--only", nargs="+", metavar="STEP", help="those beside an intake need the backup as well"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="collector-backlog-") as name:
        json.dump(measure(Path(name), options.records, options.only), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
