"""The format json: strict where json.loads is not, and never anything but values or a reason."""

import doctest
import json
import math
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import collector.formats.json
from collector import formats
from collector.formats.json import DEPTH_MAX, SIZE_MAX, Options, is_too_deep
from collector.model import Arrival, DecodeError


def decode(payload):
    return formats.compile("json", Options(), None).decode(payload, Arrival("t", 0))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_the_example_in_the_docstring_is_true():
    assert doctest.testmod(collector.formats.json).failed == 0
    assert doctest.testmod(collector.formats.json).attempted > 0


def test_a_format_is_found_by_its_name_and_an_unknown_one_lists_those_there_are():
    assert "json" in formats.names()
    with pytest.raises(ValueError, match=r"no format 'xml'; known are .*json"):
        formats.options_of("xml")
    with pytest.raises(ValueError, match="no format"):
        formats.options_of("../json")


def test_an_option_that_the_format_does_not_have_is_refused():
    with pytest.raises(ValueError, match="depth"):
        Options(depth=5)


@given(VALUES, st.booleans())
def test_what_json_can_say_comes_back_as_it_was(value, ascii_only):
    assert rounded(decode(json.dumps(value, ensure_ascii=ascii_only).encode())) == value


def rounded(value: object) -> object:
    """The value as it is without the digits that only a Decimal keeps."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else value


@given(st.binary())
def test_random_bytes_give_values_or_a_decode_error(payload):
    with suppress(DecodeError):
        decode(payload)


@given(st.lists(st.sampled_from(['"', "\\", "[", "]", "{", "}", "\\u", "d8", "00", ":", ",", "1"])))
def test_scraps_of_json_give_values_or_a_decode_error(scraps):
    with suppress(DecodeError):
        decode("".join(scraps).encode())


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "not JSON"),
        (b"   ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1}x', "not JSON: Extra data at line 1, column 8"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\xff"}', "not UTF-8 text: byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "not UTF-8"),
        (b'{"a":NaN}', "NaN is no number"),
        (b'{"a":Infinity}', "Infinity is no number"),
        (b'{"a":-Infinity}', "-Infinity is no number"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":1_000}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":.5}', "not JSON"),
        (b'{"a":"\x01"}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'"\\ud800"', "surrogate"),
        (b'"\\uDC00x"', "surrogate"),
        (b'"\\ud800\\ud800\\udc00"', "surrogate"),
        (b'"\\\\\\ud800"', "surrogate"),
        (b'{"a":' + b"9" * 4301 + b"}", "4300 digits"),
        (nested(DEPTH_MAX + 1), "deeper"),
        (nested(100_000), "deeper"),
        (b"[" * 100_000, "deeper"),
        (b'{"a":' * 100_000, "deeper"),
        (b'[{"a":' * (DEPTH_MAX // 2 + 1) + b"1" + b"}]" * (DEPTH_MAX // 2 + 1), "deeper"),
        (b'["]",' * 150 + b"1" + b"]" * 150, "deeper"),
        (b'["\\"]",' * 150 + b"1" + b"]" * 150, "deeper"),
        (b" " * (SIZE_MAX + 1), "larger"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_a_careful_reader_would_doubt_is_refused_with_its_reason(payload, words):
    with pytest.raises(DecodeError) as error:
        decode(payload)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b" \t\r\n{} \n", {}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\u0000"', "\0"),
        (b"18446744073709551616", 2**64),
        (b"9" * 4300, int("9" * 4300)),
        (b"9007199254740993.0", Decimal(9007199254740993)),
        (b"1e400", Decimal("1e400")),
        (b"-1E-400", 0.0),
        (b"1e" + b"9" * 30, Decimal("Infinity")),
        (b"-0", 0),
        (b'["[[[[{{{{", "\\"[{"]' + b" " * 300, ["[[[[{{{{", '"[{']),
        (b'["' + b"[" * 300 + b'"]', ["[" * 300]),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_unusual_but_plain_is_read(payload, value):
    assert decode(payload) == value


def test_a_number_of_at_most_15_digits_below_two_to_the_53_is_a_float():
    for text in (b"21.5", b"-1741000000.12345", b"0.000000000000000000000123", b"1e15"):
        assert type(decode(text)) is float, text
    assert math.copysign(1, decode(b"-0.0")) == -1


@pytest.mark.parametrize(
    "text",
    ["1741000000.999999999", "0.30000000000000004", "-1.000000000000000", "9.007199254740993E15"],
)
def test_a_number_of_more_digits_keeps_them_all(text):
    value = decode(text.encode())
    assert type(value) is Decimal
    assert value == Decimal(text)


@pytest.mark.parametrize("levels", [1, 50, DEPTH_MAX - 1, DEPTH_MAX])
@pytest.mark.parametrize("filler", [b"", b" " * 300])
def test_a_text_may_nest_as_deep_as_the_limit(levels, filler):
    assert not is_too_deep(nested(levels) + filler)
    decode(nested(levels) + filler)


def test_many_shallow_objects_are_not_deep():
    payload = b"[" + b",".join([b'{"a":["]{",{}]}'] * 5_000) + b"]"
    assert not is_too_deep(payload)
    assert len(decode(payload)) == 5_000


def depth_of(value: object) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(VALUES, st.integers(90, 105), st.sampled_from([b"[%s]", b'{"\\"]{":%s}', b'["[[\\\\",%s]']))
def test_the_depth_is_counted_exactly(value, levels, around):
    payload = json.dumps(value).encode()
    for _ in range(levels):
        payload = around.replace(b"%s", payload)
    assert is_too_deep(payload) == (depth_of(value) + levels > DEPTH_MAX)
