r"""SenML in JSON (RFC 8428), resolved: a record per entry of the pack, with the base values in it.

A record is `{"name", "time", "unit", "v", "vs", "vb", "vd", "s"}`, each None where there is none.
`time` is in seconds since 1970, a whole number or a Decimal; a time before 2^28 is counted from the
arrival of the message. Sums are exact: 23.1 and 0.2 make Decimal("23.3"). `vd` is bytes. A name
that is empty is None. An entry with nothing but base values is None: it gives no row. `ut` and
labels that nobody knows are ignored. Names and units are not checked against the RFC's lists.

An entry costs itself when it has no value or several, a value of the wrong type, a label that ends
in `_` (the RFC: nobody who does not know it may use the entry), or a sum beyond `DIGITS_MAX`
digits. The whole pack is refused when it is no JSON list (see `json` for what is JSON), when a base
value is of the wrong type or unknown and must be understood (all later entries hang on it), when
its version is neither up to 10 nor 26 (RFC 9100), or when it holds more than 100,000 entries.
SenML in CBOR or XML and SensML streams are not read.

>>> decode = compile(Options(), None).decode
>>> pack = b'[{"bn":"urn:x/","bt":1750000000,"bu":"Cel"},{"n":"t1","v":23.5,"t":-0.5}]'
>>> [decode(pack, Arrival("t", 0))[1][key] for key in ("name", "time", "unit", "v")]
['urn:x/t1', Decimal('1749999999.5'), 'Cel', 23.5]
"""

import base64
import binascii
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import TYPE_CHECKING, Any, Final

from collector.formats import Bad, Decoder, FormatOptions, Records
from collector.formats import json as json_format
from collector.formats.shared.text import RECORDS_MAX, too_many
from collector.model import Arrival, DecodeError

if TYPE_CHECKING:
    from collector.tables import Schema

DIGITS_MAX: Final = 100
"""A sum of more digits is refused."""
RELATIVE_BELOW: Final = 1 << 28
"""An earlier time is counted from now, says the RFC."""
VERSIONS: Final = frozenset({*range(1, 11), 26})
"""26 is version 10 with the secondary units of RFC 9100, which are texts as the others."""

_Number = int | float | Decimal
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("bn", "bu", "n", "u", "vs", "vd"), (str,)),
    **dict.fromkeys(("bt", "bv", "bs", "t", "v", "s", "ut"), (int, float, Decimal)),
    "bver": (int,),
    "vb": (bool,),
}
_VALUES: Final = ("v", "vs", "vb", "vd")
_BASES: Final = ("bn", "bt", "bu", "bv", "bs", "bver")
_SUMS: Final = Context(prec=DIGITS_MAX, traps=[Inexact, InvalidOperation, Overflow])
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")

MEDIA_TYPES: Final[tuple[str, ...]] = ("application/senml+json", "application/json")


class Options(FormatOptions):
    """The format has none."""


def compile(_options: Options, _schema: "Schema | None") -> Decoder:  # noqa: A001
    """Return the decoder."""
    return Decoder(decode, keys=frozenset({"name", "time", "unit", "s", *_VALUES}))


def decode(payload: bytes, arrival: Arrival) -> Records:
    """Return the resolved records of a pack; raises DecodeError."""
    pack = json_format.decode(payload)
    if not isinstance(pack, list):
        raise DecodeError("the payload is no SenML pack: that is a list of entries")
    if len(pack) > RECORDS_MAX:
        raise too_many()
    base: dict[str, Any] = {}
    return Records(_resolved(entry, base, arrival) for entry in pack)


def _resolved(entry: Any, base: dict[str, Any], arrival: Arrival) -> dict[str, Any] | Bad | None:
    """The record of an entry; notes the base values that it brings."""
    if not isinstance(entry, dict):
        return Bad("undecodable", "the entry is not an object")
    wrong = next((label for label in entry if not _is_right(label, entry[label])), None)
    if wrong is not None and wrong.startswith("b"):
        raise DecodeError(f"the base value {wrong} can't be used, and later entries hang on it")
    if entry.get("bver", 10) not in VERSIONS:
        raise DecodeError(f"version {entry['bver']} of SenML is not known")
    base.update((label, entry[label]) for label in _BASES if label in entry)
    if wrong is not None:
        return Bad("undecodable", f"{wrong!r} has a value of the wrong type, or must be understood")
    values = [label for label in _VALUES if label in entry]
    if not values and "s" not in entry:
        is_base = any(label in entry for label in _BASES)
        return None if is_base else Bad("undecodable", "the entry has no value")
    if len(values) > 1:
        return Bad("undecodable", f"the entry has several values: {', '.join(values)}")
    try:
        return _record(entry, base, arrival)
    except (ArithmeticError, ValueError) as error:
        reason = (
            str(error) if isinstance(error, binascii.Error) else "its sums have too many digits"
        )
        return Bad("undecodable", f"the entry can't be resolved: {reason}")


def _is_right(label: str, value: object) -> bool:
    types = _TYPES.get(label)
    if types is None:
        return not label.endswith("_")
    return isinstance(value, types) and (types == (bool,) or not isinstance(value, bool))


def _record(entry: Mapping[str, Any], base: Mapping[str, Any], arrival: Arrival) -> dict[str, Any]:
    time = _sum(base.get("bt"), entry.get("t"))
    if time is None or time < RELATIVE_BELOW:
        time = _sum(Decimal(arrival.received_us).scaleb(-6, _SUMS), time)
    vd = entry.get("vd")
    return {
        "name": base.get("bn", "") + entry.get("n", "") or None,
        "time": _whole(time),
        "unit": entry.get("u", base.get("bu")),
        "v": _sum(base.get("bv"), entry["v"]) if "v" in entry else None,
        "vs": entry.get("vs"),
        "vb": entry.get("vb"),
        "vd": None if vd is None else _bytes(vd),
        "s": _sum(base.get("bs"), entry["s"]) if "s" in entry else base.get("bs"),
    }


def _sum(base: _Number | None, own: _Number | None) -> _Number | None:
    """The sum of what was written; a float stands for the decimal that it prints as."""
    if base is None or own is None:
        return own if base is None else base
    if isinstance(base, int) and isinstance(own, int):
        return base + own
    return _SUMS.add(Decimal(str(base)), Decimal(str(own)))


def _whole(time: _Number | None) -> _Number | None:
    """A time as a whole number or a Decimal."""
    if isinstance(time, int) or time is None:
        return time
    exact = _SUMS.plus(Decimal(str(time)))
    whole = exact.to_integral_value()
    return int(whole) if whole == exact and whole.adjusted() < DIGITS_MAX else exact


def _bytes(text: str) -> bytes:
    """Base64 of the alphabet for URLs, or the usual one, padded or not."""
    if not text.isascii():
        raise binascii.Error("vd is no base64 text")
    encoded = text.encode().translate(_URL_SAFE)
    padding = b"" if encoded.endswith(b"=") else b"=" * (-len(encoded) % 4)
    return base64.b64decode(encoded + padding, validate=True)
