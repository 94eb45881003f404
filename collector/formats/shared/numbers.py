"""Numbers as they were written: no digit is lost before the column of a number is known."""

from decimal import Decimal, InvalidOperation
from typing import Final

DIGITS_MAX: Final = 15
"""So many significant digits come out of a float as they went in; see DBL_DIG."""

_EXACT: Final = 2.0**53
# A fraction has a point or an exponent beside its digits.
_SHORT_MAX: Final = DIGITS_MAX + 1


def fraction_of(text: str) -> float | Decimal:
    """The number that a text with a point or an exponent stands for; Infinity beyond a Decimal.

    >>> fraction_of("21.5"), fraction_of("1741000000.999999999"), fraction_of("1e99")
    (21.5, Decimal('1741000000.999999999'), Decimal('1E+99'))
    """
    number = float(text)
    if len(text) <= _SHORT_MAX and -_EXACT < number < _EXACT:
        return number
    return _exact(text, number)


def _exact(text: str, number: float) -> float | Decimal:
    digits = text.replace("E", "e").partition("e")[0].replace(".", "", 1).lstrip("+-0")
    if len(digits) <= DIGITS_MAX and -_EXACT < number < _EXACT:
        return number
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")
