"""Every type that Zerobus takes, there and back: catalog, schema.proto, record, Delta table.

Goal: for any table of the allowed types and any rows, the schema that `collector tables pull`
writes is that of the table, and a record that it encodes, sent by the real SDK, reads back from the
Delta table as it was. Method: schemas and rows by hypothesis, one emulator for all of them; what a
value must read back as is worked out here, without the code under test.
"""

import datetime as dt
import itertools
import json
import math

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.parts import make_plan
from support.zerobus_client import stream

from collector.catalog import Catalog
from collector.emulator import Emulator, EmulatorOptions
from collector.tables import described, differences, load_schema
from collector.tables.proto_text import proto_text

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
F32_MAX, F32_SMALLEST = 3.4028234663852886e38, 1.401298464324817e-45
F64_MAX, F64_SMALLEST = 1.7976931348623157e308, 5e-324


def whole(bits):
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return [least, -1, 0, 1, most], st.integers(least, most)


def reals(width, most, smallest):
    values = [-most, -smallest, -0.0, 0.0, smallest, 0.5, most]
    return values, st.floats(width=width, allow_nan=False, allow_infinity=False)


# Of each type: what lies at its limits, and any value; both as a record has them.
SCALARS = {
    "tinyint": whole(8),
    "smallint": whole(16),
    "int": whole(32),
    "bigint": whole(64),
    "float": reals(32, F32_MAX, F32_SMALLEST),
    "double": reals(64, F64_MAX, F64_SMALLEST),
    "string": (["", "\0", "a\nb", "é😀"], st.text(max_size=8)),
    "varchar(20)": (["", "x" * 20], st.text(max_size=8)),
    "variant": (["null", '{"a":[1,{}]}', '""'], st.integers().map(str)),
    "boolean": ([False, True], st.booleans()),
    "binary": ([b"", b"\0", b"\xff\0x"], st.binary(max_size=8)),
    "date": ([FIRST_DAY, -1, 0, LAST_DAY], st.integers(FIRST_DAY, LAST_DAY)),
    "timestamp": ([FIRST_US, -1, 0, 1, LAST_US], st.integers(FIRST_US, LAST_US)),
    "timestamp_ntz": ([FIRST_US, -1, 0, 1, LAST_US], st.integers(FIRST_US, LAST_US)),
}
KEYS = ["tinyint", "smallint", "int", "bigint", "string", "varchar(20)", "boolean"]
# Words of protobuf and of SQL, and names that the compiler makes others of.
NAMES = ["a", "A1", "_b", "optional", "message", "string", "order", "group", "map", "delta",
         "place", "Place2", "m_entry", "max", "to", "reserved", "syntax", "true"]  # fmt: skip

scalars = st.sampled_from(sorted(SCALARS))


def maps():
    keys = st.sampled_from(KEYS)
    return st.builds(lambda k, v: {"type": "map", "keyType": k, "valueType": v}, keys, scalars)


def arrays(elements):
    return st.builds(lambda one: {"type": "array", "elementType": one}, elements)


@st.composite
def members(draw, types):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique_by=str.lower))
    return [
        {"name": name, "type": draw(types), "nullable": draw(st.booleans())} for name in names
    ]  # fmt: skip


def structs(types):
    return st.builds(lambda fields: {"type": "struct", "fields": fields}, members(types))


flat = scalars | maps() | arrays(scalars)
nested = st.recursive(
    flat, lambda inner: (one := structs(inner)) | arrays(one), max_leaves=6
)  # fmt: skip
tables = members(nested)


def is_repeated(type_):
    return isinstance(type_, dict) and type_["type"] in ("array", "map")


def values(type_):
    """What a record may have in a column of a type."""
    if isinstance(type_, str):
        at_the_limits, anything = SCALARS[type_]
        return st.sampled_from(at_the_limits) | anything
    if type_["type"] == "array":
        return st.lists(values(type_["elementType"]), max_size=3)
    if type_["type"] == "map":
        return st.dictionaries(values(type_["keyType"]), values(type_["valueType"]), max_size=3)
    return rows(type_["fields"])


def rows(columns):
    """Rows as keyword arguments of a message; what is left out is NULL."""
    needed = {one["name"]: values(one["type"]) for one in columns if not one["nullable"]}
    free = {one["name"]: values(one["type"]) for one in columns if one["nullable"]}
    return st.fixed_dictionaries(needed, optional=free)


def read_back(type_, value):
    """What the Delta table must give for a value of a record."""
    if is_repeated(type_) and type_["type"] == "array":
        return [read_back(type_["elementType"], one) for one in value or ()]
    if is_repeated(type_):
        pairs = (value or {}).items()
        key, kind = type_["keyType"], type_["valueType"]
        return {read_back(key, one): read_back(kind, other) for one, other in pairs}
    if value is None:
        return None
    if isinstance(type_, dict):
        return {
            one["name"]: read_back(one["type"], value.get(one["name"])) for one in type_["fields"]
        }
    if type_ == "date":
        return (EPOCH + dt.timedelta(days=value)).date()
    if type_ == "timestamp":
        return EPOCH + dt.timedelta(microseconds=value)
    if type_ == "timestamp_ntz":
        return EPOCH.replace(tzinfo=None) + dt.timedelta(microseconds=value)
    if type_ in ("float", "double"):
        return (value, math.copysign(1, value))
    return value


def as_read(type_, value):
    """What the Delta table gave, with maps as mappings and the sign of zero."""
    if is_repeated(type_) and type_["type"] == "map":
        key, kind = type_["keyType"], type_["valueType"]
        return {as_read(key, one): as_read(kind, other) for one, other in value}
    if isinstance(type_, dict) and value is not None:
        if type_["type"] == "array":
            return [as_read(type_["elementType"], one) for one in value]
        return {one["name"]: as_read(one["type"], value[one["name"]]) for one in type_["fields"]}
    if type_ in ("float", "double") and value is not None:
        return (value, math.copysign(1, value))
    return value


class Workspace:
    """An emulator, its catalog, and a new table for each example."""

    def __init__(self, folder, emulator):
        self.folder, self.emulator = folder, emulator
        self.catalog = Catalog(
            make_plan(folder, zerobus={"workspace_url": emulator.workspace_url}).config.zerobus
        )
        self.numbers = itertools.count()

    def check(self, columns, sent):
        """Send rows to a new table of these columns, and compare what lies there."""
        key = {"name": "row_number", "type": "int", "nullable": False}
        columns = [key, *columns]
        name = f"main.iot.t{next(self.numbers)}"
        self.emulator.define_table(name, columns)
        real = described(self.catalog.table(name))
        schema = self.pulled(name, real)
        assert differences(name, schema.columns, real.columns) == []
        assert [(one.name, one.delta, one.nullable) for one in schema.columns] == [
            (one.name, one.delta, one.nullable) for one in real.columns
        ]
        numbered = [{"row_number": number, **row} for number, row in enumerate(sent)]
        with stream(self.emulator, name, descriptor=schema.file_descriptor) as one:
            one.ingest_records_offset(
                [schema.message(**row).SerializeToString() for row in numbered]
            )
            one.flush()
        table = {"type": "struct", "fields": columns}
        path = self.folder.joinpath("lake", *name.split("."))
        lying = DeltaTable(str(path)).to_pyarrow_table().sort_by("row_number").to_pylist()
        assert [as_read(table, row) for row in lying] == [read_back(table, row) for row in numbered]

    def pulled(self, name, real):
        folder = self.folder / "schemas" / name.rpartition(".")[2]
        folder.mkdir(parents=True)
        (folder / "schema.proto").write_text(proto_text(folder.name, real.columns))
        return load_schema(folder)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    options = EmulatorOptions(lake=folder / "lake", ack_delay=0, commit_interval=0.01)
    with Emulator(options) as emulator:
        yield Workspace(folder, emulator)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_any_table_of_the_allowed_types_takes_and_gives_back_any_row(workspace, data):
    columns = data.draw(tables)
    workspace.check(columns, data.draw(st.lists(rows(columns), min_size=1, max_size=8)))


def test_the_limits_of_every_type_come_back(workspace):
    """Plain, in an array, as a value and a key of a map, in a struct; and NULL in each."""
    columns, most = [], max(len(limits) for limits, _ in SCALARS.values())
    sent = [{} for _ in range(most + 1)]
    for number, (type_, (limits, _)) in enumerate(SCALARS.items()):
        struct = {"type": "struct", "fields": [{"name": "v", "type": type_, "nullable": True}]}
        kinds = {
            "plain": (type_, limits),
            "array": ({"type": "array", "elementType": type_}, [limits, []]),
            "map": (
                {"type": "map", "keyType": "string", "valueType": type_},
                [{str(place): one for place, one in enumerate(limits)}, {}],
            ),
            "struct": (struct, [{}, *({"v": one} for one in limits)]),
        }
        if type_ in KEYS:
            key = {"type": "map", "keyType": type_, "valueType": "int"}
            kinds["key"] = (key, [{one: place for place, one in enumerate(limits)}])
        for kind, (whole_type, its_values) in kinds.items():
            name = f"{kind}_{number}"
            columns.append({"name": name, "type": whole_type, "nullable": True})
            for row, value in zip(sent, its_values, strict=False):
                row[name] = value
    workspace.check(columns, sent)


def test_the_json_of_a_type_is_read_as_its_text_is():
    """A catalog may give one or the other."""
    place = {
        "type": "struct",
        "fields": [
            {"name": "lat", "type": "double", "nullable": True, "metadata": {}},
            {
                "name": "seen",
                "type": {
                    "type": "map",
                    "keyType": "string",
                    "valueType": "date",
                    "valueContainsNull": True,
                },
                "nullable": True,
                "metadata": {},
            },
        ],
    }
    text = "array<struct<lat:double,seen:map<string,date>>>"
    whole_column = {"name": "x", "type": {"type": "array", "elementType": place},
                    "nullable": True, "metadata": {}}  # fmt: skip
    read = []
    for type_json in (json.dumps(whole_column), json.dumps(whole_column["type"]), "{}", ""):
        column = {"name": "x", "type_text": text, "type_json": type_json, "nullable": True}
        answer = {"catalog_name": "c", "schema_name": "s", "name": "t", "columns": [column]}
        read.append(described(answer).columns[0].delta)
    assert {str(one) for one in read} == {
        "ARRAY<STRUCT<lat: DOUBLE, seen: MAP<STRING, DATE>>>"
    }  # fmt: skip
