"""Measure the station over HTTP: many clients post to the daemon, and to a service that keeps
nothing (`direct.py`), in one run; both send into a local Zerobus that counts and acknowledges.

    python benchmarks/over_http.py [--seconds N] [--only NAME ...] > over_http.json

Needs mosquitto and wrk, both from Debian. wrk has one core, the service another. CPU is that of the
service's whole process until all that was answered is acknowledged. Figures of one machine compare
with each other only; stderr gets a table of them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from run import Meter
from support.client import Client
from support.line import Line, Process
from support.waiting import answers, free_port, wait_for

HERE = Path(__file__).resolve().parent
CLIENTS = 64
WRK_CORE, SERVICE_CORE = 0, min(1, os.cpu_count() - 1)
RECORD = {"device_name": "sensor-1", "temp": 21, "humidity": 60, "description": "Main entrance"}
STATION = {"station_two": {"table": "main.iot.station_two"}}
PATH = "/ingest/station_two"
# name: (records of a request, whether it waits for Zerobus)
SCENARIOS = {
    "single": (1, False),
    "array_100": (100, False),
    "single_wait": (1, True),
    "array_100_wait": (100, True),
}
COLUMNS = ("requests_per_s", "records_per_s", "p50_ms", "p99_ms", "cpu_s_per_million", "rss_mb")


class Service:
    """What is asked: a process on a core of its own, and the local Zerobus behind it."""

    def __init__(self, process, port, zerobus):
        self.port, self._zerobus = port, zerobus
        pid = process.process.pid
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {SERVICE_CORE})
        self.meter = Meter(pid)

    def acknowledged(self):
        return self._zerobus.stats()["totals"]["acknowledged"]

    def wait_until_still(self):
        """Wait until nothing is on its way to Zerobus any more."""
        seen = {"count": -1, "at": time.monotonic()}

        def is_still():
            if (count := self.acknowledged()) != seen["count"]:
                seen.update(count=count, at=time.monotonic())
            return time.monotonic() - seen["at"] > 1.0

        wait_for(is_still, "all to be acknowledged", 300, 0.1)


@contextmanager
def collector(folder):
    with make_line(folder) as line:
        wait_for(lambda: answers(line.http_port), "the station over HTTP", 60)
        yield Service(line.daemon, line.http_port, line.zerobus)


@contextmanager
def direct(folder):
    """The other service, with the local Zerobus of a line whose daemon is not there."""
    with make_line(folder) as line:
        line.daemon.stop()
        port = free_port()
        addresses = [f"http://127.0.0.1:{one}" for one in (line.zerobus.grpc, line.zerobus.http)]
        program = [sys.executable, HERE / "direct.py", str(port), *addresses]
        process = Process("direct", folder, program).start()
        try:
            wait_for(lambda: answers(port), "the service", 60)
            yield Service(process, port, line.zerobus)
        finally:
            process.stop()


SERVICES = {"collector": collector, "direct": direct}


def make_line(folder):
    folder.mkdir()
    return Line(folder, http={}, mqtt={"url": None}, stations=STATION, emulator=("--count-only",))


def measure_all(service, options):
    first = Client(service.port)
    assert first.post(f"{PATH}?wait_for_ack=true", RECORD).status == 200
    first.close()
    service.wait_until_still()
    return {name: measure(service, *SCENARIOS[name], options.seconds) for name in options.only}


def measure(service, size, waits, seconds):
    before, cpu = service.acknowledged(), service.meter.cpu_s()
    body = json.dumps(RECORD if size == 1 else [RECORD] * size)
    url = f"http://127.0.0.1:{service.port}{PATH}{'?wait_for_ack=true' * waits}"
    said = wrk(url, body, seconds)
    service.wait_until_still()
    records = service.acknowledged() - before
    return {
        "requests_per_s": round(said["requests"] / said["seconds"]),
        "records_per_s": round(said["requests"] * size / said["seconds"]),
        "p50_ms": said["p50_ms"],
        "p99_ms": said["p99_ms"],
        "cpu_s_per_million": round((service.meter.cpu_s() - cpu) / records * 1e6, 2),
        "rss_mb": round(service.meter.rss_mb(), 1),
    }


def wrk(url, body, seconds):
    """Post without a pause; every request must be taken."""
    done = subprocess.run(
        ["taskset", "-c", str(WRK_CORE), "wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s",
         "--timeout", "30s", "-s", HERE / "post.lua", url],
        env={**os.environ, "BODY": body}, capture_output=True, text=True, check=True,
        timeout=seconds + 60,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    if said["refused"] or said["broken"]:
        raise AssertionError(f"not every request was taken: {said}")
    return said


def table(results):
    lines = [" " * 26 + "".join(f"{name:>18}" for name in COLUMNS)]
    for scenario in next(iter(results.values())):
        for service, found in results.items():
            cells = "".join(f"{found[scenario][name]:>18,}" for name in COLUMNS)
            lines.append(f"{scenario:16}{service:10}{cells}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10, help="of load, for each figure")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="collector-http-") as name:
        for kind, make in SERVICES.items():
            with make(Path(name) / kind) as service:
                results[kind] = measure_all(service, options)
    print(table(results), file=sys.stderr)
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    json.dump({"machine": machine, "clients": CLIENTS, "services": results}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
