"""From the value of a source to what a column takes: the steps in their order, then the type.

match, bytes, unpack, null_if, map, time, scale and offset, the column's type. Each step is a
function that is built once; a value that becomes None on the way is NULL, and no later step sees
it. What does not fit raises `MisfitError`, unless the column is lenient.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from fractions import Fraction
from functools import partial
from typing import Any

from collector.config.vocabulary import Words, Zone
from collector.mapping.coerce import REAL, TIMES, WHOLE, array, coercion, mapped, missing
from collector.mapping.misfit import MisfitError, bad
from collector.mapping.moments import TIMED, reading, timed, zoned
from collector.mapping.numbers import scaling, with_points
from collector.mapping.sources import Path, follow, parse_source
from collector.mapping.steps import Step, matching, nulling, wording
from collector.mapping.unpack import to_bytes, unpacking
from collector.tables import DeltaType


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a station says for all of its columns."""

    zone: Zone | None = None
    decimal: str | None = None
    null_if: tuple[Any, ...] = ()

    def place(self, words: Words | None) -> tzinfo | None:
        """The zone of a column where it is one for all times, and not letters behind each."""
        zone = (words.zone if words else None) or self.zone
        return zone if isinstance(zone, tzinfo) else None


def steps_of(
    words: Words, delta: DeltaType, defaults: Defaults, *, inner: bool = False
) -> list[Step]:
    """The steps of a column before its type; raises ValueError with what can't be, and its word.

    With `inner` they are those of one of several sources: what comes out goes through the steps
    and the type of the column.
    """
    comma = (words.decimal or defaults.decimal) == ","
    is_scaled = words.scale is not None or words.offset is not None
    steps: list[Step] = []
    if words.match is not None:
        steps.append(matching(words.match))
    if words.bytes_of is not None:
        steps.append(to_bytes(words.bytes_of))
    if words.unpack is not None:
        steps.append(unpacking(words.unpack))
    nulls = defaults.null_if if words.null_if is None else words.null_if
    if nulls:
        steps.append(nulling(nulls, comma=comma))
    if words.words is not None:
        final = not inner and _is_final(words)
        steps.append(wording(words.words, delta, final=final))
    if words.time is not None:
        steps += _timed(words, delta, defaults, inner=inner)
    if comma and (is_scaled or (_is_number(delta) and not inner)):
        steps.append(with_points)
    if is_scaled:
        steps.append(_scaled(words, delta))
    return steps


def conversion(words: Words, delta: DeltaType, defaults: Defaults) -> Step:
    """All steps of a column and its type, as one function; raises ValueError as `steps_of` does.

    The steps on a list are those on each of its members, unless bytes are made of the list.
    """
    if delta.name == "ARRAY" and delta.element and not (words.bytes_of or words.unpack):
        member = chained(_conversion(words, delta.element, defaults))
        return chained([array(member, lenient=words.lenient)], lenient=words.lenient)
    if delta.name == "MAP" and delta.key and delta.element:
        member = chained(_conversion(words, delta.element, defaults))
        return chained([mapped(coercion(delta.key), member)], lenient=words.lenient)
    return chained(_conversion(words, delta, defaults), lenient=words.lenient)


def _conversion(words: Words, delta: DeltaType, defaults: Defaults) -> list[Step]:
    steps = steps_of(words, delta, defaults)
    if words.time is not None or (words.words is not None and _is_final(words)):
        return steps
    if delta.name == "STRUCT" and (words.members is not None or defaults != Defaults()):
        return [*steps, structured(words.members, delta, defaults)]
    if words.members is not None:
        raise ValueError(f"fields: {delta} has no members")
    return [*steps, coercion(delta, defaults.place(words))]


def structured(members: Mapping[str, Words] | None, delta: DeltaType, defaults: Defaults) -> Step:
    """An object, or a list read by position, to a STRUCT: each member from a source within it."""
    if members is None:
        members = {one.name: Words.of_key(one.name) for one in delta.fields}
    if unknown := members.keys() - {one.name for one in delta.fields}:
        raise ValueError(f"fields: {min(unknown)} is no member of {delta}")
    feeds: list[tuple[str, bool, Callable[[Any], Any], Step, Any]] = []
    for one in delta.fields:
        words = members.get(one.name)
        if words is None:
            if not one.nullable:
                raise ValueError(f"fields: nothing feeds {one.name}, which is NOT NULL")
            continue
        convert = conversion(words, one.delta, defaults)
        default = default_of(words, one.delta, defaults)
        feeds.append((one.name, one.nullable, _member_source(words), convert, default))

    def structure(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict | list):
            raise bad(value, "an object")
        row = {}
        for name, nullable, get, convert, default in feeds:
            found = get(value)
            try:
                found = default if found is None else convert(found)
                if found is None:
                    found = default
                if found is not None:
                    row[name] = found
                elif not nullable:
                    raise missing()
            except MisfitError as misfit:
                raise misfit.inside(f".{name}") from None
        return row

    return structure


def _member_source(words: Words) -> Callable[[Any], Any]:
    if words.says("value"):
        return lambda _: words.value
    paths = []
    for text in words.sources:
        path = parse_source(text) if isinstance(text, str) else None
        if not isinstance(path, Path) or path.absolute or path.up:
            raise ValueError("fields: a member comes from a path inside the object, such as lat")
        paths.append(path.parts)
    if not paths:
        raise ValueError("fields: a member comes from a path inside the object, such as lat")
    if len(paths) == 1:
        return partial(follow, paths[0])
    return lambda value: next(
        (found for parts in paths if (found := follow(parts, value)) is not None), None
    )


def default_of(words: Words, delta: DeltaType, defaults: Defaults) -> Any:
    """The value of `default` as the column takes it; raises ValueError when it does not."""
    if words.default is None:
        return None
    try:
        return coercion(delta, defaults.place(words))(words.default)
    except MisfitError as misfit:
        raise ValueError(f"default: {misfit}") from None


def chained(steps: Sequence[Step], *, lenient: bool = False) -> Step:
    """Several steps as one; with `lenient`, what does not fit is NULL."""
    step = _sequence(steps)
    if not lenient:
        return step

    def lenient_step(value: Any) -> Any:
        try:
            return step(value)
        except MisfitError:
            return None

    return lenient_step


def _sequence(steps: Sequence[Step]) -> Step:
    if not steps:
        return lambda value: value
    if len(steps) == 1:
        return steps[0]
    first, *rest = steps
    then = _sequence(rest)

    def both(value: Any) -> Any:
        value = first(value)
        return None if value is None else then(value)

    return both


def _is_final(words: Words) -> bool:
    """Whether what `map` gives is what the column takes: no step comes after it."""
    return words.time is None and words.scale is None and words.offset is None


def _timed(words: Words, delta: DeltaType, defaults: Defaults, *, inner: bool) -> list[Step]:
    if delta.name not in TIMED:
        raise ValueError(f"time: a time can't become {delta}: {', '.join(sorted(TIMED))} can")
    if words.scale is not None or words.offset is not None:
        raise ValueError("time: a time is not scaled")
    word, zone = words.time or "", words.zone or defaults.zone
    has_letters = isinstance(zone, Mapping)
    if word.endswith("%Z") and not has_letters:
        raise ValueError('time: %Z needs a zone of letters, such as {S: "+02:00", W: "+01:00"}')
    if isinstance(words.zone, Mapping) and not word.endswith("%Z"):
        raise ValueError("zone: letters stand for %Z at the end of a pattern")
    if inner:
        # A point in time goes through the column's own `time` as it is.
        return [reading(word, zone), zoned(zone)]
    return [timed(delta.name, word, zone)]


def _scaled(words: Words, delta: DeltaType) -> Step:
    if delta.name in ("BOOLEAN", "BINARY", "STRUCT", "MAP"):
        raise ValueError(f"scale: a number can't become {delta}")
    return scaling(
        Fraction(1) if words.scale is None else words.scale,
        Fraction(0) if words.offset is None else words.offset,
    )


def _is_number(delta: DeltaType) -> bool:
    """Whether text is read as a number at the end."""
    return delta.name in REAL or (delta.name in WHOLE and delta.name not in TIMES)
