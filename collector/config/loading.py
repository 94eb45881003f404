"""From the file to the frozen models: expand, complete, check, and say all that is wrong at once.

Each section is validated by itself, so that an error in one does not hide those of another. What
the file leaves out and what depends on this box (names, folders, secrets) is filled in before; what
spans sections is checked after.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from collector import formats
from collector.config import across
from collector.config.document import Place, read
from collector.config.environment import (
    box_name,
    expand,
    find_credential,
    instance_of,
    read_dotenv,
    read_secret,
    runtime_folder,
    spool_file,
)
from collector.config.heartbeat import heartbeat_station
from collector.config.keys import SECTIONS, TOP, nearest
from collector.config.listening import Http, Metrics
from collector.config.models import (
    HEARTBEAT,
    Box,
    Config,
    DeadLetters,
    Heartbeat,
    Mqtt,
    SpoolLimits,
    Station,
    Zerobus,
)
from collector.config.section import Section, said_of
from collector.config.vocabulary import Condition, TimeWindow, Words
from collector.errors import ConfigError

MACHINE_ID: Final = Path("/etc/machine-id")
SECRETS: Final = (
    ("mqtt", "password", "mqtt_password"),
    ("zerobus", "client_secret", "client_secret"),
    ("metrics", "token", "metrics_token"),
    ("http", "token", "http_token"),
)
_Any = TypeVar("_Any", bound=BaseModel)
_Section = TypeVar("_Section", bound=Section)


def load(
    path: Path,
    environment: Mapping[str, str] | None = None,
    machine_id: Path = MACHINE_ID,
    *,
    secrets: bool = True,
) -> Config:
    """Read `stations.yaml`; raises `ConfigError` with every problem that the file has.

    Without `secrets` none is read, and what stands for them opens nothing: a command that needs
    none works for a user who may not read them, as where systemd hands them to the daemon alone.
    """
    variables = os.environ if environment is None else environment
    return _Loading(path, variables, machine_id, secrets=secrets).run()


class _Loading:
    """One reading of one file; collects problems in its document and warnings."""

    def __init__(
        self, path: Path, variables: Mapping[str, str], machine_id: Path, *, secrets: bool
    ) -> None:
        self._machine_id = machine_id
        self._with_secrets = secrets
        self._folder = path.absolute().parent
        dotenv, problems = read_dotenv(self._folder / ".env")
        self._variables = {**dotenv, **variables}
        self._warnings: list[str] = []
        self._document = read(path, lambda text: expand(text, self._variables))
        self._document.problems.extend(problems)

    def run(self) -> Config:
        if self._document.broken:
            raise ConfigError(self._document.problems)
        top = self._mapping(self._document.values, ())
        self._refuse_unknown(top, (), TOP)
        # The section may be there and empty: then it has its defaults.
        has_http = ("http",) in self._document.lines
        sections = {name: self._mapping(top.pop(name, None), (name,)) for name in SECTIONS}
        entries = self._mapping(top.pop("stations", None), ("stations",))
        for section, key, credential in SECRETS:
            self._fill_secret(sections[section], (section, key), credential)
        self._fill_names(top, sections)
        for name in ("mqtt", "http"):
            across.check_certificate(self._document, name, sections[name])
        if has_http and instance_of(self._folder):
            across.check_port(self._document, sections["http"])
        across.check_broker(self._document, sections["mqtt"], entries, has_http=has_http)
        mqtt = self._validate(Mqtt, sections["mqtt"], ("mqtt",))
        zerobus = self._validate(Zerobus, sections["zerobus"], ("zerobus",))
        spool = self._validate(SpoolLimits, sections["spool"], ("spool",))
        dead_letters = self._validate(DeadLetters, sections["dead_letters"], ("dead_letters",))
        metrics = self._validate(Metrics, sections["metrics"], ("metrics",))
        http = self._validate(Http, sections["http"], ("http",)) if has_http else None
        top.setdefault("runtime_dir", self._runtime_dir(spool))
        box = self._validate(Box, top, ())
        stations = self._stations(entries, may_lack_topics=has_http)
        heartbeat = self._heartbeat(sections["heartbeat"])
        if heartbeat:
            stations += heartbeat_station(self._document, heartbeat, entries)
        across.check_limits(self._document, mqtt, spool)
        if self._with_secrets:
            across.check_token(self._document, metrics)
            across.check_certificates(self._document, mqtt, zerobus)
            across.check_http(self._document, http, metrics)
            self._warnings += across.token_warnings("metrics", metrics)
            self._warnings += across.token_warnings("http", http)
        across.check_tables(self._document, stations)
        for place, text in self._document.unexpanded.items():
            self._document.report(place, text)
        if mqtt:
            self._warnings.extend(across.plaintext_warnings(mqtt))
        if http:
            self._warnings.extend(across.http_warnings(http))
        problems = self._document.problems
        if problems or not (mqtt and zerobus and spool and dead_letters and metrics and box):
            raise ConfigError(sorted(problems, key=lambda one: (one.file, one.line)))
        return Config(
            path=self._document.file,
            gateway=box.gateway,
            runtime_dir=box.runtime_dir,
            mqtt=mqtt,
            zerobus=zerobus,
            spool=spool,
            dead_letters=dead_letters,
            metrics=metrics,
            stations=tuple(stations),
            heartbeat=heartbeat,
            http=http,
            warnings=tuple(self._warnings),
        )

    def _mapping(self, value: Any, place: Place) -> dict[str, Any]:
        """A section without the keys that were left empty: those take their defaults."""
        if isinstance(value, dict):
            return {key: inner for key, inner in value.items() if inner is not None}
        if value is not None:
            self._document.report(place, "must be a mapping of keys to values")
        return {}

    def _refuse_unknown(self, values: dict[str, Any], place: Place, known: tuple[str, ...]) -> None:
        for key in [key for key in values if key not in known]:
            self._document.report((*place, key), "unknown key", nearest(key, known))
            del values[key]

    def _fill_secret(self, section: dict[str, Any], place: Place, credential: str) -> None:
        """A systemd credential outranks the file, which outranks the value."""
        key = str(place[-1])
        if not self._with_secrets:
            self._document.unexpanded.pop(place, None)
            if key in section or SECTIONS[str(place[0])].model_fields[key].is_required():
                section[key] = "not read"
            return
        source = find_credential(credential, self._variables, self._folder)
        if source is None and isinstance(named := section.get(f"{key}_file"), str):
            source = self._folder / Path(named).expanduser()
        if source is None:
            return
        self._document.unexpanded.pop(place, None)
        try:
            section[key] = read_secret(source)
        except ValueError as error:
            # The section is not to be called incomplete as well.
            section[key] = "unreadable"
            denied = isinstance(error.__cause__, PermissionError)
            hint = "run the command as root, with sudo" if denied else ""
            self._document.report((*place[:-1], f"{key}_file"), str(error), hint)

    def _fill_names(self, top: dict[str, Any], sections: dict[str, dict[str, Any]]) -> None:
        host = socket.gethostname()
        name = box_name(host, self._machine_id)
        if name is None and not ("gateway" in top and "client_id" in sections["mqtt"]):
            self._warnings.append(
                f"{self._machine_id} gives no machine id: gateway and mqtt.client_id come from"
                f" the host name {host} alone; set both, two boxes must never share them"
            )
        # Two instances on one box are two: to the broker, and in what identifies a record.
        own = "-".join(filter(None, (name or host, instance_of(self._folder))))
        top.setdefault("gateway", own)
        sections["mqtt"].setdefault("client_id", own)
        sections["spool"].setdefault("path", spool_file(self._variables, self._folder))
        if instance_of(self._folder):
            # The port is the plain unit's: the instances of a box would fight for it.
            runtime = runtime_folder(self._variables, self._folder)
            sections["metrics"].setdefault("listen", f"unix:{runtime}/metrics.sock")
        across.fill_status_topic(sections["mqtt"], top["gateway"])

    def _runtime_dir(self, spool: SpoolLimits | None) -> str:
        folder = spool.path.parent if spool else self._folder
        return runtime_folder(self._variables, self._folder) or str(folder)

    def _validate(
        self, model: type[_Section], values: dict[str, Any], place: Place
    ) -> _Section | None:
        if place:
            self._refuse_unknown(values, place, model.keys())
        return self._build(model, values, place)

    def _build(
        self, model: type[_Any], values: dict[str, Any], place: Place, folder: Path | None = None
    ) -> _Any | None:
        try:
            return model.model_validate(values, context={"folder": folder or self._folder})
        except ValidationError as error:
            own = tuple(field.alias or name for name, field in model.model_fields.items())
            for fault in error.errors(include_url=False, include_input=False):
                known = own if len(fault["loc"]) == 1 else ()
                self._report(fault, self._document.place_of(place, fault["loc"]), known)
            return None

    def _report(self, fault: Any, place: Place, known: tuple[str, ...]) -> None:
        if any(place[: len(inner)] == inner for inner in self._document.unexpanded):
            return
        hint = ""
        if fault["type"] == "extra_forbidden":
            model = (
                Condition if "when" in place else TimeWindow if "time_window" in place else Words
            )
            hint = nearest(str(place[-1]), known or model.keys())
        self._document.report(place, said_of(fault), hint)

    def _stations(self, entries: dict[str, Any], *, may_lack_topics: bool) -> list[Station]:
        if not entries:
            self._document.report(("stations",), "names no station: nothing would be collected")
        stations = []
        lines = self._document.lines_of_each(("stations",))
        for name, value in entries.items():
            place: Place = ("stations", name)
            values = self._mapping(value, place)
            self._refuse_unknown(values, place, (*Station.keys(), *formats.names()))
            values.setdefault("schema", name)
            if "topic" not in values and not may_lack_topics:
                hint = "a filter that starts with # must be quoted"
                self._document.report((*place, "topic"), "is missing", hint)
            inferred = {
                "name": name,
                "line": self._document.line(place),
                "lines": lines.get(name, {}),
                "options": self._options(values, place),
            }
            if station := self._build(Station, values | inferred, place):
                stations.append(station)
        return stations

    def _heartbeat(self, values: dict[str, Any]) -> Heartbeat | None:
        if not values:
            return None
        values.setdefault("schema", HEARTBEAT)
        return self._validate(Heartbeat, values, (HEARTBEAT,))

    def _options(self, values: dict[str, Any], place: Place) -> formats.FormatOptions:
        """Take the options of the station's format out of its keys, where they stand by name."""
        chosen = values.get("format", "json")
        for name in formats.names():
            if name in values and name != chosen:
                text = f"has no effect, because the format is {chosen}"
                self._document.report((*place, name), text, f"format: {name}")
                del values[name]
        options = self._mapping(values.pop(str(chosen), None), (*place, str(chosen)))
        try:
            model = formats.options_of(str(chosen))
        except ValueError as error:
            self._document.report((*place, "format"), str(error))
            del values["format"]
            return formats.FormatOptions()
        folder = self._folder / "tables" / str(values["schema"])
        built = self._build(model, options, (*place, str(chosen)), folder)
        return built or formats.FormatOptions()
