"""The schemas of the tables: what they become, what is refused and where, what survives storing."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from collector.tables import Schema, columns_of, load_schema, load_schemas, parse_delta

REPO = Path(__file__).resolve().parent.parent

EVERYTHING = """\
syntax = "proto2";
package plant;
message Reading {
  optional string text = 1;
  optional int32 small = 2; // delta: SMALLINT
  optional int32 tiny = 3; /* delta: byte */
  optional int32 day = 4; // delta: DATE
  required int64 at = 5; // delta: TIMESTAMP
  optional int64 local = 6; //delta:timestamp_ntz
  optional string any = 7; // delta: VARIANT
  optional string short = 8; // delta: VARCHAR( 20 )
  optional float single = 9;
  optional double twice = 10;
  optional bool flag = 11;
  optional bytes raw = 12;
  repeated int32 days = 13; // delta: ARRAY<DATE>
  repeated string names = 14;
  map<string, int64> seen = 15; // delta: MAP<STRING, TIMESTAMP>
  map<int32, double> plain = 16;
  optional Place place = 17;
  repeated Place places = 18;
  optional int32 count = 19;
  optional int64
    late = 20; // delta: TIMESTAMP
  message Place {
    required double latitude = 1;
    optional int64 fixed_at = 2; // delta: TIMESTAMP
  }
}
"""
PLACE = "STRUCT<latitude: DOUBLE NOT NULL, fixed_at: TIMESTAMP>"


@pytest.fixture
def write(tmp_path):
    def _write(text: str, name: str = "one") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "schema.proto").write_text(text)
        return folder

    return _write


def refusals(*folders: Path) -> list[tuple[str, int, str]]:
    with pytest.raises(ConfigError) as caught:
        load_schemas(folders)
    return [(one.file.parent.name, one.line, one.text) for one in caught.value.problems]


def test_every_type_of_the_service_becomes_its_delta_type(write):
    schema = load_schema(write(EVERYTHING))
    assert [(c.name, str(c.delta), c.nullable, c.line) for c in schema.columns] == [
        ("text", "STRING", True, 4),
        ("small", "SMALLINT", True, 5),
        ("tiny", "TINYINT", True, 6),
        ("day", "DATE", True, 7),
        ("at", "TIMESTAMP", False, 8),
        ("local", "TIMESTAMP_NTZ", True, 9),
        ("any", "VARIANT", True, 10),
        ("short", "VARCHAR(20)", True, 11),
        ("single", "FLOAT", True, 12),
        ("twice", "DOUBLE", True, 13),
        ("flag", "BOOLEAN", True, 14),
        ("raw", "BINARY", True, 15),
        ("days", "ARRAY<DATE>", True, 16),
        ("names", "ARRAY<STRING>", True, 17),
        ("seen", "MAP<STRING, TIMESTAMP>", True, 18),
        ("plain", "MAP<INT, DOUBLE>", True, 19),
        ("place", PLACE, True, 20),
        ("places", f"ARRAY<{PLACE}>", True, 21),
        ("count", "INT", True, 22),
        ("late", "TIMESTAMP", True, 23),
    ]
    assert [column.number for column in schema.columns] == list(range(1, 21))
    assert repr(schema) == f"Schema(plant.Reading, 20 columns, {schema.fingerprint.hex()[:8]})"


def test_the_members_of_a_struct_know_their_lines(write):
    schema = load_schema(write(EVERYTHING))
    place = schema.columns[16].delta
    assert [(c.name, c.number, c.nullable, c.line) for c in place.fields] == [
        ("latitude", 1, False, 26),
        ("fixed_at", 2, True, 27),
    ]


def test_the_message_class_encodes_a_record_that_protobuf_reads(write):
    schema = load_schema(write(EVERYTHING))
    record = schema.message(at=7, seen={"a": 1}, places=[{"latitude": 1.5}])
    assert schema.message.FromString(record.SerializeToString()) == record
    with pytest.raises(Exception, match="required"):
        schema.message().SerializeToString()


def test_two_tables_may_call_their_messages_the_same(write):
    text = 'syntax = "proto2";\nmessage Row { optional int32 a = 1; }\n'
    one, two = write(text, "one"), write(text.replace("int32 a", "string b"), "two")
    schemas = load_schemas([one, two, one])
    assert [c.name for c in schemas[one].columns] == ["a"]
    assert [c.name for c in schemas[two].columns] == ["b"]
    assert schemas[one].message is not schemas[two].message


def test_what_is_stored_gives_the_same_schema_back(write):
    schema = load_schema(write(EVERYTHING))
    again = Schema.from_stored(schema.stored)
    assert again == schema
    for name in ("stored", "file_descriptor", "descriptor", "fingerprint", "columns"):
        assert getattr(again, name) == getattr(schema, name), name
    record = schema.message(at=1, places=[{"latitude": 2.5}]).SerializeToString()
    assert again.message.FromString(record).places[0].latitude == 2.5


@given(st.binary(max_size=300))
def test_damaged_stored_bytes_are_a_value_error(stored):
    with pytest.raises(ValueError, match=r"^the stored schema is damaged$"):
        Schema.from_stored(stored)


@given(st.data())
def test_a_stored_schema_with_one_byte_changed_never_raises_anything_else(data):
    stored = bytearray(load_sample().stored)
    stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    try:
        Schema.from_stored(bytes(stored))
    except ValueError as error:
        text = str(error)
    else:
        text = "the stored schema is damaged"
    assert text == "the stored schema is damaged"


_SAMPLE: list[Schema] = []


def load_sample() -> Schema:
    if not _SAMPLE:
        _SAMPLE.append(load_schema(REPO / "tables" / "station_two"))
    return _SAMPLE[0]


def test_a_fingerprint_does_not_see_comments_blank_lines_and_spelling(write):
    plain = load_schema(write(EVERYTHING, "plain"))
    other = EVERYTHING.replace("VARCHAR( 20 )", "varchar(20)").replace(
        "delta: byte", "delta: TINYINT"
    )
    other = other.replace("message Reading {", "// A reading.\n\nmessage Reading {  // one row")
    other = other.replace("optional int32 count = 19;", "optional int32 count = 19; // delta: INT")
    again = load_schema(write(other, "other"))
    assert len(plain.fingerprint) == 16
    assert again.fingerprint == plain.fingerprint
    assert again.stored == plain.stored


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("// delta: DATE", ""),
        ("required double latitude", "optional double latitude"),
        ("optional string text", "optional string words"),
        ("// delta: VARCHAR( 20 )", "// delta: VARCHAR(21)"),
    ],
)
def test_a_fingerprint_sees_every_change_of_type(write, old, new):
    plain = load_schema(write(EVERYTHING, "plain"))
    assert (
        load_schema(write(EVERYTHING.replace(old, new), "other")).fingerprint != plain.fingerprint
    )


def test_a_fingerprint_is_the_same_in_every_process():
    program = (
        "import sys, pathlib; from collector.tables import load_schema;"
        "print(load_schema(pathlib.Path(sys.argv[1])).fingerprint.hex())"
    )
    arguments = [sys.executable, "-c", program, str(REPO / "tables" / "station_two")]
    runs = {subprocess.check_output(arguments, cwd=REPO, text=True).strip() for _ in range(2)}
    assert runs == {load_sample().fingerprint.hex()}


def test_descriptors_are_what_generated_classes_would_give(write):
    schema = load_schema(write(EVERYTHING))
    descriptor = DescriptorProto.FromString(schema.descriptor)
    assert descriptor.name == "Reading"
    mirrored = DescriptorProto()
    schema.message.DESCRIPTOR.CopyToProto(mirrored)
    assert mirrored == descriptor
    assert schema.message.DESCRIPTOR.file.serialized_pb == schema.file_descriptor


def test_a_descriptor_without_a_file_has_default_types(write):
    schema = load_schema(write(EVERYTHING))
    columns = columns_of(DescriptorProto.FromString(schema.descriptor))
    types = {column.name: str(column.delta) for column in columns}
    assert types["at"] == "BIGINT"
    assert types["day"] == "INT"
    assert types["seen"] == "MAP<STRING, BIGINT>"
    assert types["place"] == "STRUCT<latitude: DOUBLE NOT NULL, fixed_at: BIGINT>"
    assert [column.name for column in columns if not column.nullable] == ["at"]


def test_a_descriptor_with_a_bad_field_is_refused_with_all_faults():
    descriptor = DescriptorProto(name="Row")
    descriptor.field.add(name="a", number=1, type=13, label=1)
    descriptor.field.add(name="b", number=7, type=5, label=1)
    descriptor.field.add(name="c", number=3, type=11, type_name=".x.Elsewhere", label=1)
    with pytest.raises(ValueError, match=r"a: uint32.*c: .x.Elsewhere is not nested.*b: number 7"):
        columns_of(descriptor)


HEAD = 'syntax = "proto2";\nmessage Row {\n'


def row(*lines: str) -> str:
    """A message whose fields start in line 3."""
    return HEAD + "\n".join(lines) + "\n}\n"


ANY = "google/protobuf/any"
MESSAGE = "message Row {{\n  optional {} a = 1;\n}}\n"

# name: the file's text and, for each problem, its line and words.
REFUSED = {
    "syntax error": (row("optional int32 a = 1"), [(4, 'Expected ";"')]),
    "proto3": (
        'syntax = "proto3";\nmessage Row {\n  optional int32 a = 1;\n}\n',
        [(1, 'proto3 is not supported: write syntax = "proto2";')],
    ),
    "edition": (
        '\nedition = "2023";\nmessage Row {\n  int32 a = 1;\n}\n',
        [(2, "editions is not supported")],
    ),
    "no message": ('syntax = "proto2";\n', [(1, "holds no message")]),
    "empty message": (row(), [(2, "Row has no fields")]),
    "second message": (
        row("optional int32 a = 1;") + "message Other {}\n",
        [(5, "holds a second message: nest it in the first")],
    ),
    "top-level enum": (
        row("optional int32 a = 1;") + "enum Mode { ON = 0; }\n",
        [(5, "holds an enum")],
    ),
    "service": (
        row("optional int32 a = 1;") + "service Calls { }\n",
        [(5, "holds a service: a schema is a message only")],
    ),
    "import": (
        f'syntax = "proto2";\nimport "{ANY}.proto";\n' + MESSAGE.format("google.protobuf.Any"),
        [
            (2, "holds an import: Zerobus is sent this one message only"),
            (4, '"google.protobuf.Any" is not defined'),
        ],
    ),
    "import of a sibling": (
        'syntax = "proto2";\nimport "schema.proto";\nmessage Row { optional int32 a = 1; }\n',
        [(2, "holds an import")],
    ),
    "missing type": (row("optional Missing a = 1;"), [(3, '"Missing" is not defined')]),
    "uint32": (row("optional uint32 a = 1;"), [(3, "a: uint32 is no type that Zerobus takes")]),
    "uint64": (row("optional uint64 a = 1;"), [(3, "a: uint64 is no type")]),
    "sint32": (row("optional sint32 a = 1;"), [(3, "a: sint32 is no type")]),
    "sint64": (row("optional sint64 a = 1;"), [(3, "a: sint64 is no type")]),
    "fixed32": (row("optional fixed32 a = 1;"), [(3, "a: fixed32 is no type")]),
    "fixed64": (row("optional fixed64 a = 1;"), [(3, "a: fixed64 is no type")]),
    "sfixed32": (row("optional sfixed32 a = 1;"), [(3, "a: sfixed32 is no type")]),
    "sfixed64": (row("repeated sfixed64 a = 1;"), [(3, "a: sfixed64 is no type")]),
    "group": (
        row("optional group Inner = 1 {", " optional int32 b = 1;", "}"),
        [(3, "inner: group is no type")],
    ),
    "enum": (
        row("enum Mode { ON = 0; }", "optional Mode a = 1;"),
        [(3, "Mode: an enum is no type"), (4, "a: enum is no type")],
    ),
    "oneof": (
        row("oneof which {", " int32 a = 1;", " string b = 2;", "}"),
        [(3, "oneof is nothing that Zerobus takes: use optional")],
    ),
    "extension range": (
        row("optional int32 a = 1;", "extensions 100 to 199;"),
        [(4, "extensions are nothing")],
    ),
    "extension": (
        row("optional int32 a = 1;", "extensions 5;", "extend Row { optional int32 b = 5; }"),
        [(5, "extensions are nothing")],
    ),
    "number gap": (
        row("optional int32 a = 1;", "optional int32 b = 3;"),
        [(4, "b: number 3: those of 2 fields are 1 to 2")],
    ),
    "number gap inside": (
        row("message Inner {", "optional int32 b = 2; }", "optional Inner a = 1;"),
        [(4, "b: number 2: those of 1 fields are 1 to 1")],
    ),
    "number twice": (
        row("optional int32 a = 1;", "optional int32 b = 1;"),
        [(4, "Field number 1 has already been used")],
    ),
    "letters": (row("optional int32 größe = 1;"), [(3, "non ascii")]),
    "case": (
        row("optional int32 temp = 1;", "optional int32 Temp = 2;"),
        [(4, "Temp and temp are the same column to Delta")],
    ),
    "default": (
        row("optional int32 a = 1 [default = 5];"),
        [(3, "a: a default is not applied")],
    ),
    "recursion": (
        row("optional Inner a = 1;", "message Inner { optional Inner b = 1; }"),
        [(4, "b: a message can't contain itself")],
    ),
    "recursion to the top": (row("optional Row a = 1;"), [(3, "a: a message can't contain")]),
    "empty struct": (
        row("optional Inner a = 1;", "message Inner {}"),
        [(4, "Inner has no fields")],
    ),
    "map of messages": (
        row("map<string, Inner> a = 1;", "message Inner { optional int32 b = 1; }"),
        [(3, "a: a map goes from int32, int64, bool or string to a scalar")],
    ),
    "map key": (row("map<uint32, string> a = 1;"), [(3, "a: a map goes from int32")]),
    "map value": (row("map<string, fixed64> a = 1;"), [(3, "a: a map goes from int32")]),
    "array of arrays": (
        row("repeated int32 a = 1; // delta: ARRAY<ARRAY<INT>>"),
        [(3, "a: ARRAY<ARRAY<INT>> does not fit int32: a repeated field is ARRAY<…> of INT")],
    ),
    "unknown delta type": (
        row("optional int64 a = 1; // delta: DECIMAL(10, 2)"),
        [(3, "a: DECIMAL(10, 2) is no type that Zerobus takes")],
    ),
    "delta type with words": (
        row("optional int64 a = 1; // delta: TIMESTAMP of arrival"),
        [(3, "a: TIMESTAMP of arrival is no type")],
    ),
    "empty delta type": (row("optional int64 a = 1; // delta:"), [(3, "a:  is no type")]),
    "varchar": (
        row("optional string a = 1; // delta: VARCHAR"),
        [(3, "a: VARCHAR is not complete: write it like VARCHAR(20)")],
    ),
    "length of a date": (
        row("optional int32 a = 1; // delta: DATE(3)"),
        [(3, "a: DATE(3) is not complete: write it like DATE")],
    ),
    "date in 64 bits": (
        row("optional int64 a = 1; // delta: DATE"),
        [(3, "a: DATE does not fit int64: BIGINT, TIMESTAMP, TIMESTAMP_NTZ")],
    ),
    "scalar for an array": (
        row("repeated int64 a = 1; // delta: TIMESTAMP"),
        [(3, "a: TIMESTAMP does not fit int64: a repeated field is ARRAY<…> of BIGINT")],
    ),
    "array for a scalar": (
        row("optional int64 a = 1; // delta: ARRAY<TIMESTAMP>"),
        [(3, "a: ARRAY<TIMESTAMP> does not fit int64")],
    ),
    "map of another type": (
        row("map<string, int32> a = 1; // delta: MAP<STRING, TIMESTAMP>"),
        [(3, "a: MAP<STRING, TIMESTAMP> does not fit the map, which is MAP<STRING, INT>")],
    ),
    "map with a date as key": (
        row("map<int32, int32> a = 1; // delta: MAP<DATE, INT>"),
        [(3, "a: MAP<DATE, INT> does not fit the map")],
    ),
    "type of a message": (
        row("optional Inner a = 1; // delta: STRING", "message Inner { optional int32 b = 1; }"),
        [(3, "a: STRING can't be given to a message: give types to its fields")],
    ),
    "delta before the field": (
        row("// delta: TIMESTAMP", "optional int64 a = 1;"),
        [(3, "`delta:` must stand behind a field")],
    ),
    "delta under the field": (
        row("optional int64 a = 1;", "// delta: TIMESTAMP", "", "optional int64 b = 2;"),
        [(4, "`delta:` must stand behind a field")],
    ),
    "delta behind a message": (
        'syntax = "proto2";\nmessage Row { // delta: TIMESTAMP\n  optional int64 a = 1;\n}\n',
        [(2, "`delta:` must stand behind a field")],
    ),
    "too many columns": (
        row(*(f"optional int32 c{number} = {number};" for number in range(1, 2002))),
        [(2003, "has 2001 columns: Zerobus takes 2000")],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_zerobus_would_refuse_is_refused_with_its_line(write, name):
    text, expected = REFUSED[name]
    found = refusals(write(text))
    lines = [(line, words) for _, line, words in found]
    assert [line for line, _ in lines] == [line for line, _ in expected], lines
    for (_, words), (_, start) in zip(lines, expected, strict=True):
        assert start in words


def test_all_problems_of_all_schemas_come_at_once(write):
    first = write(row("optional uint32 a = 1;", "optional int32 b = 5;"), "first")
    second = write(row("optional int32 a = ;"), "second")
    third = write(row("optional int32 a = 1;"), "third")
    fourth = first.parent / "fourth"
    assert [(name, line) for name, line, _ in refusals(first, second, third, fourth)] == [
        ("first", 3),
        ("first", 4),
        ("fourth", 1),
        ("second", 3),
    ]


def test_a_refusal_names_the_file_as_the_operator_knows_it(write):
    folder = write(row("optional uint32 a = 1;"))
    with pytest.raises(ConfigError) as caught:
        load_schema(folder)
    assert str(caught.value).startswith(f"{folder / 'schema.proto'}:3: a: uint32")
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"syntax = \xff", "UTF-8"),
        (b"//" + b"x" * 1024 * 1024, "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_schema_text_is_refused(tmp_path, raw, words):
    (tmp_path / "schema.proto").write_bytes(raw)
    [(_, line, text)] = refusals(tmp_path)
    assert line == 1
    assert words in text


def test_a_commented_out_field_and_ordinary_comments_do_no_harm(write):
    text = row(
        "// optional int64 gone = 9; // delta: TIMESTAMP",
        "optional int64 a = 1; // the delta between two",
        "// Counts from the delta: so it is.",
        "optional int64 b = 2;",
    )
    assert [str(c.delta) for c in load_schema(write(text)).columns] == ["BIGINT", "BIGINT"]


def test_reserved_numbers_do_no_harm(write):
    schema = load_schema(write(row("reserved 5; reserved 'old';", "optional int32 a = 1;")))
    assert [column.name for column in schema.columns] == ["a"]


def test_two_thousand_columns_are_taken(write):
    text = row(*(f"optional int32 c{number} = {number};" for number in range(1, 2001)))
    assert len(load_schema(write(text)).columns) == 2000


def test_messages_that_unfold_without_end_are_refused(write):
    levels = [
        f"message L{n} {{ optional L{n + 1} a = 1; optional L{n + 1} b = 2; }}" for n in range(40)
    ]
    text = row(*levels, "message L40 { optional int32 a = 1; }", "optional L0 top = 1;")
    assert refusals(write(text)) == [
        ("one", 2, "has more than 10000 columns and members of structs in all")
    ]


def test_a_hundred_schemas_take_one_run_of_the_compiler(write):
    folders = [write(EVERYTHING, f"table{number}") for number in range(100)]
    start = time.monotonic()
    schemas = load_schemas(folders)
    elapsed = time.monotonic() - start
    assert len({schema.fingerprint for schema in schemas.values()}) == 1
    # A run for each would take the start of a hundred processes.
    assert elapsed < 3


def test_grpc_is_not_imported():
    program = (
        "import sys, pathlib; from collector.tables import load_schema;"
        "load_schema(pathlib.Path(sys.argv[1]));"
        "print(sorted(name for name in sys.modules if name.startswith('grpc')))"
    )
    arguments = [sys.executable, "-c", program, str(REPO / "tables" / "station_one")]
    assert subprocess.check_output(arguments, cwd=REPO, text=True).strip() == "[]"


def test_the_sample_tables_are_those_of_the_sample_stations():
    schemas = load_schemas([REPO / "tables" / "station_one", REPO / "tables" / "station_two"])
    common = ["device_name STRING", "temp INT", "humidity BIGINT"]
    found = [[f"{c.name} {c.delta}" for c in schema.columns] for schema in schemas.values()]
    assert found == [common, [*common, "description STRING"]]


@pytest.mark.parametrize(
    "text",
    [
        "INT",
        "VARCHAR(20)",
        "ARRAY<TIMESTAMP>",
        "MAP<STRING, VARCHAR(3)>",
        "TIMESTAMP_NTZ",
    ],
)
def test_a_delta_type_reads_back_as_it_prints(text):
    assert str(parse_delta(text)) == text
    assert str(parse_delta(f" {text.lower()} ")) == text


@given(st.text(alphabet="ARYMPINT<>(), 0123", max_size=30))
def test_no_text_breaks_the_reader_of_delta_types(text):
    try:
        kind = parse_delta(text)
    except ValueError:
        return
    assert parse_delta(str(kind)) == kind
