r"""Influx line protocol, a record per point: `weather,station=roof temp=21.5,rain=f 1741000000000`.

A record is `{"measurement", "tags", "fields", "time"}`: tags are texts, fields are numbers, truth
values or texts, time is the whole number that was sent or None. All of the protocol is read:
backslashes before commas, equals signs and blanks, texts with escaped quotes and with line ends,
whole numbers (`i`, and `u` for those without a sign) exactly and in 64 bits, comments and blank
lines, which have no position. A number without a suffix is a float, or a Decimal that keeps more
digits than a float does.

A line that can't be read costs itself and the next line is read for itself; a tag or a field that
stands twice is such a fault, because one of its values would be lost. The whole payload is refused
when that means to read it more than `REREAD_MAX` times over, or when it holds more than 100,000
points.

>>> decode = compile(Options(), None).decode
>>> line = rb'weather,station=roof\ east temp=21.5,count=48i 1741'
>>> decode(line, Arrival("t", 0))[0]["tags"], decode(line, Arrival("t", 0))[0]["fields"]
({'station': 'roof east'}, {'temp': 21.5, 'count': 48})
"""

import re
from typing import TYPE_CHECKING, Any, Final

from collector.formats import Bad, Decoder, FormatOptions, Records
from collector.formats.shared.numbers import fraction_of
from collector.formats.shared.text import RECORDS_MAX, text_of, too_many
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

REREAD_MAX: Final = 4
"""A point that breaks off is read again from its second line: so often for all the text, and
`REREAD_FREE` characters beside, so that a short text never gets there.
"""
REREAD_FREE: Final = 1_000_000

# What separates belongs to a name when a backslash stands before it.
_NAME: Final = r"(?:[^, \r\n]|(?<=\\)[, ])++"
_KEY: Final = r"(?:[^,= \r\n]|(?<=\\)[,= ])++"
_SKIPPED: Final = re.compile(r"(?:[ \t\r]*+(?:#[^\n]*+)?(?:\n|\Z))*+[ \t]*+")
_HEAD: Final = re.compile(rf"({_NAME})((?:,{_KEY}={_KEY})*+) ++")
_TAG: Final = re.compile(rf",({_KEY})=({_KEY})")
_FIELD: Final = re.compile(rf'({_KEY})=(?:"((?:[^"\\]++|\\.)*+)"|([^", \r\n]++))(,?)', re.DOTALL)
_TAIL: Final = re.compile(r"(?: ++(-?[0-9]{1,19}))?+ *+\r?(?:\n|\Z)")

_ESCAPED_NAME: Final = re.compile(r"\\([, ])")
_ESCAPED_KEY: Final = re.compile(r"\\([,= ])")
_ESCAPED_TEXT: Final = re.compile(r'\\(["\\])')
_WHOLE: Final = re.compile(r"([+-]?[0-9]{1,20})([iu])")
_FRACTION: Final = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_WORDS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}
_RANGES: Final = {"i": range(-(1 << 63), 1 << 63), "u": range(1 << 64)}

MEDIA_TYPES: Final[tuple[str, ...]] = ("text/plain",)


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode, keys=frozenset({"measurement", "tags", "fields", "time"}))


def decode(payload: bytes, _arrival: Arrival) -> Records:
    """Return the points; raises DecodeError."""
    text = text_of(payload)
    records = Records()
    again = place = 0
    while (place := _after(_SKIPPED, text, place)) < len(text):
        if len(records) == RECORDS_MAX:
            raise too_many()
        record, end = _point(text, place)
        records.append(record)
        if isinstance(record, Bad):
            line_end = text.find("\n", place)
            line_end = len(text) if line_end < 0 else line_end
            again += max(0, end - line_end)
            if again > REREAD_MAX * len(text) + REREAD_FREE:
                raise DecodeError("too many points break off after their first line")
            end = line_end
        place = end
    return records


def _after(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def _point(text: str, place: int) -> tuple[dict[str, Any] | Bad, int]:
    """The point that begins at a place, and where it ends; or why not, and where it breaks off."""
    head = _HEAD.match(text, place)
    if head is None:
        return _bad("no measurement with tags and fields begins", text, place), place
    tags: dict[str, str] = {}
    pairs = _TAG.findall(head[2])
    for key, value in pairs:
        tags[_plain(_ESCAPED_KEY, key)] = _plain(_ESCAPED_KEY, value)
    fields: dict[str, Any] = {}
    place, count, goes_on = head.end(), 0, True
    while goes_on:
        field = _FIELD.match(text, place)
        if field is None:
            return _bad("no field such as temp=21.5 begins", text, place), place
        key, written, bare, comma = field.groups()
        value = _plain(_ESCAPED_TEXT, written) if bare is None else _value(bare)
        if value is None:
            return _bad("no value of a field begins", text, field.start(3)), place
        fields[_plain(_ESCAPED_KEY, key)] = value
        place, count, goes_on = field.end(), count + 1, bool(comma)
    tail = _TAIL.match(text, place)
    time = int(tail[1]) if tail and tail[1] else None
    if tail is None or (time is not None and time not in _RANGES["i"]):
        return _bad("neither a time nor the end of the line begins", text, place), place
    if len(tags) < len(pairs) or len(fields) < count:
        return Bad("undecodable", "a tag or a field stands twice"), place
    name = _plain(_ESCAPED_NAME, head[1])
    return {"measurement": name, "tags": tags, "fields": fields, "time": time}, tail.end()


def _bad(what: str, text: str, place: int) -> Bad:
    return Bad("undecodable", f"{what} at {text[place : place + 40]!r}")


def _plain(escaped: re.Pattern[str], text: str) -> str:
    return escaped.sub(r"\1", text) if "\\" in text else text


def _value(bare: str) -> object:
    """A number or a truth value; None when it is neither."""
    if _FRACTION.fullmatch(bare):
        return fraction_of(bare)
    whole = _WHOLE.fullmatch(bare)
    if whole:
        number = int(whole[1])
        return number if number in _RANGES[whole[2]] else None
    return _WORDS.get(bare)
