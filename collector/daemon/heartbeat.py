"""The heartbeat: a row about this box, spooled and drained like any other (glossary).

A gateway that is dead can't say so; a table in which its rows have ended can.
"""

import json
import logging
import time
from typing import Any, Final

from collector import status
from collector.config import HEARTBEAT
from collector.daemon.line import Line
from collector.errors import SpoolDamagedError, SpoolError
from collector.intake.records import StationRecords
from collector.model import Message
from collector.spool import Group

_log = logging.getLogger(__name__)

_NO_CAPTURES: Final[dict[str, str]] = {}


class Heartbeats:
    """Spools a row at the start, and then every `heartbeat.interval`; used by the main thread."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._started = time.monotonic()
        self._due = 0.0
        self._failed = ""

    def tick(self, snapshot: dict[str, Any]) -> None:
        """Spool a row when it is due; one that can't be stored is left out, and the next one tried.

        `snapshot` is the latest of the status file.
        """
        options, now = self._line.config.heartbeat, time.monotonic()
        if options is None:
            self._due = 0.0
            return
        if now < self._due and self._due - now <= options.interval:
            return  # Due later; but not when a reload has made the interval shorter.
        self._due = now + options.interval
        try:
            failed = self._store(row(snapshot, now - self._started))
        except SpoolDamagedError:
            raise  # The next start saves what is intact.
        except SpoolError as error:
            failed = str(error)
        if failed and not self._failed:
            _log.warning("no heartbeat until this is mended: %s", failed)
        self._failed = failed

    def _store(self, values: dict[str, Any]) -> str:
        """Append the row in a commit of its own; returns what is wrong with it."""
        plan, spool = self._line.plan, self._line.spool
        pairs = zip(plan.config.stations, plan.mappings, strict=True)
        station, mapping = next(pair for pair in pairs if pair[0].name == HEARTBEAT)
        records = StationRecords(mapping, station.table, spool)
        received_us = time.time_ns() // 1000
        message = Message(b"", json.dumps(values).encode())
        faults = mapping.encode(
            message, _NO_CAPTURES, "", received_us, records.next_seq, records.records
        )
        if faults:
            mapping.forget()
            return f"{station.table}: {faults[0].reason}"
        group = Group(records.batches(received_us))
        group.counts[records.scope, "records"] = len(records.records)
        spool.append(group)
        records.clear()
        return ""


def row(snapshot: dict[str, Any], uptime_s: float) -> dict[str, Any]:
    """Return what a heartbeat says; ages are seconds, numbers are those of the spool's counters.

    `dropped` is every record that left without being delivered: by a limit, by its age, or because
    a damaged file lost it.
    """
    tables = snapshot["tables"].values()
    ages = [table["oldest_us"] for table in tables if table["oldest_us"]]
    oldest_s = max(0.0, time.time() - min(ages) / 1e6) if ages else 0.0

    def total(*names: str) -> int:
        return sum(table.get(name, 0) for table in tables for name in names)

    return {
        "version": snapshot["version"],
        "health": status.health(snapshot)[0],
        "backlog": total("spooled"),
        "oldest_age_s": round(oldest_s, 1),
        "dead_letters": snapshot["messages"].get("dead_lettered", 0) + total("buried"),
        "dropped": total("dropped", "expired", "lost"),
        "uptime_s": round(uptime_s),
    }
