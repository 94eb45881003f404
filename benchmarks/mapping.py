"""Measure what a message costs from its payload to its encoded records, by format and by mapping.

    python benchmarks/mapping.py [--quick]

Microseconds per record, the best of several runs: noise only adds. Nothing is connected to; the
tables and stations are made in a temporary folder. Figures of one machine compare with each other
only.
"""

import argparse
import json
import sys
import tempfile
import timeit
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from support.corpus import ENTRIES, payload_of, received_us, station_texts  # noqa: E402
from support.station import compiled  # noqa: E402

from collector.model import Message  # noqa: E402

NOW_US = 1_741_000_000_000_000
STEPS = [
    ("DOUBLE", "{{from: /k{n}, scale: 0.1}}", 215),
    ("BOOLEAN", '{{from: /k{n}, map: {{"ON": true, "OFF": false}}}}', "ON"),
    ("TIMESTAMP", "{{from: /k{n}, time: ms}}", 1_741_000_000_123),
    ("INT", "{{from: /k{n}, null_if: [-999]}}", 7),
    ("STRING", "{{from: /k{n}, default: none}}", "text"),
]
PLAIN = [("INT", 25), ("BIGINT", 60), ("STRING", "sensor-1"), ("DOUBLE", 1.5)]


def plain(size):
    """A station whose payload keys are its columns."""
    kinds = [PLAIN[n % len(PLAIN)] for n in range(size)]
    columns = ", ".join(f"k{n} {delta}" for n, (delta, _) in enumerate(kinds))
    return columns, "topic: a/+", {f"k{n}": value for n, (_, value) in enumerate(kinds)}


def mapped(size, more=""):
    """A station with steps on each column."""
    kinds = [STEPS[n % len(STEPS)] for n in range(size)]
    columns = ", ".join(f"c{n} {delta}" for n, (delta, _, _) in enumerate(kinds))
    lines = "\n".join(f"  c{n}: {words.format(n=n)}" for n, (_, words, _) in enumerate(kinds))
    payload = {f"k{n}": value for n, (_, _, value) in enumerate(kinds)}
    return columns, f"topic: a/+\n{more}columns:\n{lines}", payload


def elements(size):
    """A station with a row for each element of a list."""
    rows = [{"t": 21.5, "n": n} for n in range(size)]
    words = "topic: a/{device}\neach: /l/*\ncolumns: {device: $device, t: t, n: n}"
    return "device STRING, t DOUBLE, n INT", words, {"l": rows}


MAPPINGS = {
    "4 plain keys": plain(4),
    "10 plain keys": plain(10),
    "40 plain keys": plain(40),
    "10 columns with steps": mapped(10),
    "40 columns with steps": mapped(40),
    "10 with steps, and when": mapped(10, "when: {/k0: {min: 1}}\n"),
    "each of 10 elements, 3 columns": elements(10),
    "each of 100 elements, 3 columns": elements(100),
}


def measure(plan, topic, payload, now_us, number):
    """Microseconds per record of all stations that the message fits, and how many records."""
    message = Message(topic.encode(), payload)
    offers = plan.router.resolve(message.topic, ()).offers

    def run():
        records = []
        for offer in offers:
            plan.mappings[offer.station].encode(
                message, offer.captures, topic, now_us, count(1).__next__, records
            )
        return len(records)

    records = run()
    best = min(timeit.repeat(run, number=number, repeat=7)) / number
    return best * 1e6 / max(records, 1), records


def show(title, figures):
    print(f"{title:36} {'µs/record':>9} {'records':>8}")
    for name, (cost, records) in figures:
        print(f"{name:36} {cost:9.2f} {records:8}")
    print()


def mappings(folder, number):
    for name, (columns, words, payload) in MAPPINGS.items():
        plan = compiled(folder / name, ("s", columns, words))
        yield name, measure(plan, "a/d1", json.dumps(payload).encode(), NOW_US, number)


def families(folder, number):
    """Each family by its largest sample that gives rows, after those that come before it."""
    texts = station_texts()
    for name, entry in ENTRIES.items():
        tables = entry["tables"].items()
        plan = compiled(folder / name, *((t, what["columns"], texts[t]) for t, what in tables))
        good = [one for one in entry["samples"] if list(one["expect"]) == ["rows"]]
        largest = max(good, key=lambda one: len(payload_of(one)))
        for sample in entry["samples"][: entry["samples"].index(largest) + 1]:
            place = sample["topic"], payload_of(sample), received_us(sample)
            figures = measure(plan, *place, number if sample is largest else 1)
        lines = [line for table in entry["tables"] for line in texts[table].splitlines()]
        word = next((one for one in lines if one.startswith("format: ")), "format: json")
        yield f"{name} ({word.removeprefix('format: ')})", figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    number = 200 if parser.parse_args().quick else 4_000
    with tempfile.TemporaryDirectory() as folder:
        show("mapping (JSON)", mappings(Path(folder), number))
        show("family (largest sample)", families(Path(folder), number // 4))


if __name__ == "__main__":
    main()
