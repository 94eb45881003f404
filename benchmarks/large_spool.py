"""A spool of any size, by the collector's own writer; and an operation on one beside an intake.

    python benchmarks/large_spool.py fill FOLDER RECORDS
    python benchmarks/large_spool.py beside FOLDER '{"operation": "compact"}'

Each is a process of its own, so that its memory is no other's.
"""

import json
import random
import resource
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from collector.model import DeadLetter, Fault, NewBatch  # noqa: E402
from collector.operations import Scene, perform  # noqa: E402
from collector.spool import Group, Limits, Spool  # noqa: E402
from collector.tables import load_schema  # noqa: E402

STATIONS = ("boilers", "pumps", "meters", "doors")
# Of a hundred records so many are the station's; those of doors come one by one.
SHARES = dict(zip(STATIONS, (60, 27, 10, 3), strict=True))
SIZES = (1, 80, 200, 400, 800, 2_000)
PER_GROUP = 20_000
PER_LETTER = 1_000
FIRST_US = 1_795_000_000_000_000
KINDS = ("bad_value", "undecodable", "missing_required", "internal")
NO_LIMITS = Limits(max_bytes=1 << 40)


def table_of(station):
    return f"main.plant.{station}"


def fill(folder, records):
    """Store records of all tables by turns, and a dead letter for each thousand of them."""
    chance = random.Random(1)
    schema = load_schema(folder / "tables" / "station_two")
    rows = [encoded(schema, number) for number in range(5_000)]
    spool = Spool(folder / "state" / "spool.db", NO_LIMITS)
    spool.add_schema(schema.fingerprint, schema.stored)
    for start in range(0, records, PER_GROUP):
        count = min(PER_GROUP, records - start)
        received_us = FIRST_US + start * 1_000
        batches = [
            NewBatch(
                table_of(station),
                station,
                schema.fingerprint,
                range(first := spool.reserve(size), first + size),
                received_us,
                [rows[(first + n) % len(rows)] for n in range(size)],
            )
            for station, size in sizes(chance, count)
        ]
        made = sum(len(batch.records) for batch in batches)
        letters = [letter(start + n, received_us) for n in range(count // PER_LETTER)]
        group = Group(batches, letters)
        group.counts["", "received"] += made + len(letters)
        group.counts["", "recorded"] += made
        group.counts["", "dead_lettered"] += len(letters)
        spool.append(group)
    spool.close()


def sizes(chance, count):
    """Yield station and size of the batches of one group."""
    for station, share in SHARES.items():
        left = count * share // 100
        while left:
            size = 1 if station == "doors" else min(left, chance.choice(SIZES))
            yield station, size
            left -= size


def encoded(schema, number):
    """Return a record of 60 to 120 bytes."""
    return schema.message(
        device_name=f"device-{number % 500:04d}",
        temp=number % 60 - 20,
        humidity=number * 7_919,
        description="state is nominal, no alarm, " + "as measured " * (number % 6),
    ).SerializeToString()


def letter(number, received_us):
    station = STATIONS[number % 3]
    return DeadLetter(
        Fault(KINDS[number % 4], f"temp: {number} is out of range", "temp"),
        f"plant/{station}/d{number % 500}",
        json.dumps({"device_name": "d", "temp": number}).encode(),
        received_us,
        station,
        table_of(station),
    )


def beside(folder, request):
    """Carry out an operation as the daemon does, while another thread stores record by record."""
    schema = load_schema(folder / "tables" / "station_two")
    spool = Spool(folder / "state" / "spool.db", NO_LIMITS)
    spool.add_schema(schema.fingerprint, schema.stored)
    record, over, took = encoded(schema, 1), threading.Event(), []

    def store():
        while not over.is_set():
            began = time.monotonic()
            seqs = [spool.reserve()]
            one = NewBatch(table_of("doors"), "doors", schema.fingerprint, seqs, 1, [record])
            spool.append(Group([one]))
            took.append((time.monotonic() - began) * 1e3)
            over.wait(0.005)

    intake, started = threading.Thread(target=store), time.monotonic()
    wal, wal_bytes = folder / "state" / "spool.db-wal", 0
    intake.start()
    try:
        for _ in perform(Scene(spool, folder / "stations.yaml"), request):
            wal_bytes = max(wal_bytes, wal.stat().st_size)
    finally:
        over.set()
        intake.join()
        spool.close()
    return {
        "wall_s": round(time.monotonic() - started, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "appends": len(took),
        "append_ms_median": round(statistics.median(took), 1),
        "append_ms_longest": round(max(took), 1),
        "wal_mb_largest": round(wal_bytes / 1e6, 1),
        "file_mb": round((folder / "state" / "spool.db").stat().st_size / 1e6, 1),
    }


if __name__ == "__main__":
    what, place, argument = sys.argv[1:]
    if what == "fill":
        fill(Path(place), int(argument))
    else:
        print(json.dumps(beside(Path(place), json.loads(argument))))
