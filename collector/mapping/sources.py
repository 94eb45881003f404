"""Where a column's value comes from, as the configuration says it.

`/a/b/0` and `a/b` are paths into the record, `$name` is a captured topic level or something that is
known about the message. What a value must be is the column's business, in `coerce.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector.mapping.times import iso_of
from collector.model import Message

_DAY_US: Final = 86_400_000_000
_WHOLE: Final = ("BIGINT", "INT", "SMALLINT", "TINYINT", "STRING", "VARCHAR")

Known = Callable[[Message, int], Any]
"""What is known about a message and the time of its arrival."""


@dataclass(frozen=True, slots=True)
class Path:
    """A way into the record; without parts it is the record itself."""

    parts: tuple[str, ...]
    absolute: bool

    @property
    def positional(self) -> bool:
        """Whether it counts from the top of a payload that is a list."""
        return self.absolute and bool(self.parts) and is_index(self.parts[0])


@dataclass(frozen=True, slots=True)
class Dollar:
    """A captured topic level, or one of `KNOWN`, `$topic`, `$gateway` and `$seq`."""

    name: str


Source = Path | Dollar

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
        if name not in ("STRING", "VARCHAR")
        else (lambda message, _: str(message.qos))
        for name in _WHOLE
    },
    "retained": {"BOOLEAN": lambda message, _: message.retain},
    "dup": {"BOOLEAN": lambda message, _: message.dup},
}
"""What is known of each message, by the types of the columns that may take it."""

TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: tuple(types) for name, types in KNOWN.items()},
    "seq": ("BIGINT",),
    "topic": ("STRING", "VARCHAR"),
    "gateway": ("STRING", "VARCHAR"),
}
"""Every name after `$` that is no capture, and the types of the columns that may take it."""


def parse_source(text: str) -> Source:
    """Read a source; raises ValueError that says why it can't be one."""
    if text.startswith("$"):
        if len(text) == 1:
            raise ValueError("a name is missing after $")
        return Dollar(text[1:])
    if text == ".":
        return Path((), absolute=False)
    absolute = text.startswith("/")
    parts = text.removeprefix("/").split("/")
    if not all(parts):
        raise ValueError(f"the path {text!r} has an empty part")
    if ".." in parts:
        raise ValueError(f"{text!r} leads out of the record: .. has a meaning below `each` only")
    if "*" in parts:
        raise ValueError(f"{text!r}: * gives a list and is not supported here")
    return Path(tuple(part.replace("~1", "/").replace("~0", "~") for part in parts), absolute)


def is_index(part: str) -> bool:
    """Whether a part of a path may count the members of a list."""
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 7


def follow(parts: tuple[str, ...], value: Any) -> Any:
    """What stands at a path; None when it leads nowhere."""
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and is_index(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
