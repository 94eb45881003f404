"""The frozen models of what the daemon listens to over HTTP: figures, and the station."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from collector.config import fields
from collector.config.fields import Address, Bearer, ExistingFile, FilePath, Listen, Whole
from collector.config.quantities import SIZE_UNITS, format_size
from collector.config.section import Section

_MIB = SIZE_UNITS["MiB"]


class Metrics(Section):
    """Where figures and health can be asked for over HTTP."""

    listen: Listen = "127.0.0.1:9464"
    token: Bearer | None = None
    token_file: FilePath | None = None

    @property
    def socket(self) -> Path | None:
        """The path of a unix socket, or None."""
        return Path(self.listen[5:]) if self.listen.startswith("unix:") else None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, when it is neither a unix socket nor off."""
        return fields.split_listen(self.listen)

    @property
    def is_open(self) -> bool:
        """Whether others than this box can ask there."""
        if self.listen == "off" or self.socket is not None:
            return False
        return not fields.is_loopback(self.address[0])


class Http(Section):
    """Where records can be sent over HTTP, and where the page is."""

    listen: Address = "127.0.0.1:8000"
    token: Bearer | None = None
    token_file: FilePath | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    client_ca_file: ExistingFile | None = None
    body_max_bytes: Annotated[int, fields.size("1KiB", "64MiB")] = 4 * _MIB
    inbox_max_bytes: Annotated[int, fields.size("64KiB", "1GiB")] = Field(
        default=16 * _MIB, validate_default=True
    )
    body_timeout: Annotated[float, fields.duration("1s", "10min")] = 30.0
    connections_max: Annotated[Whole, Field(ge=1, le=10_000)] = 256
    commit_interval: Annotated[float, fields.duration("1ms", "10s")] = 0.01
    timeout: Annotated[float, fields.duration("100ms", "10min")] = 30.0
    idempotency_window: Annotated[float, fields.duration("1s", "30d")] = 86_400.0

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return fields.split_listen(self.listen)

    @property
    def is_open(self) -> bool:
        """Whether others than this box can ask there."""
        return not fields.is_loopback(self.address[0])

    @field_validator("inbox_max_bytes")
    @classmethod
    def _check_room_for_a_body(cls, value: int, info: ValidationInfo) -> int:
        largest = info.data.get("body_max_bytes", 0)
        if value < largest:
            raise ValueError(f"must not be less than body_max_bytes ({format_size(largest)})")
        return value
