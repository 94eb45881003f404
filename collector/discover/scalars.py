"""The type of a column, and the steps to it, by the plain values that were seen.

A guess must take every value that it was made from; where several would, the one that also takes
what may come next is better: a measured value is a DOUBLE though it was whole so far.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from collector.discover import moments, words
from collector.discover.tree import Value
from collector.mapping.numbers import BLANKS, NUMBER
from collector.mapping.times import iso_of
from collector.tables import DeltaType

_BIGINT: Final = (-(1 << 63), (1 << 63) - 1)
_MEASURED: Final = re.compile(
    r"temp|hum|press|volt|current|power|energy|watt|level|flow|speed|co2|lux|light|batt|weight|"
    r"dist|height|rain|wind|soil|ph\b|noise|volume|lat|lon|alt|angle|freq|percent|pct|kwh|"
    r"(^|_)(t|h|p|v|value|val|celsius|soc|rms|x|y|z)($|_)",
    re.IGNORECASE,
)
_NAMED_ID: Final = re.compile(
    r"(^|_)(id|uid|uuid|serial|sn|imei|imsi|iccid|mac|phone|zip|code|ean|plate|version|fw)($|_)",
    re.IGNORECASE,
)
_TEMPERATURE: Final = re.compile(r"temp|celsius|(^|_)(t|tc|value)[0-9]*($|_)", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"pass(wd|word|phrase)?(?![a-z])|pwd|psk|secret|token|credential|api_?key|private_?key"
    r"|(?<![a-z])pin(?![a-z])",
    re.IGNORECASE,
)
_COMMA: Final = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")
_GLUED: Final = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)(\s*[^\s\d.,:+\-][^\d]{0,11})")
_LONG_DIGITS: Final = 16
_SHOWN: Final = 5
_SHOWN_CHARACTERS: Final = 24


@dataclass(frozen=True, slots=True)
class Guess:
    """A type, the steps to it, and what speaks for them; `has_nulls`: some values become NULL."""

    delta: DeltaType
    evidence: str
    steps: Mapping[str, Any] = field(default_factory=dict)
    has_nulls: bool = False


def is_secret(name: str) -> bool:
    """Whether a key is one whose values are not to be shown.

    >>> is_secret("wifi_password"), is_secret("api_key"), is_secret("passage"), is_secret("temp")
    (True, True, False, False)
    """
    return _SECRET.search(name) is not None


def guess(name: str, values: Sequence[Value], *, from_one_word: bool = False) -> Guess:
    """Guess by the values of one place, which are not null.

    A column that has heard one word only may get any other next: it is a BOOLEAN only
    `from_one_word`.
    """
    found = _guess(name, values)
    heard = {value.strip(BLANKS).lower() for value, _ in values if isinstance(value, str)}
    if "map" in found.steps and len(heard) < 2 and not from_one_word:
        found = Guess(DeltaType("STRING"), found.evidence)
    return replace(found, evidence="a secret by its name: not shown") if is_secret(name) else found


def _guess(name: str, values: Sequence[Value]) -> Guess:
    kinds = {_kind(value) for value, _ in values}
    plain = [value for value, _ in values]
    if kinds == {"boolean"}:
        return Guess(DeltaType("BOOLEAN"), _seen(plain))
    if kinds == {"number"}:
        return _numbers(name, values)
    if kinds == {"text"}:
        return _texts(name, [(str(value).strip(BLANKS), at) for value, at in values])
    if kinds == {"bytes"}:
        sizes = sorted({len(value) for value in plain})
        return Guess(DeltaType("BINARY"), f"{_range(sizes)} bytes")
    if kinds == {"time"}:
        return Guess(DeltaType("TIMESTAMP"), "points in time of the format")
    if kinds == {"date"}:
        return Guess(DeltaType("DATE"), "dates of the format")
    return _mixed(name, values, kinds)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, datetime):
        return "time"
    return "date" if isinstance(value, date) else "text"


def _mixed(name: str, values: Sequence[Value], kinds: set[str]) -> Guess:
    """Values of several kinds, where one type takes them all.

    - Numbers, and texts that are numbers or mean nothing: numbers.
    - Truth values, and words for them or 0 and 1: BOOLEAN.
    - Numbers and texts: STRING; anything else: VARIANT.
    """
    as_texts = [(value if isinstance(value, str) else _printed(value), at) for value, at in values]
    if kinds == {"number", "text"}:
        found = _texts(name, [(text.strip(BLANKS), at) for text, at in as_texts])
        if found.delta.name in ("DOUBLE", "BIGINT", "BOOLEAN") and "match" not in found.steps:
            return found
        return Guess(DeltaType("STRING"), "numbers and texts")
    if kinds <= {"boolean", "number", "text"}:
        known = {text.strip(BLANKS) for text, _ in as_texts}
        if known <= {"true", "false", "0", "1"}:
            return Guess(DeltaType("BOOLEAN"), _seen(sorted(known)))
        if meant := words.pair_of(known - {"true", "false", "0", "1"}):
            meant = {"true": True, "false": False, "1": True, "0": False} | meant
            return Guess(DeltaType("BOOLEAN"), _seen(sorted(known)), {"map": meant})
    return Guess(DeltaType("VARIANT"), f"{', '.join(sorted(kinds))} values mixed")


def _printed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


# -- numbers ---------------------------------------------------------------------------------------


def _numbers(name: str, values: Sequence[Value], *, as_text: bool = False) -> Guess:
    numbers = [value for value, _ in values]
    finite = [number for number in numbers if math.isfinite(number)]
    steps: dict[str, Any] = {}
    odd: list[Any] = []
    if not moments.is_counted(name):
        is_temperature = _TEMPERATURE.search(name) is not None
        odd += words.sentinels(finite, is_temperature=is_temperature)
    if any(math.isnan(number) for number in numbers):
        odd.append("nan")
    kept = [number for number in finite if number not in odd]
    if not kept:
        return Guess(DeltaType("DOUBLE"), _seen(numbers), {"null_if": ["nan"]}, has_nulls=True)
    if odd:
        steps["null_if"] = odd
    said = _range(kept) + _apart(odd, numbers)
    if unit := moments.epoch_unit(name, kept, values[0][1]):
        steps["time"] = unit
        first = iso_of(int(kept[0] * 1_000_000 // moments.per_second(unit)))
        text = f"{moments.unit_words(unit)} since 1970, e.g. {first[:19]}Z"
        return Guess(DeltaType("TIMESTAMP"), text + _apart(odd, numbers), steps, bool(odd))
    if any(not float(number).is_integer() for number in kept):
        return Guess(DeltaType("DOUBLE"), said, steps, bool(odd))
    if not _BIGINT[0] <= min(kept) <= max(kept) <= _BIGINT[1]:
        delta = DeltaType("STRING" if not as_text and not odd else "DOUBLE")
        return Guess(delta, f"{said}, beyond 64 bits", steps, bool(odd))
    if _MEASURED.search(name) or any(isinstance(number, float) for number in kept):
        is_whole = all(isinstance(number, int) for number in kept)
        why = ", whole so far; DOUBLE to be safe" if is_whole else ""
        return Guess(DeltaType("DOUBLE"), said + why, steps, bool(odd))
    return Guess(DeltaType("BIGINT"), said, steps, bool(odd))


def _apart(odd: Sequence[Any], values: Sequence[Any]) -> str:
    """What is said of values that mean NULL."""
    counts = Counter(_printed(value) for value in values)
    parts = [f"{_quoted(one)} {counts[_printed(one)]} times" for one in odd]
    return f"; {', '.join(parts)}, taken for no value" if parts else ""


# -- texts -----------------------------------------------------------------------------------------


def _texts(name: str, values: Sequence[Value]) -> Guess:
    texts = [value for value, _ in values]
    distinct = set(texts)
    if len(distinct) <= 4 and (meant := words.pair_of(distinct)):
        is_native = {word.lower() for word in distinct} <= {"true", "false"}
        return Guess(DeltaType("BOOLEAN"), _seen(texts), {} if is_native else {"map": meant})
    nothing = sorted(text for text in distinct if words.is_nothing(text))
    rest = [(text, at) for text, at in values if not words.is_nothing(text)]
    found = _parsed(name, rest) if rest else None
    if found is None:
        blank = sorted(text for text in distinct if words.is_blank(text))
        steps = {"null_if": blank} if blank else {}
        said = _seen(texts) + _apart(blank, texts)
        return Guess(DeltaType("STRING"), said, steps, has_nulls=bool(blank))
    if not nothing:
        return found
    steps = {**found.steps, "null_if": [*found.steps.get("null_if", []), *nothing]}
    return Guess(found.delta, found.evidence + _apart(nothing, texts), steps, has_nulls=True)


def _parsed(name: str, values: Sequence[Value]) -> Guess | None:
    """A type other than STRING, if all texts fit it."""
    texts = [value for value, _ in values]
    if all(NUMBER.fullmatch(text) for text in texts):
        if _is_code(name, texts):
            return None
        numbers = [(_number(text), at) for text, at in values]
        if any(math.isinf(number) for number, _ in numbers):
            return None
        found = _numbers(name, numbers, as_text=True)
        return Guess(found.delta, f"{found.evidence}, as text", found.steps, found.has_nulls)
    if all(_COMMA.fullmatch(text) for text in texts):
        numbers = [(float(text.replace(",", ".")), at) for text, at in values]
        found = _numbers(name, numbers)
        steps = {"decimal": ",", **_only_nulls(found)}
        text = f"{_range([number for number, _ in numbers])}, with a decimal comma"
        return Guess(DeltaType("DOUBLE"), text, steps, found.has_nulls)
    return _time(values) or _glued(texts)


def _only_nulls(found: Guess) -> dict[str, Any]:
    return {"null_if": found.steps["null_if"]} if "null_if" in found.steps else {}


def _is_code(name: str, texts: Sequence[str]) -> bool:
    """Whether digits are a name: leading zeros, a name that says so, more than a number holds."""
    if _NAMED_ID.search(name):
        return True
    whole = [text.lstrip("+-") for text in texts]
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in whole):
        return True
    return any(text.isdigit() and len(text) > _LONG_DIGITS + 3 for text in whole)


def _number(text: str) -> int | float | Decimal:
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def _time(values: Sequence[Value]) -> Guess | None:
    texts = [value for value, _ in values]
    found = moments.pattern_of(texts)
    if found is None or found.is_clock:
        return None
    # What is ISO 8601 these types take by themselves.
    steps = {} if found.word == "iso" else {"time": found.word}
    if found.delta != "TIMESTAMP_NTZ":
        said = "with an offset" if found.delta == "TIMESTAMP" else "dates"
        return Guess(DeltaType(found.delta), f"{said}, e.g. {texts[0]}", steps)
    ahead = moments.ahead_of_utc(texts, [at for _, at in values], found.word)
    zone = f", UTC{ahead} on arrival" if ahead else ""
    text = f"wall time{zone}, e.g. {texts[0]}; with `zone` a TIMESTAMP"
    return Guess(DeltaType("TIMESTAMP_NTZ"), text, steps)


def _glued(texts: Sequence[str]) -> Guess | None:
    """Numbers with one unit behind them."""
    matches = [_GLUED.fullmatch(text) for text in texts]
    units = {match[2] for match in matches if match}
    if not all(matches) or len(units) != 1:
        return None
    (unit,) = units
    numbers = [float(match[1]) for match in matches if match]
    steps = {"match": rf"^([+-]?[0-9]+(?:\.[0-9]+)?)\s*{re.escape(unit.strip())}$"}
    return Guess(DeltaType("DOUBLE"), f"{_range(numbers)}, the unit is {unit.strip()}", steps)


# -- what is said ----------------------------------------------------------------------------------


def _range(numbers: Sequence[Any]) -> str:
    low, high = _short(min(numbers)), _short(max(numbers))
    return f"always {low}" if low == high else f"{low} to {high}"


def _short(number: Any) -> str:
    return str(number) if isinstance(number, int) else f"{number:.7g}"


def _seen(values: Sequence[Any]) -> str:
    """The values if they are few, else an example."""
    counts = Counter(_quoted(value) for value in values)
    shown = [text for text, _ in counts.most_common(_SHOWN)]
    if len(counts) == 1:
        return f"always {shown[0]}"
    if len(counts) <= _SHOWN:
        return ", ".join(shown)
    return f"{len(counts)} values, e.g. {shown[0]}"


def _quoted(value: Any) -> str:
    if not isinstance(value, str):
        return _printed(value)
    cut = value[:_SHOWN_CHARACTERS] + ("…" if len(value) > _SHOWN_CHARACTERS else "")
    return f'"{cut}"'
