"""Tables of the emulator: those made from a descriptor, and those declared with Delta types."""

import datetime as dt
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from deltalake import DeltaTable
from support.zerobus_client import (
    INVALID,
    TABLE,
    Acks,
    encoded,
    message,
    open_stream,
    send,
    stream,
)
from zerobus.sdk.shared import NonRetriableException, ZerobusException

from collector.emulator import Emulator, EmulatorOptions
from collector.errors import CollectorError
from collector.tables import load_schema

FULL = "main.iot.everything"
PROTO = """
syntax = "proto2";
package everything;

message Everything {
  required string device = 1;
  optional int32 tiny = 2;  // delta: TINYINT
  optional int32 small = 3;  // delta: SMALLINT
  optional int32 whole = 4;
  optional int64 long = 5;
  optional float single = 6;
  optional double real = 7;
  optional bool flag = 8;
  optional bytes raw = 9;
  optional int32 day = 10;  // delta: DATE
  optional int64 at = 11;  // delta: TIMESTAMP
  optional int64 wall = 12;  // delta: TIMESTAMP_NTZ
  optional string anything = 13;  // delta: VARIANT
  optional string name = 14;  // delta: VARCHAR(20)
  repeated string tags = 15;
  map<string, int64> counts = 16;
  optional Place place = 17;
  repeated Place route = 18;

  message Place {
    optional double lat = 1;
    optional int64 since = 2;  // delta: TIMESTAMP
  }
}
"""
ARROW = {
    "device": "string not null",
    "tiny": "int8",
    "small": "int16",
    "whole": "int32",
    "long": "int64",
    "single": "float",
    "real": "double",
    "flag": "bool",
    "raw": "binary",
    "day": "date32[day]",
    "at": "timestamp[us, tz=UTC]",
    "wall": "timestamp[us]",
    "anything": "string",
    "name": "string",
}
UTC = dt.UTC
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "tables" / "everything"
    folder.mkdir(parents=True)
    (folder / "schema.proto").write_text(PROTO)
    return folder


@pytest.fixture
def options(tmp_path, folder):
    return EmulatorOptions(lake=tmp_path / "lake", tables={FULL: folder}, ack_delay=0)


def lying(tmp_path, table=FULL):
    return DeltaTable(str(tmp_path.joinpath("lake", *table.split(".")))).to_pyarrow_table()


def write(emulator, schema, *records):
    with stream(emulator, FULL, descriptor=schema.file_descriptor) as one:
        one.ingest_records_offset([record.SerializeToString() for record in records])
        one.flush()


def test_every_type_reads_back_as_it_was_written(tmp_path, folder, options):
    schema = load_schema(folder)
    full = schema.message(
        device="d", tiny=-128, small=32_767, whole=-5, long=2**62, single=0.5, real=0.1, flag=True,
        raw=b"\x00\xff", day=20_000, at=NOON_US, wall=NOON_US, anything='{"a":[1]}', name="n",
        tags=["x", "y"], counts={"a": 1}, place={"lat": 1.5, "since": NOON_US},
        route=[{"lat": 1.0}, {"since": 0}],
    )  # fmt: skip
    with Emulator(options) as emulator:
        write(emulator, schema, full, schema.message(device="empty"))
    first, empty = lying(tmp_path).sort_by("device").to_pylist()
    epoch = dt.datetime(1970, 1, 1, tzinfo=UTC)
    assert first == {
        "device": "d", "tiny": -128, "small": 32_767, "whole": -5, "long": 2**62, "single": 0.5,
        "real": 0.1, "flag": True, "raw": b"\x00\xff", "day": dt.date(2024, 10, 4),
        "at": NOON, "wall": NOON.replace(tzinfo=None), "anything": '{"a":[1]}', "name": "n",
        "tags": ["x", "y"], "counts": [("a", 1)], "place": {"lat": 1.5, "since": NOON},
        "route": [{"lat": 1.0, "since": None}, {"lat": None, "since": epoch}],
    }  # fmt: skip
    nulls = {name for name, value in empty.items() if value is None}
    assert nulls == set(first) - {"device", "tags", "counts", "route"}
    types = {one.name: str(one.type) + ("" if one.nullable else " not null") for one in
             lying(tmp_path).schema}  # fmt: skip
    assert {name: types[name] for name in ARROW} == ARROW


def test_a_value_out_of_a_narrow_columns_range_is_refused_at_arrival(tmp_path, folder, options):
    schema = load_schema(folder)
    with Emulator(options) as emulator:
        with pytest.raises(NonRetriableException, match=INVALID + ".*out of range"):
            write(emulator, schema, schema.message(device="d", tiny=128))
        write(emulator, schema, schema.message(device="d", tiny=127))
    assert lying(tmp_path)["tiny"].to_pylist() == [127]


def test_a_declared_table_lies_in_the_lake_before_anything_is_written(tmp_path, options):
    with Emulator(options):
        assert lying(tmp_path).num_rows == 0


def test_what_is_not_declared_does_not_exist(options):
    with (
        Emulator(options) as emulator,
        pytest.raises(NonRetriableException, match="does not exist"),
    ):
        open_stream(emulator)


def test_a_table_continues_after_a_restart_with_the_schema_that_lies_there(tmp_path, folder):
    schema = load_schema(folder)
    declared = EmulatorOptions(lake=tmp_path / "lake", tables={FULL: folder}, ack_delay=0)
    with Emulator(declared) as emulator:
        write(emulator, schema, schema.message(device="one", day=1))
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", ack_delay=0)) as emulator:
        write(emulator, schema, schema.message(device="two", day=2))
        assert emulator.stats()["tables"][FULL]["records"] == 2
        with pytest.raises(NonRetriableException, match="unknown column temp"):
            send(emulator, [1], table=FULL)
    assert sorted(map(str, lying(tmp_path)["day"].to_pylist())) == ["1970-01-02", "1970-01-03"]


def test_a_lake_with_other_columns_than_declared_is_refused_at_start(tmp_path, folder):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake")) as emulator:
        send(emulator, [1], table=FULL)
    with pytest.raises(CollectorError, match="other columns"):
        Emulator(EmulatorOptions(lake=tmp_path / "lake", tables={FULL: folder})).start()


def describe(emulator, name, token):
    path = f"/api/2.1/unity-catalog/tables/{urllib.parse.quote(name, safe='')}"
    request = urllib.request.Request(
        emulator.workspace_url + path, headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def token_of(emulator):
    request = urllib.request.Request(
        emulator.workspace_url + "/oidc/v1/token",
        data=b"grant_type=client_credentials&scope=all-apis",
        headers={"Authorization": "Basic YTpi"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["access_token"]


def test_unity_catalog_describes_a_declared_table_with_its_delta_types(options):
    with Emulator(options) as emulator:
        table = describe(emulator, FULL, token_of(emulator))
    assert [table[key] for key in ("catalog_name", "schema_name", "name")] == FULL.split(".")
    columns = {one["name"]: one for one in table["columns"]}
    texts = {name: one["type_text"] for name, one in columns.items()}
    assert texts == {
        "device": "string", "tiny": "tinyint", "small": "smallint", "whole": "int",
        "long": "bigint", "single": "float", "real": "double", "flag": "boolean", "raw": "binary",
        "day": "date", "at": "timestamp", "wall": "timestamp_ntz", "anything": "variant",
        "name": "varchar(20)", "tags": "array<string>", "counts": "map<string,bigint>",
        "place": "struct<lat:double,since:timestamp>",
        "route": "array<struct<lat:double,since:timestamp>>",
    }  # fmt: skip
    assert [one["position"] for one in table["columns"]] == list(range(len(columns)))
    assert [name for name, one in columns.items() if not one["nullable"]] == ["device"]
    assert columns["long"]["type_name"] == "LONG"
    assert json.loads(columns["tags"]["type_json"])["type"]["type"] == "array"


def test_unity_catalog_knows_no_table_that_does_not_exist_and_nobody_without_a_token(options):
    with Emulator(options) as emulator:
        for name, token, status in ((TABLE, token_of(emulator), 404), (FULL, "made-up", 401)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                describe(emulator, name, token)
            caught.value.close()
            assert caught.value.code == status


def test_a_table_made_from_a_descriptor_has_its_default_types(tmp_path):
    kinds = {"i": (5, "int"), "l": (3, "bigint"), "f": (2, "float"), "d": (1, "double"),
             "s": (9, "string"), "b": (8, "boolean"), "y": (12, "binary")}  # fmt: skip
    descriptor, row = message(*((name, kind, 1) for name, (kind, _) in kinds.items()))
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", ack_delay=0)) as emulator:
        with stream(emulator, descriptor=descriptor) as one:
            one.ingest_record_offset(row(i=1, y=b"z").SerializeToString())
            one.flush()
        table = describe(emulator, TABLE, token_of(emulator))
    assert {one["name"]: one["type_text"] for one in table["columns"]} == {
        name: text for name, (_, text) in kinds.items()
    }
    assert lying(tmp_path, TABLE).to_pylist()[0] == {
        **dict.fromkeys(kinds), "i": 1, "y": b"z"
    }  # fmt: skip


# --- tables that are altered while the emulator runs


def column(name, type_, **more):
    return {"name": name, "type": type_, **more}


READINGS = [
    column("device", "string", nullable=False),
    column("temp", "int"),
    column("gateway", "string"),
    column("seq", "bigint"),
]


@pytest.fixture
def emulator(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake", ack_delay=0)) as one:
        yield one


def push(one, records):
    one.ingest_records_offset(records)
    one.flush()


def test_a_column_that_is_added_is_null_or_filled_in_the_rows_that_lie_there(tmp_path, emulator):
    send(emulator, [1, 2])
    emulator.define_table(TABLE, [*READINGS, column("note", "string")])
    send(emulator, [3])
    site = column("site", "string", nullable=False, fill="north")
    emulator.define_table(TABLE, [*READINGS, column("note", "string"), site])
    rows = lying(tmp_path, TABLE).sort_by("seq").to_pylist()
    assert [(row["seq"], row["note"], row["site"]) for row in rows] == [
        (1, None, "north"), (2, None, "north"), (3, None, "north")
    ]  # fmt: skip
    assert emulator.stats()["tables"][TABLE]["distinct"] == 3


def test_an_open_stream_goes_on_when_its_descriptor_still_fits(emulator):
    with stream(emulator) as one:
        push(one, encoded([1]))
        emulator.define_table(TABLE, [*READINGS, column("note", "string")])
        push(one, encoded([2]))
    assert emulator.stats()["tables"][TABLE]["records"] == 2


def test_an_open_stream_ends_when_a_not_null_column_comes_that_it_does_not_send(emulator):
    acks = Acks()
    site = column("site", "string", nullable=False, fill="north")
    with stream(emulator, ack_callback=acks) as one:
        push(one, encoded([1]))
        emulator.define_table(TABLE, [*READINGS, site])
        with pytest.raises(ZerobusException):
            push(one, encoded([2]))
    assert emulator.stats()["tables"][TABLE]["records"] == 1
    with pytest.raises(NonRetriableException, match="NOT NULL column site is missing"):
        open_stream(emulator)


def test_a_type_that_becomes_narrower_refuses_what_it_can_not_hold(emulator):
    send(emulator, [1])
    emulator.define_table(TABLE, [column("temp", "tinyint") if one["name"] == "temp" else one
                                  for one in READINGS])  # fmt: skip
    send(emulator, [2])
    with stream(emulator) as one, pytest.raises(NonRetriableException, match="out of range"):
        push(one, encoded([3], temp=1_000))


def put(emulator, name, body):
    request = urllib.request.Request(
        f"{emulator.workspace_url}/tables/{name}", data=json.dumps(body).encode(), method="PUT"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_table_is_defined_over_http_with_any_type_and_described_as_unity_catalog_does(emulator):
    place = {
        "type": "struct",
        "fields": [
            column("lat", "double", nullable=False, metadata={"comment": "in degrees"}),
            column("tags", {"type": "map", "keyType": "string", "valueType": "date"}),
        ],
    }
    described = put(emulator, TABLE, {"columns": [
        column("price", "decimal(10,2)", metadata={"comment": "in euros"}),
        column("name", "varchar(20)", nullable=False),
        column("route", {"type": "array", "elementType": place}),
    ]})  # fmt: skip
    assert described == describe(emulator, TABLE, token_of(emulator))
    price, name, route = described["columns"]
    assert (price["type_text"], price["type_name"], price["comment"]) == (
        "decimal(10,2)", "DECIMAL", "in euros"
    )  # fmt: skip
    assert json.loads(name["type_json"]) == {
        "name": "name", "type": "string", "nullable": False,
        "metadata": {"__CHAR_VARCHAR_TYPE_STRING": "varchar(20)"},
    }  # fmt: skip
    assert route["type_text"] == "array<struct<lat:double,tags:map<string,date>>>"
    lat = json.loads(route["type_json"])["type"]["elementType"]["fields"][0]
    assert (lat["nullable"], lat["metadata"]) == (False, {"comment": "in degrees"})


@pytest.mark.parametrize(
    ("name", "columns", "why"),
    [
        (TABLE, [], "write"),
        (TABLE, [{"name": "a"}], "is no column"),
        (TABLE, [column("a", "interval day")], "no type"),
        (TABLE, [column("a", "int"), column("A", "int")], "same name"),
        ("readings", [column("a", "int")], "not catalog.schema.table"),
        (TABLE, [*READINGS, column("site", "string", nullable=False)], "give a `fill`"),
        (TABLE, [column("device", "int"), *READINGS[1:]], "other values"),
    ],
)
def test_a_table_that_can_not_be_is_answered_with_400_and_changes_nothing(
    tmp_path, emulator, name, columns, why
):
    send(emulator, [1])
    with pytest.raises(urllib.error.HTTPError) as caught:
        put(emulator, name, {"columns": columns})
    with caught.value as error:
        assert (error.code, why in json.load(error)["error"]) == (400, True)
    send(emulator, [2])
    assert sorted(lying(tmp_path, TABLE)["seq"].to_pylist()) == [1, 2]
