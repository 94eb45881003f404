"""`when`: which elements become rows. Values are looked at as they came, before any step."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from collector.config.vocabulary import Condition
from collector.mapping.misfit import MisfitError
from collector.mapping.numbers import BLANKS, ratio, with_points
from collector.mapping.sources import NOTHING, Frame
from collector.mapping.steps import as_plain, number_of, printed

_WORDS: Final = {"true": True, "false": False}

Holds = Callable[[Frame], bool]


def condition(
    conditions: Mapping[str, Condition], find: Callable[[str], Any], *, comma: bool
) -> Holds:
    """Return what says whether all conditions hold; `find` gives the getter of a source's text.

    With `comma` numbers in text have a decimal comma.
    """
    tests = [(find(source), _test(one, comma=comma)) for source, one in conditions.items()]
    if len(tests) == 1:
        [(only_get, only_test)] = tests
        return lambda frame: only_test(only_get(frame))

    def holds(frame: Frame) -> bool:
        return all(test(get(frame)) for get, test in tests)

    return holds


def _test(condition: Condition, *, comma: bool) -> Callable[[Any], bool]:
    """What a value must be; a missing key fulfils nothing but `exists: false` and `not`."""
    tests: list[Callable[[Any], bool]] = []
    if condition.exists is not None:
        exists = condition.exists
        tests.append(lambda value: (value is not NOTHING) == exists)
    if condition.one_of is not None:
        tests.append(_equals(condition.one_of))
    if condition.low is not None or condition.high is not None:
        tests.append(_between(condition.low, condition.high, comma=comma))
    if condition.match is not None:
        tests.append(_matches(condition.match.search))
    if condition.unless is not None:
        inner = _test(condition.unless, comma=comma)
        tests.append(lambda value: not inner(value))
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _equals(wanted: tuple[Any, ...]) -> Callable[[Any], bool]:
    """One of some values; numbers and booleans equal their text: in CSV all values are text."""
    texts = {one for one in wanted if isinstance(one, str)}
    booleans = {one for one in wanted if isinstance(one, bool)}
    numbers = {found for one in wanted if (found := number_of(one)) is not None}
    plain = {as_plain(one) for one in numbers}
    has_null = None in wanted

    def equals(value: Any) -> bool:
        if value is None:
            return has_null
        if isinstance(value, bool):
            return value in booleans
        if isinstance(value, str):
            text = value.strip(BLANKS)
            if text in texts or (booleans and _WORDS.get(text.lower()) in booleans):
                return True
            return bool(numbers) and number_of(text) in numbers
        if isinstance(value, int | float):
            return value in plain
        return isinstance(value, Decimal) and value in numbers

    return equals


def _between(low: Fraction | None, high: Fraction | None, *, comma: bool) -> Callable[[Any], bool]:
    def between(value: Any) -> bool:
        try:
            value = with_points(value) if comma else value
            number = Fraction(*ratio(value))
        except MisfitError:
            return False
        return (low is None or number >= low) and (high is None or number <= high)

    return between


def _matches(search: Callable[[str], Any]) -> Callable[[Any], bool]:
    def matches(value: Any) -> bool:
        if isinstance(value, str):
            return search(value) is not None
        try:
            return search(printed(value)) is not None
        except MisfitError:
            return False

    return matches
