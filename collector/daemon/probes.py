"""What others may ask the daemon over HTTP: whether it lives, stores, is well, and its figures."""

from typing import Any, Final

from collector import status
from collector.config import Config
from collector.daemon.state import LineState
from collector.daemon.web import HTTP_INTAKE

INTAKE: Final = "intake"


class Probes:
    """What `collector.http.VitalSigns` asks of the running daemon; answers are of the moment."""

    def __init__(self, state: LineState) -> None:
        self._state = state

    def standing_still(self) -> list[str]:
        """Return the loops that were not heard of for too long; waits for no disk."""
        return self._state.standing_still()

    def not_storing(self) -> list[str]:
        """Return why a message that comes can't be stored, if so."""
        still = [loop for loop in self._state.standing_still() if loop in (INTAKE, HTTP_INTAKE)]
        if still:
            return [f"{loop} stands still" for loop in still]
        paused = self._state.paused()
        return [f"nothing is stored: {paused}"] if paused else []

    def health(self) -> tuple[str, list[str]]:
        """Return ok, degraded, offline or failing, and why."""
        return status.health(self._state.look())

    def figures(self) -> dict[str, Any]:
        """Return what `collector.metrics` takes: a look at the line, limits and latencies."""
        found, line = self._state.look(), self._state.line
        still = found["standing_still"]
        unacknowledged, size_bytes, window = line.intake.held
        found |= {
            "health": status.health(found)[0],
            "limits": _limits(line.config),
            "requests": self._state.requests(),
            "intake": {"unacknowledged": unacknowledged, "bytes": size_bytes, "window": window},
            "loops": {
                loop: {"age_s": age_s, "is_standing_still": loop in still}
                for loop, age_s in self._state.beat_ages().items()
            },
        }
        self._add_latencies(found)
        _add_counts(found)
        return found

    def _add_latencies(self, found: dict[str, Any]) -> None:
        line = self._state.line
        found["spool"]["commit_latency"] = line.spool.commit_latency.figures()
        found["spool"]["is_failing"] = bool(line.spool.failure)
        for name, state in line.drains.states().items():
            if name in found["tables"]:
                found["tables"][name]["ack_latency"] = state.ack_latency.figures()


def _limits(config: Config) -> dict[str, Any]:
    return {
        "inbox_max_bytes": config.mqtt.inbox_max_bytes,
        "dead_max_bytes": config.dead_letters.max_bytes,
        "dead_max_count": config.dead_letters.max_count,
        "table_share": config.spool.table_share,
        "window_max_bytes": config.zerobus.window_max_bytes,
        "in_flight_max_bytes": config.zerobus.in_flight_max_bytes,
        "max_records_per_second": config.zerobus.max_records_per_second,
        "max_bytes_per_second": config.zerobus.max_bytes_per_second,
    }


def _add_counts(found: dict[str, Any]) -> None:
    """Add as numbers what a look has as texts and lists."""
    spool, configuration = found["spool"], found["configuration"]
    found["is_paused"] = bool(found["paused"])
    configuration["is_refused"] = bool(configuration["error"])
    found["broker"]["refused_count"] = len(found["broker"]["refused_filters"])
    spool["damaged_count"] = len(spool["damaged"])
    spool["salvaging_count"] = sum(one["state"] != "done" for one in spool["quarantine"])
    for table in found["tables"].values():
        waits_us = found["updated_us"] - (table["oldest_us"] or found["updated_us"])
        table["oldest_age_s"] = max(0.0, waits_us / 1e6)
        table["is_stuck"] = bool(table.get("stuck"))
        table |= {f"end:{reason}": count for reason, count in table.get("ends", {}).items()}
