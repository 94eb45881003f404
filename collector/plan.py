"""A configuration whose tables, filters and mappings are compiled.

All that can be said of it before anything is opened: `collector check` stops here.
"""

from collections.abc import Mapping as Dict
from dataclasses import dataclass
from pathlib import Path

from collector.config import Config, Station, load
from collector.errors import ConfigError, Problem
from collector.mapping import Mapping, compile_mapping
from collector.router import Offer, Router, parse_filter
from collector.tables import FILE_NAME, Schema, load_schemas


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

    def offers(self, topic: str) -> list[Offer]:
        """Return which stations take a topic; `http/STATION` is that of a request without one."""
        found = list(self.router.resolve(topic.encode(), ()).offers)
        taken = {offer.station for offer in found}
        if self.config.http is not None:
            for index, station in enumerate(self.config.stations):
                is_asked = topic == f"http/{station.name}" and not station.is_heartbeat
                found += [Offer(index, {})] if is_asked and index not in taken else []
        return found

    def captures(self, index: int, topic: str) -> dict[str, str] | None:
        """Return what a station captures of a topic; None when it does not take it.

        A station without topics takes all: who sends to it over HTTP may name any.
        """
        for offer in self.offers(topic):
            if offer.station == index:
                return offer.captures
        station = self.config.stations[index]
        return None if station.topics or station.is_heartbeat else {}


def load_with_schemas(file: Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it has mistakes; those of the schemas beside it are told as well.
    """
    try:
        return load(file)
    except ConfigError as error:
        folders = sorted(path.parent for path in (file.parent / "tables").glob(f"*/{FILE_NAME}"))
        try:
            load_schemas(folders)
        except ConfigError as more:
            raise ConfigError(error.problems + more.problems) from more
        raise


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
    router = Router(
        [(station.name, station.topics) for station in config.stations],
        {station.name: station.excepts for station in config.stations},
    )
    if taken := _taking_the_status(config, router):
        raise ConfigError(taken)
    return Plan(config, router, tuple(mappings))


def mappings_anew(plan: Plan) -> tuple[Mapping, ...]:
    """Compile the mappings of a plan once more, for another thread than that of the first ones."""
    pairs = zip(plan.config.stations, plan.mappings, strict=True)
    schemas = {station.schema_dir: mapping.schema for station, mapping in pairs}
    compiled = (_compile(plan.config, station, schemas) for station in plan.config.stations)
    return tuple(mapping for mapping in compiled if mapping is not None)


def _taking_the_status(config: Config, router: Router) -> list[Problem]:
    """Say which stations would collect what the collector says of itself."""
    topic = config.mqtt.status_topic
    offers = router.resolve(topic.encode(), ()).offers if topic else ()
    return [
        Problem(
            config.path,
            station.lines.get("topic", station.line),
            f"would collect mqtt.status_topic, which is {topic}",
            f"stations.{station.name}.topic",
            "choose another topic, or write it under except",
        )
        for station in (config.stations[offer.station] for offer in offers)
    ]


def _compile(config: Config, station: Station, schemas: Dict[Path, Schema]) -> Mapping | None:
    """Compile a station; None when its schema could not be read, which is said elsewhere."""
    captures: list[set[str]] = []
    problems: list[Problem] = []
    for word, texts in (("topic", station.topics), ("except", station.excepts)):
        for text in texts:
            try:
                names = parse_filter(text).pattern.names
            except ValueError as error:
                line = station.lines.get(word, station.line)
                key = f"stations.{station.name}.{word}"
                problems.append(Problem(config.path, line, str(error), key))
            else:
                captures += [set(names)] if word == "topic" else []
    if problems:
        raise ConfigError(problems)
    schema = schemas.get(station.schema_dir)
    if schema is None:
        return None
    # What only some of its filters capture, a station can't count on.
    common = sorted(set.intersection(*captures)) if captures else []
    return compile_mapping(station, schema, common, config.gateway, file=config.path)
