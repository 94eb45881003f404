"""The words of a mapping: how `columns` and `when` are written, read into values that are checked.

Says what can be said of a word by itself; what it means for a column is said in `mapping/`, where
the table is known. docs/mapping.md explains each word with an example.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from collector.config import fields
from collector.config.fields import Text
from collector.config.patterns import repeats_a_repeat
from collector.config.section import Section

EPOCHS: Final[Mapping[str, Fraction]] = {
    "s": Fraction(1_000_000),
    "ms": Fraction(1_000),
    "us": Fraction(1),
    "ns": Fraction(1, 1_000),
}
"""How many microseconds a unit of `time` has."""

_UNPACK: Final = re.compile(
    r"(?P<kind>[uif])(?P<bits>[0-9]+)(?P<order>be|le|sw)?"
    r"(?:@(?P<at>[0-9]{1,6})(?:\.(?P<low>[0-9]{1,2})(?:-(?P<high>[0-9]{1,2}))?)?)?"
)
_WIDTHS: Final = {"u": (8, 16, 24, 32, 48, 64), "i": (8, 16, 24, 32, 48, 64), "f": (16, 32, 64)}
_OFFSET: Final = re.compile(r"(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-5][0-9])")
_FRACTION: Final = re.compile(r"[+-]?[0-9.]{1,40}(?:[eE][+-]?[0-9]{1,2})?(?:/[0-9.]{1,40})?")

Scalar = str | int | float | bool | None
Zone = tzinfo | Mapping[str, tzinfo]
"""A zone, or those that the letters behind a wall time stand for."""


@dataclass(frozen=True, slots=True)
class Unpack:
    """A number at a byte offset: `i16be@8`, `u32sw@6`, `u16be@10.3`, `u16be@10.4-7`.

    `order` is `be`, `le` or `sw`, which is big endian with the 16-bit words in reverse; `bits` are
    the lowest and the highest of the number that count, from 0.
    """

    kind: str
    size: int
    order: str
    at: int
    bits: tuple[int, int] | None


def _unpack(value: Any) -> Unpack:
    match = _UNPACK.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["bits"]) not in _WIDTHS[match["kind"]]:
        raise ValueError(
            "must be a type, byte order, byte offset and bits such as i16be@8, f32sw@2 or u8@0.4-7"
        )
    size = int(match["bits"]) // 8
    if match["order"] is None and size > 1:
        raise ValueError(f"needs a byte order: {value.partition('@')[0]}be, …le or …sw")
    bits = None
    if match["low"] is not None:
        low, high = int(match["low"]), int(match["high"] or match["low"])
        if match["kind"] != "u" or not low <= high < size * 8:
            raise ValueError(f"bits are of an unsigned number, from 0 to {size * 8 - 1}")
        bits = (low, high)
    if match["order"] == "sw" and size not in (4, 8):
        raise ValueError("sw swaps the words of 32 and 64 bits only")
    return Unpack(match["kind"], size, match["order"] or "be", int(match["at"] or 0), bits)


def _pattern(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a regular expression, in quotes")
    try:
        pattern = re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if repeats_a_repeat(value):
        raise ValueError(
            "repeats what repeats itself, as in (a+)+: a payload could make it take for ever;"
            " write (a++)+ or (?>a+)"
        )
    return pattern


def _fraction(value: Any) -> Fraction:
    """A number or a fraction, exactly as it is written."""
    if value is True or value is False or not isinstance(value, int | float | str):
        raise ValueError("must be a number or a fraction such as 1/60000")
    text = str(value).replace(" ", "")
    if not _FRACTION.fullmatch(text):
        raise ValueError("must be a number or a fraction such as 1/60000")
    above, _, below = text.partition("/")
    try:
        return Fraction(above) / Fraction(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError("must be a number or a fraction such as 1/60000") from error


def _time(value: Any) -> Any:
    if not isinstance(value, str) or not (value in EPOCHS or value == "iso" or "%" in value):
        raise ValueError(
            f'must be {", ".join(EPOCHS)}, iso or a pattern such as "%d.%m.%Y %H:%M:%S"'
        )
    if "%Z" in value and not value.endswith("%Z"):
        raise ValueError("%Z must stand at the end of the pattern")
    return value if "%" not in value else _time_pattern(value)


def _time_pattern(value: str) -> str:
    """A pattern that strptime knows, and that says which day it is."""
    try:
        datetime.strptime("", value)  # noqa: DTZ007 - only the pattern is looked at.
    except ValueError as error:
        if "does not match" not in str(error):
            raise ValueError(f"is no pattern: {error}") from error
    said = set(re.findall(r"%(.)", value.replace("%%", "")))
    has_day = bool(said & {"j"}) or (bool(said & {"m", "b", "B"}) and "d" in said)
    has_week = bool(said & {"U", "W", "V"}) and bool(said & {"a", "A", "w", "u"})
    if not (said & {"Y", "y", "G"} and (has_day or has_week)) and not said & {"c", "x", "D"}:
        raise ValueError("does not say which day it is: it needs year, month and day")
    return value


def _zone(value: Any) -> Zone:
    if isinstance(value, dict) and value:
        return {str(letter): _offset(text) for letter, text in value.items()}
    if not isinstance(value, str) or not value:
        raise ValueError("must be a zone such as Europe/Berlin, or letters such as {S: +02:00}")
    if _OFFSET.fullmatch(value):
        return _offset(value)
    try:
        return ZoneInfo(value)
    except (OSError, ValueError, LookupError) as error:
        near = get_close_matches(value, available_timezones(), 1) if "/" in value else []
        hint = (
            f": did you mean {near[0]}?"
            if near
            else ': write a region, as Europe/Berlin, or "+02:00"'
        )
        raise ValueError(f"{value!r} is no zone that this box knows{hint}") from error


def _offset(text: Any) -> timezone:
    match = _OFFSET.fullmatch(str(text))
    if match is None:
        raise ValueError('an offset is written like "+02:00"')
    away = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
    return timezone(-away if match["sign"] == "-" else away)


def _null(value: Any) -> Any:
    """The word `null` is no text to YAML."""
    return "null" if value is None else value


def _scalars(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, dict | list) for one in values):
        raise ValueError("must be a value or a list of values")
    return tuple(values)


def _is_position(value: Any) -> bool:
    """Whether a source is the place of a member in a list, which reads as a number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _texts(value: Any) -> Any:
    if value == []:
        raise ValueError("must be a list of sources")
    return tuple(value) if isinstance(value, list) else (value,)


ZoneText = Annotated[Any, BeforeValidator(_zone)]
Scalars = Annotated[tuple[Any, ...], BeforeValidator(_scalars)]
Comma = Literal[",", "."]
_Pattern = Annotated[Any, BeforeValidator(_pattern)]
_Number = Annotated[Any, BeforeValidator(_fraction)]


class Condition(Section):
    """What a value must be for `when`; all that is said must hold."""

    one_of: Scalars | None = Field(default=None, alias="is")
    low: _Number | None = Field(default=None, alias="min")
    high: _Number | None = Field(default=None, alias="max")
    match: _Pattern | None = None
    unless: "Condition | None" = Field(default=None, alias="not")
    exists: StrictBool | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, value: Any) -> Any:
        if isinstance(value, Condition):
            return value
        if not isinstance(value, dict):
            return {"is": [value] if value is None else value}
        if not value:
            raise ValueError(f"says nothing: known are {', '.join(cls.keys())}")
        for word in ("min", "max", "match", "exists"):
            if word in value and value[word] is None:
                raise ValueError(f"{word} is empty")
        nulls = {word: {"is": [None]} if word == "not" else [None] for word in ("is", "not")}
        return {word: nulls[word] if one is None else one for word, one in value.items()}


class Words(Section):
    """A column or a member of a STRUCT: where it comes from, and the steps on the value."""

    sources: "tuple[str | Words, ...]" = Field(default=(), alias="from")
    join: Annotated[tuple[Text, ...], BeforeValidator(_texts)] = ()
    value: Any = None
    match: _Pattern | None = None
    bytes_of: Literal["base64", "hex", "u16be"] | None = Field(default=None, alias="bytes")
    unpack: Annotated[Any, BeforeValidator(_unpack)] | None = None
    null_if: Scalars | None = None
    words: Mapping[str, Any] | None = Field(default=None, alias="map")
    time: Annotated[str, BeforeValidator(_time)] | None = None
    zone: ZoneText | None = None
    scale: _Number | None = None
    offset: _Number | None = None
    decimal: Comma | None = None
    members: "Mapping[Text, Words] | None" = Field(default=None, alias="fields")
    lenient: StrictBool = False
    default: Any = None

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, value: Any) -> Any:
        """`/a/b` and `[s1, s2]` are `{from: …}`; so is a single source in a longer form."""
        if isinstance(value, str | list) or _is_position(value):
            value = {"from": value}
        if not isinstance(value, dict):
            if isinstance(value, Words):
                return value
            raise ValueError("must be a source such as /temp or $device, or {from: …}")
        if isinstance(value.get("from"), str | dict) or _is_position(value.get("from")):
            value = {**value, "from": [value["from"]]}
        return value

    @field_validator("sources", mode="before")
    @classmethod
    def _check_sources(cls, value: Any) -> Any:
        if not isinstance(value, list) or not value:
            raise ValueError("must be a source such as /temp, or a list of them")
        for one in value:
            if not (isinstance(one, str | dict) or _is_position(one)) or one == "":
                raise ValueError("must be a source such as /temp or $device, in quotes if need be")
        return tuple(
            Words.model_validate(one) if isinstance(one, dict) else str(one) for one in value
        )

    @field_validator("words", mode="before")
    @classmethod
    def _check_words(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value:
            raise ValueError("must be words and their values, such as {open: true, closed: false}")
        return value

    @model_validator(mode="after")
    def _check_origin(self) -> "Words":
        given = [name for name in ("from", "join", "value") if self.says(name)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"needs one of from, join and value: it has {found}")
        return self

    @classmethod
    def of_key(cls, name: str) -> "Words":
        """The words of a column that has its key's value."""
        return cls.model_validate({"from": [name]})

    def says(self, word: str) -> bool:
        """Whether the file has this word."""
        names = {field.alias or name: name for name, field in type(self).model_fields.items()}
        return names[word] in self.model_fields_set


class TimeWindow(Section):
    """How far a time of the payload may lie from its arrival, and what becomes of others."""

    past: Annotated[float, fields.duration("1s", "36500d")] | None = None
    future: Annotated[float, fields.duration("0", "36500d")] | None = None
    outside: Annotated[Literal["dead_letter", "null"], BeforeValidator(_null)] = "dead_letter"

    @model_validator(mode="after")
    def _check_bounds(self) -> "TimeWindow":
        if self.past is None and self.future is None:
            raise ValueError("needs past, future or both, such as {past: 30d, future: 1h}")
        return self
