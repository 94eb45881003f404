"""What stands in the payload for a column whose value takes steps: by the first step that it meets.

Where only the station's maker can know it, such as the text that `match` looks for, there is no
example.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from collector.config import Station
from collector.config.vocabulary import EPOCHS, Words
from collector.mapping.steps import OTHERS
from collector.tables import Column

_NESTED: Final = ("ARRAY", "MAP", "STRUCT")
"""Types whose steps are those of their members."""
_MOMENT: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
_LATEST_S: Final = 253_402_300_799
"""The last second of a calendar of four-digit years."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """The words of a column, as far as they say what stands in the payload."""

    words: Words
    is_nested: bool

    @classmethod
    def of(cls, column: Column, station: Station) -> Self:
        """Read the column's own words; those of the station alone change no more than NULL."""
        words = (station.columns or {}).get(column.name)
        return cls(words or Words.of_key(column.name), column.delta.name in _NESTED)

    @property
    def is_changed(self) -> bool:
        """Whether something else stands in the payload than the column takes."""
        words = self.words
        first = (words.match, words.bytes_of, words.unpack, words.words, words.time, words.members)
        is_scaled = words.scale is not None or words.offset is not None
        return is_scaled or any(one is not None for one in first)

    def shape(self) -> dict[str, Any]:
        """Return it as JSON Schema; empty where it may be anything."""
        words = self.words
        if self.is_nested:
            return {}
        if words.match is not None or words.bytes_of in ("hex", "base64"):
            return {"type": "string"}
        if words.bytes_of == "u16be":
            register = {"type": "integer", "minimum": 0, "maximum": 65_535}
            return {"type": "array", "items": register}
        if words.words is not None:
            return {} if OTHERS in words.words else {"enum": list(words.words)}
        if words.time is not None:
            return _shape_of_time(words.time)
        return {} if words.unpack is not None else {"type": "number"}

    def example(self) -> Any:
        """Return one that is taken; None where nobody can know."""
        words = self.words
        if self.is_nested or words.match is not None or words.unpack is not None:
            return None
        if words.bytes_of is not None:
            return {"base64": "AAEC", "hex": "000102", "u16be": [1, 2]}[words.bytes_of]
        if words.words is not None:
            return next(iter(words.words))
        if words.time is not None:
            return _example_of_time(words.time)
        return 21


def _shape_of_time(word: str) -> dict[str, Any]:
    if word not in EPOCHS:
        return {"type": "string", **({"format": "date-time"} if word == "iso" else {})}
    latest = int(_LATEST_S * EPOCHS["s"] / EPOCHS[word])
    return {"type": "number", "minimum": 0, "maximum": latest}


def _example_of_time(word: str) -> Any:
    if word in EPOCHS:
        return int(_MOMENT.timestamp() * EPOCHS["s"] / EPOCHS[word])
    if word == "iso":
        return _MOMENT.isoformat()
    # Letters of a zone are the station's own.
    return None if "%Z" in word else _MOMENT.strftime(word)
