"""A station as the requests for it meet it: how their topic is read, what they have brought."""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from collector.config import Station
from collector.http.ingest.misfits import ERRORS_MAX
from collector.http.refused import RefusedError, unknown_station
from collector.intake.records import StationRecords
from collector.mapping import Mapping
from collector.model import Fault
from collector.plan import Plan, mappings_anew
from collector.spool import Spool

TOPICS_MAX: Final = 10_000
"""Topics of a station whose captures are kept; beyond, all are read anew."""
TOPIC_MAX_BYTES: Final = 65_535
"""As MQTT has it."""


class Target:
    """One station; not for several threads. `why_not` says why it takes no requests, if so."""

    def __init__(self, plan: Plan, index: int, mapping: Mapping, spool: Spool) -> None:
        self.station = station = plan.config.stations[index]
        mapping.faults_max = ERRORS_MAX
        self.records = StationRecords(mapping, station.table, spool)
        self.why_not = why_not(station, mapping)
        self._max_bytes = plan.config.mqtt.message_max_bytes
        self._captures_of = partial(plan.captures, index)
        self._captures: dict[str, dict[str, str]] = {}

    def place(self, topic: str) -> tuple[str, dict[str, str]]:
        """Return the topic of a request and what it captures; without one it is `http/STATION`.

        Raises:
            RefusedError: the topic is none, or fits no filter of the station.
        """
        topic = topic or f"http/{self.station.name}"
        captures = self._captures.get(topic)
        if captures is None:
            captures = self._read(topic)
            if len(self._captures) >= TOPICS_MAX:
                self._captures.clear()
            # The same object each time: it is by this that a mapping knows a topic again.
            self._captures[topic] = captures
        return topic, captures

    def may_give_nothing(self, payloads: Sequence[bytes]) -> bool:
        """Whether it is as wanted that these give no record: `when` left all out, or an empty list.

        Else a misspelt key, such as one on the way of `each`, would lose all without a word.
        """
        return bool(self.station.when) or all(one.strip() == b"[]" for one in payloads)

    def too_large(self, mark: int, faults: Sequence[Fault]) -> list[Fault]:
        """Take out the records behind `mark` that no stream may carry; returns a fault for each."""
        return self.records.take_too_large(mark, self._max_bytes, faults)

    def _read(self, topic: str) -> dict[str, str]:
        if "\0" in topic or set(topic) & set("+#") or len(topic.encode()) > TOPIC_MAX_BYTES:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "`topic` is no topic", "It has no +, # or NUL in it."
            )
        captures = self._captures_of(topic)
        if captures is None:
            filters = ", ".join(self.station.topics)
            raise RefusedError(
                HTTPStatus.BAD_REQUEST,
                f"the topic {topic!r} fits no filter of {self.station.name}",
                f"It has {filters}.",
            )
        return captures


def why_not(station: Station, mapping: Mapping) -> str:
    """Say why a station takes no requests, or nothing."""
    if mapping.decoder.memory is not None:
        return (
            f"{station.format} messages lean on those that came before, which the broker orders:"
            " they come by MQTT only"
        )
    return ""


def find(targets: Dict[str, Target], station: str) -> Target:
    """Return the target of a name; raises RefusedError where there is none."""
    if (target := targets.get(station)) is None:
        raise unknown_station(station, targets)
    return target


def targets_of(plan: Plan, spool: Spool) -> dict[str, Target]:
    """Return the stations that requests may name; compiled for the thread that takes these.

    The heartbeat's is none of them: its rows are the collector's own.
    """
    stations = plan.config.stations
    return {
        stations[index].name: Target(plan, index, mapping, spool)
        for index, mapping in enumerate(mappings_anew(plan))
        if not stations[index].is_heartbeat
    }
