"""CBOR and MessagePack: what each reads and what it refuses."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import cbor2
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import formats
from collector.model import Arrival, DecodeError


def decode(name, payload):
    decoder = formats.compile(name, formats.options_of(name)(), None)
    raw = bytes.fromhex(payload) if isinstance(payload, str) else payload
    return decoder.decode(raw, Arrival("a/b", 0))


AT = datetime(2025, 3, 3, 11, 6, 40, tzinfo=UTC)

# --- what both formats without a schema can say comes back

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(codec="utf-8")) | st.integers(0, 99), inner)
    ),
    max_leaves=20,
)


def named(value):
    """The value with its keys as texts."""
    if isinstance(value, dict):
        return {str(key): named(inner) for key, inner in value.items()}
    return [named(one) for one in value] if isinstance(value, list) else value


def has_one_key_twice(value):
    if isinstance(value, dict):
        keys = {str(key) for key in value}
        return len(keys) < len(value) or any(map(has_one_key_twice, value.values()))
    return isinstance(value, list) and any(map(has_one_key_twice, value))


@settings(deadline=None)
@given(PLAIN.filter(lambda value: not has_one_key_twice(value)))
def test_what_was_encoded_comes_back_with_texts_as_keys(value):
    assert decode("cbor", cbor2.dumps(value)) == named(value)
    assert decode("msgpack", msgpack.packb(value, datetime=True)) == named(value)


# --- cbor


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("f7", None),
        ("82f6f7", [None, None]),
        ("a2 02 02 f5 03", {"2": 2, "true": 3}),
        ("a1 20 00", {"-1": 0}),
        ("9f 01 ff", [1]),
        ("bf 61 61 01 ff", {"a": 1}),
        ("7f 61 61 61 62 ff", "ab"),
        ("5f 41 01 41 02 ff", b"\x01\x02"),
        ("f9 7c00", math.inf),
        ("1b ffffffffffffffff", 2**64 - 1),
        ("3b ffffffffffffffff", -(2**64)),
        ("c2 49 010000000000000000", 2**64),
        ("c3 49 010000000000000000", -(2**64) - 1),
        ("c4 82 21 19 6ab3", Decimal("273.15")),
        ("c4 82 03 05", Decimal(5000)),
        ("c5 82 20 03", Decimal("1.5")),
        ("c5 82 02 03", Decimal(12)),
        ("c1 1a 67c58d40", AT),
        ("c1 20", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("d8 25 41 01", b"\x01"),
        ("d9 0102 82 01 02", [1, 2]),
        ("d8 1c 81 01", [1]),
        ("d9 d9f7 a0", {}),
        ("d8 23 63 612b2b", "a++"),
        ("da ffffffff 05", 5),
    ],
)
def test_an_item_of_cbor_is_read(payload, value):
    found = decode("cbor", payload)
    assert (found, type(found)) == (value, type(value))


def test_a_power_of_two_in_cbor_keeps_all_its_digits():
    found = decode("cbor", "c5 82 39 07cf c2 59 0400" + "ff" * 1024)
    assert Fraction(found) == Fraction(2**8192 - 1, 2**2000)


@pytest.mark.parametrize(
    ("seconds", "microseconds"),
    [
        (1741000000.25, 250_000),
        (1741000000.475377, 475_377),
        (1741000000.43, 430_000),
        (Decimal("1741000000.4753779"), 475_377),
        (Decimal("1741000000.999999999"), 999_999),
    ],
)
def test_a_point_in_time_of_cbor_is_cut_to_the_microsecond(seconds, microseconds):
    payload = cbor2.dumps(cbor2.CBORTag(1, seconds))
    assert decode("cbor", payload) == AT.replace(microsecond=microseconds)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2025-03-03T11:06:40Z", 0),
        ("2025-03-03t12:06:40.5+01:00", 500_000),
        ("2025-03-03 11:06:40.1234567891234z", 123_456),
        ("2025-03-03T00:06:40.000001-11:00", 1),
    ],
)
def test_a_text_of_cbor_that_is_tagged_as_a_time_is_one(text, microseconds):
    payload = cbor2.dumps(cbor2.CBORTag(0, text))
    assert decode("cbor", payload) == AT.replace(microsecond=microseconds)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("", "not CBOR"),
        ("18", "not CBOR"),
        ("ff", "not CBOR"),
        ("1c", "not CBOR"),
        ("61 ff", "not CBOR"),
        ("63 eda080", "not CBOR"),
        ("a1 61 61", "not CBOR"),
        ("00 00", "1 bytes stand behind"),
        ("a2 6161 01 6161 02", "Duplicate"),
        ("a2 01 01 61 31 02", "twice"),
        ("a1 f6 01", "key"),
        ("a1 80 01", "key"),
        ("a1 f9 3c00 01", "key"),
        ("a1 41 61 01", "key"),
        ("a1 c1 00 01", "key"),
        ("f0", "plain value"),
        ("d8 1c 81 d8 1d 00", "references"),
        ("d9 0100 82 63 616161 d8 19 00", "references"),
        ("c2 59 0401" + "ff" * 1025, "1024 bytes"),
        ("c4 82 1907d1 01", "exponent"),
        ("c5 82 3907d0 01", "exponent"),
        ("c4 82 1b ffffffffffffffff 01", "exponent"),
        ("c4 81 01", "tag 4"),
        ("c4 82 01 f9 3c00", "tag 4"),
        ("c4 82 01 f5", "tag 4"),
        ("c2 01", "tag 2"),
        ("c0 01", "tag 0"),
        ("c1 61 61", "tag 1"),
        ("c1 f5", "tag 1"),
        ("c1 f9 7e00", "no point in time"),
        ("c1 f9 7c00", "no point in time"),
        ("c1 1b ffffffffffffffff", "no point in time"),
        ("c1 1b 0000003afff44180", "9999"),
        ("c1 c4 82 1907cf 01", "no point in time"),
        ("c0 61 61", "RFC 3339"),
        ("c0 73" + b"2025-03-03T11:06:40".hex(), "RFC 3339"),
        ("c0 74" + b"2025-02-30T11:06:40Z".hex(), "there is not"),
        ("c0 78 19" + b"0001-01-01T00:00:00+01:00".hex(), "there is not"),
        ("81" * 101 + "00", "depth"),
        ("c1" * 101 + "00", "depth"),
    ],
)
def test_what_is_doubtful_in_cbor_is_refused_with_its_reason(payload, words):
    with pytest.raises(DecodeError, match=words):
        decode("cbor", payload)


# --- msgpack


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("c0", None),
        ("82 01 02 c3 03", {"1": 2, "true": 3}),
        ("cf ffffffffffffffff", 2**64 - 1),
        ("c4 02 01ff", b"\x01\xff"),
        ("d6 ff 67c58d40", AT),
        ("c7 0c ff 1dcd64ff ffffffffffffffff",
         datetime(1969, 12, 31, 23, 59, 59, 499_999, tzinfo=UTC)),
        ("c7 03 05 010203", b"\x01\x02\x03"),
    ],
)  # fmt: skip
def test_a_value_of_messagepack_is_read(payload, value):
    found = decode("msgpack", payload)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("", "not MessagePack"),
        ("c1", "not MessagePack"),
        ("92 01", "not MessagePack"),
        ("a1 ff", "not MessagePack"),
        ("a3 eda080", "not MessagePack"),
        ("dd ffffffff", "not MessagePack"),
        ("c0 c0 c0", "2 bytes stand behind"),
        ("82 01 c0 a1 31 c0", "twice"),
        ("82 a161 c0 a161 c0", "twice"),
        ("81 c0 c0", "key"),
        ("81 90 c0", "key"),
        ("81 c401 61 c0", "key"),
        ("c7 03 ff 010203", "not MessagePack"),
        ("c7 0c ff 00000000 7fffffffffffffff", "not MessagePack"),
        ("91" * 101 + "c0", "100 levels"),
        ("81a161" * 101 + "c0", "100 levels"),
        ("91" * 5000 + "c0", "too deep"),
    ],
)
def test_what_is_doubtful_in_messagepack_is_refused_with_its_reason(payload, words):
    with pytest.raises(DecodeError, match=words):
        decode("msgpack", payload)


def test_messagepack_may_nest_100_levels():
    assert decode("msgpack", "91" * 100 + "c0")
