"""The contract of all formats: whatever the bytes, plain values of known types or a reason.

Each format has a valid sample here. Random bytes, and the samples with scraps of them cut, flipped
and put in, are decoded; then what an attacker would send; then the documents are held to the code.
"""

import doctest
import importlib
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import cbor2
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import formats
from collector.formats import Bad, Records
from collector.formats.shared.sparkplug_wire import payload_class
from collector.model import KINDS, Arrival, DecodeError
from collector.tables import load_schema

ROOT = Path(__file__).resolve().parent.parent
TOPIC = "spBv1.0/Plant/NBIRTH/edge-7"
PROTO = """
syntax = "proto2";
message T {
  required string id = 1;
  optional double temp = 2;
  repeated int32 many = 3;
  map<string, double> by_name = 4;
  optional T2 inner = 5;
  message T2 { optional bytes raw = 1; }
}
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    (folder / "schema.proto").write_text(PROTO)
    return load_schema(folder)


@pytest.fixture(scope="module")
def decoders(schema):
    return {name: decoder_of(name, schema) for name in formats.names()}


def decoder_of(name, schema=None, **options):
    return formats.compile(name, formats.options_of(name)(**options), schema)


VALUES = {
    "id": "node-5",
    "temp": 21.5,
    "at": datetime.fromisoformat("2025-03-03T11:06:40.25+00:00"),
    "raw": b"\x01\xff",
    "list": [1, -2, None, True, {"a": 2**63}],
}
SAMPLES = {
    "cbor": cbor2.dumps(VALUES | {"big": 2**70, "exact": Decimal("1.25"), "set": {1, 2}}),
    "bytes": bytes.fromhex("01 67 00 e1"),
    "csv": b'id;"temp";x\r\n"a;""b"";c",21.5\n,,\n',
    "influx": b'a\\ b,tag=x\\,y f=1.5,i=3i,u=4u,b=t,s="a \\"b\\"\nc" 17\n# c\n\nb g=2\n',
    "json": b'{"a": [1, 2.5, null, true, "\\u00e9\\ud83d\\ude00"], "b": {"c": 1e400}}',
    "json-or-text": b' {"state": "on"} ',
    "kv": b'temp=21.5 hum=;name="a \\"b\\"", x=y=z\r\nonly=1\n',
    "msgpack": msgpack.packb(VALUES, datetime=True),
    "protobuf": bytes.fromhex("0a03612d37110000000000803540180118021a020304220c0a0161")
    + bytes.fromhex("11000000000000f03f2a030a01ff"),
    "senml": b'[{"bn":"x/","bt":1750000000,"bv":0.1},{"n":"a","v":23.1},{"n":"d","vd":"3q2-7w"}]',
    "sparkplug": payload_class()(
        timestamp=1_741_000_000_000,
        seq=1,
        metrics=[
            {"name": "a", "alias": 1, "datatype": 3, "int_value": 2**32 - 5},
            {"name": "b", "datatype": 22, "bytes_value": b"\x01\xff"},
            {"name": "c", "datatype": 33, "bytes_value": b"x\0y\0"},
            {
                "name": "d",
                "datatype": 16,
                "dataset_value": {
                    "columns": ["x"],
                    "types": [9],
                    "rows": [{"elements": [{"float_value": 1.5}]}],
                },
            },
        ],
    ).SerializeToString(),
    "text": " 21,5 °C\r\n".encode(),
}


def assert_plain(value) -> None:
    """Hold a value to the types that the formats promise; lists and dicts of them as well."""
    pending = [value]
    while pending:
        one = pending.pop()
        kind = type(one)
        assert kind in (
            dict,
            list,
            str,
            bytes,
            int,
            float,
            Decimal,
            bool,
            type(None),
            datetime,
            date,
        )
        if kind is dict:
            assert all(type(key) is str for key in one)
            pending += [*one, *one.values()]
        elif kind is list:
            pending += one
        elif kind is str:
            one.encode()
        elif kind is datetime:
            assert one.tzinfo is not None


def check(decoder, payload, topic=TOPIC):
    """Decode, and hold what comes to the contract."""
    try:
        found = decoder.decode(payload, Arrival(topic, 1_741_000_000_000_000))
    except DecodeError:
        return None
    if type(found) is not Records:
        assert_plain(found)
        return found
    for one in found:
        if isinstance(one, Bad):
            assert one.kind in KINDS
            assert one.reason
        else:
            assert_plain(one)
    return found


def test_every_format_has_a_sample_here_and_reads_it(decoders):
    assert set(SAMPLES) == set(formats.names())
    for name, payload in SAMPLES.items():
        found = check(decoders[name], payload)
        assert found is not None, name
        assert not any(isinstance(one, Bad) for one in found), name


@pytest.mark.parametrize("name", formats.names())
def test_the_examples_in_the_docstring_are_true(name):
    module = importlib.import_module(f"collector.formats.{name.replace('-', '_')}")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("name", ["memory", "numbers", "plain"])
def test_the_examples_of_what_they_share_are_true(name):
    result = doctest.testmod(importlib.import_module(f"collector.formats.shared.{name}"))
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("name", formats.names())
@settings(deadline=None)
@given(payload=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_random_bytes_give_plain_values_or_a_reason(decoders, name, payload):
    check(decoders[name], payload)


SCRAPS = [
    b"",
    b"\0",
    b"\xff",
    b'"',
    b"\\",
    b",",
    b"\n",
    b"=",
    b"}",
    b"1e999",
    b"\xed\xa0\x80",
    b"\x9f",
]


@pytest.mark.parametrize("name", formats.names())
@settings(deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(0, 3),
            st.sampled_from(SCRAPS) | st.binary(max_size=4),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_damaged_sample_gives_plain_values_or_a_reason(decoders, name, changes):
    payload = SAMPLES[name]
    for place, cut, scrap in changes:
        at = place % (len(payload) + 1)
        payload = payload[:at] + scrap + payload[at + cut :]
    check(decoders[name], payload)


@pytest.mark.parametrize("name", formats.names())
def test_a_sample_that_is_cut_off_or_has_a_flipped_bit_gives_plain_values_or_a_reason(
    decoders, name
):
    payload = SAMPLES[name]
    for place in range(len(payload)):
        check(decoders[name], payload[:place])
        for bit in range(8):
            flipped = payload[place] ^ 1 << bit
            check(decoders[name], payload[:place] + bytes([flipped]) + payload[place + 1 :])


@pytest.mark.parametrize("name", sorted(set(formats.names()) - {"json", "protobuf"}))
@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\x81" * 100_000,
        b"\xa1" * 100_000,
        b"\x91" * 100_000,
        b"\x12\xff\xff\xff\xff\x0f" * 10,
        b"\x9b\x7f" + b"\xff" * 7,
        b"\x9a\xff\xff\xff\xff",
        b"\x5b\x7f" + b"\xff" * 7,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b'"' * 100_000,
        b'a,"\n' * 20_000,
        b'a f="' * 20_000,
        b'a="' * 20_000,
        b"\\" * 100_000,
        b"\n" * 100_000,
        b"9" * 100_000,
        b"1e" + b"9" * 100_000,
        b"a=1" + b" " * 100_000 + b"x",
        b"a f=1" + b" " * 100_000 + b"x",
        b"a f=" + b"1" * 100_000 + b".",
        b"\0" * 100_000,
        b"\xff" * 100_000,
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_an_attacker_would_send_gives_plain_values_or_a_reason(decoders, name, payload):
    check(decoders[name], payload)


LARGE = b"1" * (16 * 1024 * 1024 + 1)


@pytest.mark.parametrize("name", formats.names())
def test_a_payload_over_16_mib_is_refused_at_once(decoders, name):
    with pytest.raises(DecodeError, match="larger"):
        decoders[name].decode(LARGE, Arrival(TOPIC, 0))


@pytest.mark.parametrize(
    ("name", "record", "between"),
    [
        ("csv", b"a\n", b""),
        ("influx", b"a f=1\n", b""),
        ("kv", b"a=1\n", b""),
        ("senml", b'{"n":"a","v":1}', b","),
        ("sparkplug", b"\x12\x03\x0a\x01a", b""),
    ],
)
def test_a_payload_holds_at_most_100_000_records(decoders, name, record, between):
    def payload_of(count):
        whole = between.join([record] * count)
        return b"[" + whole + b"]" if name == "senml" else whole

    decode = decoders[name].decode
    assert len(decode(payload_of(100_000), Arrival(TOPIC, 0))) == 100_000
    with pytest.raises(DecodeError, match="more than 100000 records"):
        decode(payload_of(100_001), Arrival(TOPIC, 0))


# --- the documents

PAGE = (ROOT / "docs" / "formats.md").read_text()
SECTIONS = dict(re.findall(r"^## `([a-z-]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_format_has_a_section_and_no_other_has():
    assert set(SECTIONS) == set(formats.names())


@pytest.mark.parametrize("name", formats.names())
def test_every_option_is_explained_with_its_default(name):
    fields = formats.options_of(name).model_fields
    rows = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", SECTIONS[name], re.MULTILINE))
    assert set(rows) == {field.alias or key for key, field in fields.items()}
    for key, field in fields.items():
        default = {None: "", True: "`true`", False: "`false`"}.get(
            field.default, f"`{field.default}`"
        )
        assert default in rows[field.alias or key]


@pytest.mark.parametrize("name", formats.names())
def test_an_option_that_a_format_does_not_have_is_refused(name):
    with pytest.raises(ValueError, match="unheard"):
        formats.options_of(name)(unheard=1)
