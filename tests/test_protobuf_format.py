"""Protobuf: messages of both syntaxes as plain values, and what is said of a file at start."""

from pathlib import Path

import pytest
from google.protobuf.internal.encoder import _VarintBytes as varint

from collector import formats
from collector.model import Arrival, DecodeError
from collector.tables import load_schema


def decode(payload, table=None, **options):
    decoder = formats.compile("protobuf", formats.options_of("protobuf")(**options), table)
    return decoder.decode(bytes.fromhex(payload) if isinstance(payload, str) else payload, A)


A = Arrival("a/b", 0)
PROTO = """
syntax = "%s";
package plant;
enum State { %s OFF = 0; ON = 1; AN = 1; }
message Node {
  message Inner { %s string name = 1; repeated Node nodes = 2; }
  %s int64 whole = 1;
  %s string text = 2;
  %s bytes raw = 3;
  %s State state = 4;
  optional int32 maybe = 5;
  oneof which { double first = 6; Inner second = 7; }
  repeated State states = 8;
  map<int32, State> by_number = 9;
  map<bool, Inner> by_truth = 10;
  repeated sint32 many = 11;
}
message Other { %s bool is_other = 1; }
"""


ALIAS = "option allow_alias = true;"


def write(folder: Path, text: str, name: str = "payload.proto") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def proto3(folder: Path) -> Path:
    return write(folder, PROTO % ("proto3", ALIAS, *[""] * 6))


def proto2(folder: Path) -> Path:
    return write(folder, PROTO % ("proto2", ALIAS, *["optional"] * 6))


def inner_bytes(name: bytes) -> bytes:
    return b"\x0a" + varint(len(name)) + name


def test_a_field_of_proto3_that_is_not_optional_is_always_there(tmp_path):
    options = {"schema": proto3(tmp_path), "message": "Node"}
    assert decode("", **options) == {
        "whole": 0,
        "text": "",
        "raw": b"",
        "state": "OFF",
    }
    assert decode("2800", **options)["maybe"] == 0


def test_a_field_of_proto2_is_there_when_it_was_sent(tmp_path):
    options = {"schema": proto2(tmp_path), "message": "plant.Node"}
    assert decode("", **options) == {}
    assert decode("0800 1200 1a00 2000", **options) == {
        "whole": 0,
        "text": "",
        "raw": b"",
        "state": "OFF",
    }


@pytest.mark.parametrize("file", [proto2, proto3])
def test_all_kinds_of_fields_are_plain_values(tmp_path, file):
    decoder = formats.compile(
        "protobuf",
        formats.options_of("protobuf")(schema=file(tmp_path), message="Node"),
        None,
    )

    def values(payload):
        found = decoder.decode(bytes.fromhex(payload), A)
        return {key: value for key, value in found.items() if value not in (0, "", b"", "OFF")}

    assert values("08 ffffffffffffffffff01 12 02 c3a9 1a 02 00ff") == {
        "whole": -1,
        "text": "é",
        "raw": b"\x00\xff",
    }
    assert values("20 01") == {"state": "ON"}
    assert values("20 07 40 01 40 09") == {"state": 7, "states": ["ON", 9]}
    assert values("42 02 01 09") == {"states": ["ON", 9]}
    assert values("4a 04 0805 1001 4a 04 0806 1007") == {"by_number": {"5": "ON", "6": 7}}
    assert values("52 09 0801 12 05" + inner_bytes(b"abc").hex()) == {
        "by_truth": {"true": {"name": "abc"}}
    }
    assert values("31 000000000000f83f") == {"first": 1.5}
    assert values("31 000000000000f83f 3a 03" + inner_bytes(b"a").hex()) == {
        "second": {"name": "a"}
    }
    assert values("5a 02 0102") == {"many": [-1, 1]}
    assert values("a2 06 01 61") == {}


def test_a_message_may_contain_itself_up_to_the_limit(tmp_path):
    options = {"schema": proto2(tmp_path), "message": "Inner"}
    payload = inner_bytes(b"x")
    for _ in range(20):
        node = b"\x3a" + varint(len(payload)) + payload
        payload = b"\x12" + varint(len(node)) + node
    found = decode(payload, **options)
    for _ in range(20):
        found = found["nodes"][0]["second"]
    assert found == {"name": "x"}
    for _ in range(50):
        node = b"\x3a" + varint(len(payload)) + payload
        payload = b"\x12" + varint(len(node)) + node
    with pytest.raises(DecodeError, match=r"no protobuf message plant\.Node\.Inner"):
        decode(payload, **options)


@pytest.mark.parametrize("file", [proto2, proto3])
@pytest.mark.parametrize(
    "payload", ["08", "0a05", "12 02 61", "12 01 ff", "0b", "3a 03 0a 01 ff", "00"]
)
def test_a_message_that_is_cut_off_or_no_text_is_refused(tmp_path, file, payload):
    with pytest.raises(DecodeError):
        decode(payload, schema=file(tmp_path), message="Node")


def test_the_tables_own_message_is_read_when_no_other_is_named(tmp_path):
    write(
        tmp_path,
        'syntax = "proto2"; message T { required string id = 1; optional double temp = 2; }',
        "schema.proto",
    )
    schema = load_schema(tmp_path)
    assert decode("11 0000000000803540", schema) == {"temp": 21.5}
    with pytest.raises(ValueError, match="no schema"):
        decode("")


@pytest.mark.parametrize(
    ("text", "message", "words"),
    [
        ('syntax = "proto3"; message A {} message B {}', None, "holds A, B: say which"),
        ('syntax = "proto3"; message A {}', "C", "no message C; there are A"),
        (
            'syntax = "proto3"; message A { message X {} } message B { message X {} }',
            "X",
            "several messages X; there are A, B, A.X, B.X",
        ),
        ('syntax = "proto3";\n\nmessage A { int32 }', None, r"payload\.proto:3: "),
        (
            'syntax = "proto3";\nimport "google/protobuf/timestamp.proto"; message A {}',
            None,
            r"payload\.proto:2: holds an import: .*write out",
        ),
        ('syntax = "proto3";', None, "holds none"),
    ],
)
def test_a_file_that_says_too_little_is_refused_at_start(tmp_path, text, message, words):
    with pytest.raises(ValueError, match=words):
        decode("", schema=write(tmp_path, text), message=message)


def test_the_file_is_looked_for_in_the_tables_folder(tmp_path):
    options = formats.options_of("protobuf")
    path = write(tmp_path, 'syntax = "proto3"; message A { int32 a = 1; }')

    def validate(**values):
        return options.model_validate(values, context={"folder": tmp_path})

    decoder = formats.compile("protobuf", validate(schema="payload.proto"), None)
    assert decoder.decode(b"\x08\x05", A) == {"a": 5}
    assert validate(schema="payload.proto").file == path
    for name, words in (
        ("other.proto", f"no file {tmp_path}/other.proto"),
        ("../payload.proto", "name of a .proto file"),
        (str(path), "name of a .proto file"),
        ("payload.txt", "name of a .proto file"),
    ):
        with pytest.raises(ValueError, match=words):
            validate(schema=name)
    with pytest.raises(ValueError, match="give both"):
        validate(message="A")


def test_a_file_that_can_not_be_read_is_told(tmp_path):
    path = tmp_path / "payload.proto"
    path.write_bytes(b"\xff")
    for file in (path, tmp_path / "none.proto"):
        with pytest.raises(ValueError, match="can't be read"):
            decode("", schema=file)
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        decode("", schema=path)
