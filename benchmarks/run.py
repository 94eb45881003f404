"""Measure the line: through mosquitto at QoS 1, into a local Zerobus that counts and acknowledges.

    python benchmarks/run.py [--quick] [--only NAME ...] > result.json

Needs mosquitto and a C compiler (the load source is `publish.c`). Each figure is the median of
three runs. CPU is that of the daemon's whole process as the operating system counts it. A saturated
run is over when every record was acknowledged and deleted from the spool; the rate is that of the
whole run. Figures of one machine compare with each other only.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.certificates import make_certificates  # noqa: E402
from support.line import Line  # noqa: E402
from support.waiting import wait_for  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
RUNS = 3


def stations(tables):
    return {
        f"bench{n}": {
            "topic": f"bench/{n}/+",
            "table": f"main.bench.t{n}",
            "schema": "station_two",
        }
        for n in range(tables)
    }


# name: (records, records per second or 0, tables, options)
SCENARIOS = {
    "plain": (400_000, 0, 1, {}),
    "beside_http": (400_000, 0, 1, {"http": True}),
    "tls": (300_000, 0, 1, {"tls": True}),
    "mqtt_3_1_1_window_20": (60_000, 0, 1, {"protocol": "3.1.1"}),
    "tables_100": (300_000, 0, 100, {}),
    "paced_1000": (15_000, 1_000, 1, {}),
}


class Meter:
    """CPU seconds, memory and written bytes of a process, as Linux counts them."""

    def __init__(self, pid):
        self._proc = Path("/proc") / str(pid)

    def cpu_s(self):
        fields = (self._proc / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_rss_mb(self):
        return self._line("status", "VmHWM") / 1024

    def rss_mb(self):
        return self._line("status", "VmRSS") / 1024

    def written_bytes(self):
        return self._line("io", "write_bytes")

    def _line(self, file, key):
        for line in (self._proc / file).read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)


def measure(name, publish, folder, quick):
    count, rate, tables, options = SCENARIOS[name]
    count = count // 10 if quick else count
    mqtt = {"protocol": options.get("protocol", "auto")}
    certificates = make_certificates(folder) if options.get("tls") else None
    line = Line(
        folder,
        stations=stations(tables),
        mqtt=mqtt,
        http={} if options.get("http") else None,
        emulator=("--count-only",),
        broker={"certificates": certificates},
    )
    if certificates:
        line.use_tls(certificates["ca"])
    with line:
        time.sleep(2)
        meter = Meter(line.daemon.process.pid)
        runs = [one_run(line, meter, publish, count, rate, tables) for _ in range(RUNS)]
        result = {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]} | {
            "peak_rss_mb": round(meter.peak_rss_mb(), 1),
            "records": count,
            "tables": tables,
        }
        if name == "paced_1000":
            result["idle_cpu_percent"] = idle(meter, 3 if quick else 20)
    return result


def one_run(line, meter, publish, count, rate, tables):
    before, cpu, written = delivered(line), meter.cpu_s(), meter.written_bytes()
    started = time.monotonic()
    arguments = [publish, str(line.broker.port), str(count), str(rate), str(tables)]
    subprocess.run(arguments, check=True, capture_output=True, timeout=300)
    wait_for(lambda: delivered(line) >= before + count, "all records to be delivered", 120, 0.02)
    elapsed = time.monotonic() - started
    return {
        "records_per_s": count / elapsed,
        "cpu_s_per_million": (meter.cpu_s() - cpu) / count * 1e6,
        "written_bytes_per_record": (meter.written_bytes() - written) / count,
    }


def delivered(line):
    return sum(value for (_, name), value in line.counters().items() if name == "delivered")


def idle(meter, seconds):
    """CPU of the daemon with open streams and nothing to do, in percent of one core."""
    time.sleep(2)
    before = meter.cpu_s()
    time.sleep(seconds)
    return round((meter.cpu_s() - before) / seconds * 100, 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the load")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="collector-bench-") as name:
        folder = Path(name)
        publish = folder / "publish"
        source = Path(__file__).with_name("publish.c")
        subprocess.run(["cc", "-O2", "-o", publish, source], check=True)
        for scenario in options.only:
            (folder / scenario).mkdir()
            results[scenario] = measure(scenario, publish, folder / scenario, options.quick)
            print(scenario, results[scenario], file=sys.stderr)
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    json.dump({"machine": machine, "runs": RUNS, "scenarios": results}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
