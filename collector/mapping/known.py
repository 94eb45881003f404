"""What is known about a message beside its payload, by the names that follow `$`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from collector.clock import Clock
from collector.mapping.properties import content_type_of, property_of
from collector.mapping.times import iso_of
from collector.model import Message

Known = Callable[[Message, int], Any]
"""What is known about a message and the time of its arrival."""

_DAY_US: Final = 86_400_000_000
_WHOLE: Final = ("BIGINT", "INT", "SMALLINT", "TINYINT", "STRING", "VARCHAR")
_TEXT: Final = ("STRING", "VARCHAR")
_CLOCK: Final = Clock()

KNOWN: Final[Mapping[str, Mapping[str, Known]]] = {
    "received": {
        "TIMESTAMP": lambda _, received_us: received_us,
        "TIMESTAMP_NTZ": lambda _, received_us: received_us,
        "BIGINT": lambda _, received_us: received_us,
        "DATE": lambda _, received_us: received_us // _DAY_US,
        "STRING": lambda _, received_us: iso_of(received_us),
    },
    "qos": {
        name: (lambda message, _: message.qos)
        if name not in _TEXT
        else (lambda message, _: str(message.qos))
        for name in _WHOLE
    },
    "retained": {"BOOLEAN": lambda message, _: message.retain},
    "dup": {"BOOLEAN": lambda message, _: message.dup},
    "clock_ok": {"BOOLEAN": lambda _message, _received_us: _CLOCK.is_synchronised()},
}
"""What is known of each message, by the types of the columns that may take it."""

TEXTS: Final[Mapping[str, Known]] = {
    "content_type": lambda message, _: content_type_of(message.properties),
}
"""What is known of some messages as text, which then takes the steps of its column."""

PROPERTY: Final = "property."
"""`$property.NAME` is a user property of MQTT 5."""

TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: tuple(types) for name, types in KNOWN.items()},
    "seq": ("BIGINT",),
}
"""The types of the columns that may take what is no text."""

NAMES: Final = frozenset({*TYPES, *TEXTS, "topic", "gateway", "key", "index"})
"""Every name after `$` that is no capture and no property."""


def text_known(name: str) -> Known | None:
    """What reads a text that some messages have; None when the name means no such thing."""
    if name.startswith(PROPERTY):
        wanted = name.removeprefix(PROPERTY)
        return lambda message, _: property_of(message.properties, wanted)
    return TEXTS.get(name)
