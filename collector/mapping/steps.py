"""The steps on a value that need no more than their own word: match, null_if and map."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from collector.mapping.coerce import coercion
from collector.mapping.misfit import MisfitError, bad
from collector.mapping.numbers import BLANKS, NUMBER
from collector.tables import DeltaType

Step = Callable[[Any], Any]

OTHERS: Final = "*"
"""The word of `map` that stands for all others."""

MATCH_MAX: Final = 10_000
"""A longer text is not searched: the time may grow with its square."""
_SENTINEL_MAX: Final = 100
_SHOWN_MAX: Final = 8
_WHOLE_MAX: Final = Decimal(10) ** 30


def matching(pattern: re.Pattern[str]) -> Step:
    """Keep the first group of a pattern, or all that matches when it has none."""
    group = 1 if pattern.groups else 0
    search = pattern.search

    def match(value: Any) -> str | None:
        if isinstance(value, str):
            text = value
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            text = str(value)
        else:
            raise bad(value, "text")
        if len(text) > MATCH_MAX:
            raise bad(value, f"short enough for match: it has over {MATCH_MAX} characters")
        found = search(text)
        if found is None:
            raise bad(value, f"like {pattern.pattern}")
        return found[group]

    return match


def nulling(nulls: Sequence[Any], *, comma: bool = False) -> Step:
    """Make NULL of some values; numbers compare as numbers, also in text, with its `comma`."""
    texts = frozenset(one for one in nulls if isinstance(one, str))
    booleans = frozenset(one for one in nulls if isinstance(one, bool))
    decimals = frozenset(
        found
        for one in nulls
        if (found := number_of(one.replace(",", ".") if comma and isinstance(one, str) else one))
        is not None
    )
    numbers = frozenset(map(as_plain, decimals))
    nan = any(str(one).lower() == "nan" for one in nulls)

    def null(value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip(BLANKS)
            if text in texts or (nan and text.lower() == "nan"):
                return None
            if not decimals:
                return value
            written = text.replace(",", ".") if comma and "." not in text else text
            return None if number_of(written) in decimals else value
        if isinstance(value, bool):
            return None if value in booleans else value
        if isinstance(value, float) and math.isnan(value):
            return None if nan else value
        if isinstance(value, int | float):
            return None if value in numbers else value
        return None if isinstance(value, Decimal) and value in decimals else value

    return null


def number_of(value: Any) -> Decimal | None:
    """The decimal that a number, or the text of one, was written as; None for all else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    text = str(value)
    if len(text) > _SENTINEL_MAX or not NUMBER.fullmatch(text):
        return None
    return Decimal(text)


def as_plain(number: Decimal) -> int | float:
    """The number that equals what JSON gives for the same digits."""
    return int(number) if abs(number) < _WHOLE_MAX and number == int(number) else float(number)


def wording(words: Mapping[str, Any], delta: DeltaType, *, final: bool) -> Step:
    """Words to values, which must fit the column; with `final` they are what it takes."""
    coerce = coercion(delta)
    table: dict[str, Any] = {}
    for word, meaning in words.items():
        try:
            fitting = None if meaning is None else coerce(meaning)
            table[word] = fitting if final else meaning
        except MisfitError as misfit:
            raise ValueError(f"map: {word}: {misfit}") from None
    has_others = OTHERS in table
    others = table.pop(OTHERS, None)
    known = ", ".join(list(table)[:_SHOWN_MAX])

    def look(value: Any) -> Any:
        text = value.strip(BLANKS) if isinstance(value, str) else printed(value)
        if text in table:
            return table[text]
        if has_others:
            return others
        raise bad(value, f"one of the words {known}")

    return look


def printed(value: Any) -> str:
    """How a value is written as a word of `map`: 1 for 1.0, true for True."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float | Decimal):
        return str(value)
    raise bad(value, "a word or a number")
