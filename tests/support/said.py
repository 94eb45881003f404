"""Status files as a daemon would write them, for what reads them."""

import os
import time

from collector.status import StatusFile

LONG_AGO_S = 3 * 86_400


def snapshot(stations=3, pid=None, age_s=0.0, growth=0.0, **more):
    """Return what a daemon says; the stations have no backlog, and all is well."""
    now_us = time.time_ns() // 1000
    names = [f"station_{number:02d}" for number in range(stations)]
    return {
        "pid": pid or os.getpid(),
        "version": "0.1.0",
        "gateway": "greenhouse-7",
        "started_us": now_us - LONG_AGO_S * 1_000_000,
        "updated_us": now_us - int(age_s * 1e6),
        "paused": "",
        "clock_ok": True,
        "broker": {
            "url": "mqtt://localhost:1883",
            "connected": True,
            "protocol": "5",
            "last_error": "",
            "refused_filters": {},
        },
        "messages": {},
        "received_rate": 415.0,
        "broker_rate": 310.0,
        "stations": {name: _station(name) for name in names},
        "tables": {f"main.iot.{name}": _table() for name in names},
        "spool": {
            "used_bytes": 132_000_000,
            "wal_bytes": 4_000_000,
            "free_bytes": 0,
            "max_bytes": 1_000_000_000,
            "min_free_bytes": 0,
            "disk_free_bytes": 4_200_000_000,
            "growth_per_s": growth,
            "quarantine": [],
            "losses": [],
            "damaged": {},
        },
        **more,
    }


def _station(name):
    return {
        "table": f"main.iot.{name}",
        "rate": 12.5,
        "message_rate": 12.0,
        "internal_since_start": 0,
        "messages": 5_000,
        "records": 5_200,
    }


def _table():
    return {
        "spooled": 0,
        "rate": 12.5,
        "oldest_us": None,
        "state": "streaming",
        "reason": "",
        "hint": "",
    }


def say(folder, document):
    """Replace the status file of a folder."""
    StatusFile(folder).write(document)
    return document


def trouble(stations=20):
    """Return what a daemon says in a bad night."""
    document = snapshot(stations, growth=80_000.0)
    tables = list(document["tables"].values())
    old_us = document["updated_us"] - 4 * 3600 * 1_000_000
    tables[7] |= {
        "state": "held", "spooled": 1_234_567, "oldest_us": old_us, "rate": 0.0,
        "reason": "permission denied",
        "hint": "GRANT MODIFY ON TABLE main.iot.station_07 TO the client id of the collector",
    }  # fmt: skip
    tables[3] |= {
        "state": "waiting", "reason": "connection refused", "spooled": 87_000,
        "oldest_us": old_us + 3 * 3600 * 1_000_000, "rate": 0.0,
    }  # fmt: skip
    tables[12]["spooled"] = 12
    document["stations"]["station_05"] |= {"dead:bad_value": 153, "dead:undecodable": 12_000}
    document["tables"]["main.iot.removed"] = {
        **_table(), "spooled": 400, "oldest_us": old_us, "state": "idle", "rate": 0.0
    }  # fmt: skip
    document["messages"] = {"dead": 12_153, "dead_bytes": 4_100_000}
    document["spool"]["quarantine"] = [
        {"folder": "2026-11-22T12-00-00Z", "at_us": 1, "state": "done", "salvaged": 1_204}
    ]
    return document
