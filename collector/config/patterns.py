"""Regular expressions that a payload could make take for ever.

Python's `re` goes back and tries again: `(a+)+$` takes twice as long with each further `a`, in the
thread that talks to the broker, and the message would come again after the watchdog.
"""

import re
from collections.abc import Iterable
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

_FEW: Final = 4
"""A repeat of no more rounds costs little, whatever is in it."""
_REPEATS: Final = (constants.MAX_REPEAT, constants.MIN_REPEAT)


def repeats_a_repeat(pattern: str) -> bool:
    r"""Whether an open repeat holds what can be read in several ways: a repeat, or alternatives.

    >>> [repeats_a_repeat(one) for one in ("^(a+)+$", "(a|aa)+b", "(a?a)+b", r"(\d+|x)*")]
    [True, True, True, True]
    >>> [repeats_a_repeat(one) for one in (r"([\d.]+) kWh", "(a++)+", "(?:on|far)+", r"(\d{2}:)+")]
    [False, False, False, False]
    """
    return _find(parser.parse(pattern, re.NOFLAG), inside=False)


def _find(parsed: Iterable[Any], *, inside: bool) -> bool:
    for operator, argument in parsed:
        is_open = operator in _REPEATS and argument[1] > _FEW
        if inside and operator in _REPEATS and argument[0] != argument[1]:
            return True
        if inside and operator is constants.BRANCH and not _differ(argument[1]):
            return True
        if operator in (constants.POSSESSIVE_REPEAT, constants.ATOMIC_GROUP):
            continue
        if any(_find(inner, inside=inside or is_open) for inner in _inner(operator, argument)):
            return True
    return False


def _differ(alternatives: Iterable[Any]) -> bool:
    """Whether alternatives begin with characters that tell them apart."""
    firsts = [one[0] if len(one) else (None, None) for one in alternatives]
    known = {character for operator, character in firsts if operator is constants.LITERAL}
    return len(known) == len(firsts)


def _inner(operator: Any, argument: Any) -> list[Any]:
    """The patterns within one."""
    if operator in _REPEATS:
        return [argument[2]]
    if operator is constants.SUBPATTERN:
        return [argument[3]]
    if operator is constants.BRANCH:
        return list(argument[1])
    if operator in (constants.ASSERT, constants.ASSERT_NOT):
        return [argument[1]]
    return []
