"""The frozen models of `stations.yaml`: every key, its type, its default and its bounds.

`docs/configuration.md` gives the reason of each default. Durations are seconds, sizes are bytes.
A limit that depends on another key of the same section is checked here, at the key that is at
fault; what spans sections is checked in `loading.py`. Paths are resolved against the folder of the
file, which the loader passes as context.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from collector.config import fields
from collector.config.fields import (
    ExistingFile,
    FilePath,
    Origin,
    SchemaFolder,
    Secret,
    StatusTopic,
    TableName,
    Text,
    Topics,
    Whole,
)
from collector.config.listening import Http, Metrics
from collector.config.quantities import SIZE_UNITS, format_size
from collector.config.section import Section
from collector.config.vocabulary import (
    Comma,
    Condition,
    Scalars,
    TimeWindow,
    Words,
    ZoneText,
)
from collector.formats import FormatOptions

_KIB, _MIB, _GIB = SIZE_UNITS["KiB"], SIZE_UNITS["MiB"], SIZE_UNITS["GiB"]
WhenFull = Literal["pause", "drop_oldest", "drop_newest"]
HEARTBEAT: Final = "heartbeat"
"""The station that nobody sends anything: its rows are about this box."""
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class Mqtt(Section):
    """The broker and how much may be in the air between it and the spool.

    Without a `url` there is no broker: records come over HTTP only.
    """

    url: Text = ""
    client_id: Text
    username: Text | None = None
    password: Secret | None = None
    password_file: FilePath | None = None
    ca_file: ExistingFile | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(fields.version)] = "auto"
    qos: Annotated[Literal[0, 1], BeforeValidator(fields.whole)] = 1
    keepalive: Annotated[float, fields.duration("1s", "18h")] = 60.0
    receive_maximum: Annotated[Whole, Field(ge=1, le=65_535)] = 5_000
    session_expiry: Annotated[float, fields.duration("1s", "49710d")] = 7 * 86_400.0
    message_max_bytes: Annotated[int, fields.size("1KiB", "10MB")] = _MIB
    maximum_packet_size: Annotated[int, fields.size("1KiB", "256MB")] = Field(
        default=16 * _MIB, validate_default=True
    )
    inbox_max_bytes: Annotated[int, fields.size("64KiB", "1GiB")] = Field(
        default=16 * _MIB, validate_default=True
    )
    status_topic: StatusTopic | None = None

    @property
    def scheme(self) -> str:
        """`mqtt`, `mqtts`, `ws` or `wss`; empty without a broker."""
        return fields.split_url(self.url, tuple(_PORTS)).scheme if self.url else ""

    @property
    def host(self) -> str:
        """The broker's host name or address, without brackets."""
        return fields.split_url(self.url, tuple(_PORTS)).hostname or ""

    @property
    def port(self) -> int:
        """The port of the address, or the usual one of its scheme."""
        return fields.split_url(self.url, tuple(_PORTS)).port or _PORTS[self.scheme]

    @property
    def path(self) -> str:
        """The path of a websocket address."""
        parts = fields.split_url(self.url, tuple(_PORTS))
        path = parts.path if parts.path not in {"", "/"} else "/mqtt"
        return f"{path}?{parts.query}" if parts.query else path

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.scheme in {"mqtts", "wss"}

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = fields.split_url(value, tuple(_PORTS))
        if parts.scheme in {"mqtt", "mqtts"} and (parts.path.strip("/") or parts.query):
            raise ValueError("must not have a path: only ws:// and wss:// have one")
        return value

    @field_validator("password")
    @classmethod
    def _check_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and "username" in info.data and info.data["username"] is None:
            raise ValueError("needs a username: MQTT 3.1.1 knows no password without one")
        return value

    @field_validator("maximum_packet_size", "inbox_max_bytes")
    @classmethod
    def _check_room_for_a_message(cls, value: int, info: ValidationInfo) -> int:
        largest = info.data.get("message_max_bytes", 0)
        if value < largest:
            raise ValueError(f"must not be less than message_max_bytes ({format_size(largest)})")
        return value


class Zerobus(Section):
    """The service and how much may be on its way to it."""

    endpoint: Origin
    workspace_url: Origin
    client_id: Text
    client_secret: Secret
    client_secret_file: FilePath | None = None
    ca_file: ExistingFile | None = None
    ack_timeout: Annotated[float, fields.duration("100ms", "10min")] = 60.0
    window_max_bytes: Annotated[int, fields.size("256KiB", "256MiB")] = 8 * _MIB
    in_flight_max_bytes: Annotated[int, fields.size("1MiB", "16GiB")] = 64 * _MIB
    rotate_after: Annotated[float, fields.duration("1s", "13min")] = 600.0
    idle_after: Annotated[float, fields.duration("100ms", "1h")] = 300.0
    drain: Literal["oldest", "live"] = "oldest"
    max_records_per_second: Annotated[Whole, Field(ge=1, le=100_000_000)] | None = None
    max_bytes_per_second: Annotated[int, fields.size("1KiB", "1TiB")] | None = None


class SpoolLimits(Section):
    """The file that keeps the records, and when it is written."""

    path: FilePath
    max_bytes: Annotated[int, fields.size("8MiB", "1TiB")] = _GIB
    min_free_bytes: Annotated[int, fields.size("0", "1TiB")] = 256 * _MIB
    commit_interval: Annotated[float, fields.duration("1ms", "10s")] = 0.1
    commit_max_bytes: Annotated[int, fields.size("1KiB", "64MiB")] = 4 * _MIB
    when_full: WhenFull = "pause"
    table_share: Annotated[float, fields.percent(1, 100)] = 0.5


class DeadLetters(Section):
    """How many dead letters are kept; the oldest make room."""

    max_bytes: Annotated[int, fields.size("1MiB", "1TiB")] = 64 * _MIB
    max_count: Annotated[Whole, Field(ge=1, le=100_000_000)] = 100_000


class Heartbeat(Section):
    """The row that this box writes of itself now and then, so that its end shows in its table."""

    table: TableName
    schema_dir: SchemaFolder = Field(alias="schema")
    interval: Annotated[float, fields.duration("1s", "1d")] = 300.0


class Station(Section):
    """From which topics a table is fed, and how.

    `options` are those of the format, which stand under its name. `line` is where the file names
    the station, `lines` where it says what, by keys such as `columns.temp.scale`. `silent_after` is
    None when it is learned, and 0 when it is off.
    """

    inferred = frozenset({"name", "line", "lines", "options", "is_heartbeat"})

    name: str
    topics: Topics = Field(default=(), alias="topic")
    table: TableName
    schema_dir: SchemaFolder = Field(alias="schema")
    excepts: Topics = Field(default=(), alias="except")
    format: Annotated[Text, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "json"
    options: FormatOptions = FormatOptions()
    each: Text | None = None
    when: Mapping[Text, Condition] = Field(default_factory=dict)
    columns: Mapping[Text, Words] | None = None
    rest: Text | None = None
    zone: ZoneText | None = None
    decimal: Comma | None = None
    null_if: Scalars = ()
    time_window: TimeWindow | None = None
    retained: Literal["keep", "drop"] = "keep"
    when_full: Literal["drop_oldest", "drop_newest"] | None = None
    max_age: Annotated[float, fields.duration("1s", "36500d")] | None = None
    expired: Literal["bury", "drop"] = "bury"
    silent_after: Annotated[float, fields.duration_or_off("1s", "36500d")] | None = None
    is_heartbeat: bool = False
    line: int = 0
    lines: Mapping[str, int] = Field(default_factory=dict, repr=False)

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not (value.isascii() and value.replace("_", "").replace("-", "").isalnum()):
            raise ValueError(
                "a station's name must be of ASCII letters, digits, underscores and hyphens"
            )
        return value


class Box(Section):
    """The keys that stand outside the sections: what this box is called and where it works."""

    gateway: Text
    runtime_dir: FilePath


class Config(Box):
    """All of `stations.yaml`; `warnings` is what an operator should know and may want."""

    path: Path
    mqtt: Mqtt
    zerobus: Zerobus
    spool: SpoolLimits
    dead_letters: DeadLetters
    metrics: Metrics
    stations: tuple[Station, ...]
    heartbeat: Heartbeat | None = None
    http: Http | None = None
    warnings: tuple[str, ...] = ()
