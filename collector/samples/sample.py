"""A sample as its file has it."""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from collector.config.fields import Text
from collector.config.section import Section
from collector.mapping.coerce import coercion
from collector.mapping.misfit import MisfitError
from collector.mapping.properties import user_properties
from collector.model import Fault, Message
from collector.tables import DeltaType

_RECEIVED_US: Final = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z: when a sample arrived that does not say."""


def _payload(value: Any) -> Any:
    """A payload that is written as YAML is sent as JSON."""
    return None if value is None else (value if isinstance(value, str) else json.dumps(value))


def _bytes(value: Any) -> Any:
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError as error:
        raise ValueError("must be base64 text") from error


def _time(value: Any) -> Any:
    try:
        return coercion(DeltaType("TIMESTAMP"))(value)
    except MisfitError as misfit:
        raise ValueError(f"must be a time: {misfit}") from misfit


def _properties(value: Any) -> Any:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ValueError("must be names and texts")
    return value


def _expected(value: Any) -> Any:
    if value == "nothing":
        return {}
    if not isinstance(value, dict) or not value:
        raise ValueError("must be rows, dead_letters, both, or the word nothing")
    return value


class Letter(Section):
    """A dead letter that is expected; what is None is not compared."""

    kind: str
    column: str | None = None
    at: int | None = None

    def is_like(self, fault: Fault) -> bool:
        """Whether a fault is the one that is meant."""
        return (
            fault.kind == self.kind
            and self.column in (None, fault.field)
            and self.at in (None, fault.position)
        )


def _letter(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class Expected(Section):
    """What a message must become."""

    rows: tuple[Mapping[str, Any], ...] = ()
    letters: tuple[Annotated[Letter, BeforeValidator(_letter)], ...] = Field(
        default=(), alias="dead_letters"
    )


class Sample(Section):
    """One sample as its file has it."""

    name: str = ""
    topic: Text
    payload: Annotated[str | None, BeforeValidator(_payload)] = None
    payload_base64: Annotated[bytes | None, BeforeValidator(_bytes)] = None
    received: Annotated[int, BeforeValidator(_time)] = _RECEIVED_US
    qos: Literal[0, 1, 2] = 1
    retained: bool = False
    properties: Annotated[Mapping[str, str], BeforeValidator(_properties)] = Field(
        default_factory=dict
    )
    expect: Annotated[Expected, BeforeValidator(_expected)]

    @model_validator(mode="after")
    def _check_payload(self) -> "Sample":
        if (self.payload is None) == (self.payload_base64 is None):
            raise ValueError("needs either payload or payload_base64")
        return self

    def message(self) -> Message:
        """The message that the sample stands for."""
        return Message(
            self.topic.encode(),
            self.payload_base64 or (self.payload or "").encode(),
            qos=self.qos,
            retain=self.retained,
            properties=user_properties(self.properties),
        )
