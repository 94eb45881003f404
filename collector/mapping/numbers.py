"""Numbers exactly as they were sent: never by way of a rounded float."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

from collector.mapping.misfit import bad, too_large

BLANKS: Final = " \t\r\n"
NUMBER: Final = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
EXPONENT_MAX: Final = 400
"""Beyond, a number is out of every range; it is not even written out."""


def ratio(value: Any) -> tuple[int, int]:
    """Return what a number or the text of one is, as numerator and denominator."""
    if type(value) is int:
        return value, 1
    if type(value) is float:
        # What was sent is the shortest text that stands for this float, or nothing is lost by it.
        text = repr(value)
        whole, point, digits = text.partition(".")
        if point and digits.isdigit():
            return int(whole + digits), 10 ** len(digits)
        number = Decimal(text)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str) and NUMBER.fullmatch(stripped := value.strip(BLANKS)):
        try:
            number = Decimal(stripped)
        except InvalidOperation:
            raise too_large(value, "a number") from None
    else:
        raise bad(value, "a number")
    if not number.is_finite():
        raise bad(value, "a finite number")
    if number and not -EXPONENT_MAX < number.adjusted() < EXPONENT_MAX:
        if number.adjusted() > 0:
            raise too_large(value, "a number")
        return 0, 1
    return number.as_integer_ratio()


def scaling(scale: Fraction, offset: Fraction) -> Callable[[Any], int | float]:
    """Return what computes value x scale + offset: exactly, and rounded once at the end."""
    times, over = scale.numerator, scale.denominator
    plus, per = offset.numerator, offset.denominator

    def scaled(value: Any) -> int | float:
        above, below = ratio(value)
        above, below = above * times * per + plus * below * over, below * over * per
        try:
            return above // below if above % below == 0 else above / below
        except OverflowError:
            raise too_large(value, "a number") from None

    return scaled


def with_points(value: Any) -> Any:
    """Return the text of a number that has a decimal comma with a point; other values as they are.

    A point in it is refused: nobody knows what it meant.
    """
    if not isinstance(value, str):
        return value
    if "." in value:
        raise bad(value, "a number with a decimal comma")
    return value.replace(",", ".")
