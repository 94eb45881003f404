"""The line, put together: from a configuration to its running parts, and back in order.

`plan` is everything that can be said before anything is opened: `collector check` stops there.
"""

import logging
import time
from collections.abc import Callable
from collections.abc import Mapping as Dict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Self

from collector.config import Config, Station
from collector.drain import Drains
from collector.errors import ConfigError, Problem
from collector.intake import Intake
from collector.intake.group import StationRecords
from collector.mapping import Mapping, compile_mapping
from collector.router import Router, parse_filter
from collector.spool import Spool
from collector.spool.lock import SpoolLock
from collector.stream import Connections
from collector.subscriber import Subscriber, Subscription
from collector.tables import Schema, load_schemas

_log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 30.0
STOP_S: Final = 20.0
_INTAKE_STOP_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration whose tables, filters and mappings are compiled."""

    config: Config
    router: Router
    mappings: tuple[Mapping, ...]

    @property
    def schemas(self) -> Dict[str, Schema]:
        """The schema of each configured table."""
        stations = zip(self.config.stations, self.mappings, strict=True)
        return {station.table: mapping.schema for station, mapping in stations}


def plan(config: Config) -> Plan:
    """Compile tables, filters and mappings.

    Raises:
        ConfigError: with all that is wrong, each with its file and line.
    """
    problems: list[Problem] = []
    schemas: Dict[Path, Schema] = {}
    try:
        schemas = load_schemas(station.schema_dir for station in config.stations)
    except ConfigError as error:
        problems += error.problems
    mappings: list[Mapping] = []
    for station in config.stations:
        try:
            mapping = _compile(config, station, schemas)
        except ConfigError as error:
            problems += error.problems
        else:
            mappings += [mapping] if mapping is not None else []
    if problems:
        raise ConfigError(problems)
    router = Router([(station.name, station.topics) for station in config.stations])
    return Plan(config, router, tuple(mappings))


def _compile(config: Config, station: Station, schemas: Dict[Path, Schema]) -> Mapping | None:
    """Compile a station; None when its schema could not be read, which is said elsewhere."""
    captures: list[set[str]] = []
    problems: list[Problem] = []
    for text in station.topics:
        try:
            captures.append({name for name, _ in parse_filter(text).captures})
        except ValueError as error:
            key = f"stations.{station.name}.topic"
            problems.append(Problem(config.path, station.line, str(error), key))
    if problems:
        raise ConfigError(problems)
    schema = schemas.get(station.schema_dir)
    if schema is None:
        return None
    # What only some of its filters capture, a station can't count on.
    common = sorted(set.intersection(*captures))
    return compile_mapping(station, schema, common, config.gateway, file=config.path)


class Line:
    """The running parts; `give_up` ends the wait for a spool that another collector owns.

    `intake_type` and `drains_type` are there to be shown wrong by tests.
    """

    intake_type = Intake
    drains_type = Drains

    def __init__(self, plan_: Plan, give_up: Callable[[], bool] = lambda: False) -> None:
        self.plan = plan_
        config = self.config = plan_.config
        self._lock = SpoolLock(config.spool.path)
        if not self._lock.take():
            _log.warning(
                "%s owns the spool %s: waiting up to %.0f s for it",
                self._lock.holder(),
                config.spool.path,
                LOCK_WAIT_S,
            )
            self._lock.wait(LOCK_WAIT_S, give_up)
        limits = config.spool
        self.spool = Spool(limits.path, limits.max_bytes, limits.min_free_bytes)
        for schema in plan_.schemas.values():
            self.spool.add_schema(schema.fingerprint, schema.stored)
        # The subscriber makes its TLS context before the SDK's CA goes into the environment.
        self.subscriber = self._make_subscriber(plan_.router)
        connections = Connections(config.zerobus, f"zerobus-collector/{_version()}")
        self.drains = self.drains_type(self.spool, connections, config.zerobus, plan_.schemas)
        stations = [
            StationRecords(mapping, station.table, self.spool)
            for station, mapping in zip(config.stations, plan_.mappings, strict=True)
        ]
        self.intake = self.intake_type(config, self.subscriber, plan_.router, stations, self.spool)

    def start(self) -> Self:
        """Start draining what is in the spool, and taking messages."""
        self.spool.stored = self.drains.notify
        self.drains.notify(self.spool.reader.tables())
        self.intake.start()
        return self

    def stop(self, deadline: float | None = None) -> None:
        """End the line in its own order: nothing new, commit, PUBACK, acks, streams, spool."""
        deadline = deadline or time.monotonic() + STOP_S
        self.intake.stop()
        self.intake.join(min(_INTAKE_STOP_S, max(0.0, deadline - time.monotonic())))
        self.drains.stop(deadline - 1.0)
        self.spool.close()
        self._lock.release()

    def _make_subscriber(self, router: Router) -> Subscriber:
        known = {filter_.wire for filter_ in router.filters}
        return Subscriber(
            self.config.mqtt,
            [Subscription(filter_.wire, filter_.identifier) for filter_ in router.filters],
            [filter_.wire for filter_ in router.uncovered()],
            [text for text in self.spool.reader.granted() if text not in known],
            router.overlapping(),
        )


def _version() -> str:
    return version("zerobus-collector")
