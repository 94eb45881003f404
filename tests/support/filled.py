"""A folder with a configuration and a spool of known content, for the commands."""

import shutil
from collections import Counter

from collector.model import DeadLetter, Fault, NewBatch
from collector.spool import Group, Limits, Spool
from collector.tables import load_schema
from support.line import ROOT

ONE, TWO = "main.iot.station_one", "main.iot.station_two"
NOON_US = 1_795_348_800_000_000
"""2026-11-22 12:00:00 UTC."""
FIRST_SEQ = 1_000_000
EVIL = '{"temp": "\x1b[2J\x9b31m\u202e"}'.encode()


def make_box(folder):
    """Copy the sample configuration and its tables."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "stations.yaml", folder)
    shutil.copytree(ROOT / "tables", folder / "tables")
    (folder / "state").mkdir(mode=0o700)
    (folder / "state" / "spool.db.seq").write_text(f"{FIRST_SEQ}\n")
    return folder


def schema_of(folder, name):
    return load_schema(folder / "tables" / name)


def fill(folder, batches=4, records=3):
    """Store batches of both stations by turns, a minute apart, and five dead letters."""
    with_spool = Spool(folder / "state" / "spool.db", Limits())
    for station in ("station_one", "station_two"):
        schema = schema_of(folder, station)
        with_spool.add_schema(schema.fingerprint, schema.stored)
    for number in range(batches):
        station = ("station_one", "station_two")[number % 2]
        store(folder, with_spool, station, records, NOON_US + number * 60_000_000)
    refused = schema_of(folder, "station_one")
    letters = [
        letter("bad_value", "temp: 'hot' is not a number", EVIL, 0),
        letter("undecodable", "not JSON", b"\xff\x00rubbish", 1),
        letter("internal", "Traceback (most recent call last):\n  ...\nKeyError: 'x'", b"{}", 2),
        letter("bad_value", "humidity: 1e99 is out of range", b'{"humidity": 1e99}', 3),
        DeadLetter(
            Fault("refused", "Invalid argument: no"),
            topic="",
            payload=refused.message(device_name="d9", temp=9).SerializeToString(),
            received_us=NOON_US,
            station="station_one",
            table=ONE,
            seq=FIRST_SEQ - 1,
            fingerprint=refused.fingerprint,
        ),
    ]
    counts = Counter({("", "received"): 4, ("", "dead_lettered"): 4})
    with_spool.append(Group(dead_letters=letters, counts=counts))
    with_spool.close()
    return folder / "state" / "spool.db"


def store(folder, spool, station, records, received_us, device="d"):
    schema = schema_of(folder, station)
    first = spool.reserve(records)
    seqs = range(first, first + records)
    bodies = [
        schema.message(device_name=f"{device}{seq % 7}", temp=seq % 40).SerializeToString()
        for seq in seqs
    ]
    table = f"main.iot.{station}"
    batch = NewBatch(table, station, schema.fingerprint, seqs, received_us, bodies)
    counts = Counter({("", "received"): records, ("", "recorded"): records})
    spool.append(Group([batch], counts=counts))


def letter(kind, reason, payload, number):
    station = "station_two" if number % 2 else "station_one"
    return DeadLetter(
        Fault(kind, reason, "temp"),
        f"sensors/{station}/d{number}",
        payload,
        NOON_US + number * 60_000_000,
        station,
        f"main.iot.{station}",
    )
