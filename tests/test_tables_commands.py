"""`collector tables`: ddl without a workspace, pull and diff against the emulator's catalog."""

import json

import pytest
from support.filled import ONE, make_box
from support.terminal import run_plain
from support.workspace import READING, serving

from collector.emulator import Emulator, EmulatorOptions
from collector.tables import described, load_schema

SPARK_PLACE = {
    "type": "struct",
    "fields": [
        {"name": "latitude", "type": "double", "nullable": False},
        {"name": "since", "type": "timestamp", "metadata": {"comment": "when it came here"}},
        {"name": "route", "type": {"type": "array", "elementType": "date"}},
    ],
}
SPARK = [
    {"name": "device", "type": "string", "nullable": False,
     "metadata": {"comment": "who sent it: it's its own name\nof two lines"}},
    {"name": "tiny", "type": "tinyint"},
    {"name": "small", "type": "smallint"},
    {"name": "whole", "type": "int"},
    {"name": "long", "type": "bigint"},
    {"name": "single", "type": "float"},
    {"name": "real", "type": "double", "metadata": {"comment": "delta: DATE is not meant"}},
    {"name": "flag", "type": "boolean"},
    {"name": "raw", "type": "binary"},
    {"name": "day", "type": "date", "nullable": False},
    {"name": "at", "type": "timestamp"},
    {"name": "wall", "type": "timestamp_ntz"},
    {"name": "anything", "type": "variant"},
    {"name": "short", "type": "varchar(20)"},
    {"name": "tags", "type": {"type": "array", "elementType": "string"}, "nullable": False},
    {"name": "days", "type": {"type": "array", "elementType": "date"}},
    {"name": "seen", "type": {"type": "map", "keyType": "string", "valueType": "timestamp"}},
    {"name": "place", "type": SPARK_PLACE, "nullable": False},
    {"name": "places", "type": {"type": "array", "elementType": SPARK_PLACE}},
    # The compiler makes a message SeenEntry of the map, and Site is the field itself.
    {"name": "seen_entry", "type": SPARK_PLACE},
    {"name": "Site", "type": SPARK_PLACE},
]  # fmt: skip
WIDENING = "-- needs the table property 'delta.enableTypeWidening' = 'true'"
PLACE = "STRUCT<latitude: DOUBLE NOT NULL, since: TIMESTAMP, route: ARRAY<DATE>>"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    lake = tmp_path_factory.mktemp("lake")
    with Emulator(EmulatorOptions(lake=lake, client_id="id", client_secret="word")) as one:
        one.define_table("main.iot.everything", SPARK)
        yield one


@pytest.fixture
def box(tmp_path, emulator):
    folder = make_box(tmp_path / "box")
    (folder / ".env").write_text(
        f"ZEROBUS_WORKSPACE_URL={emulator.workspace_url}\nDATABRICKS_CLIENT_ID=id\n"
        "DATABRICKS_CLIENT_SECRET=word\n"
    )
    return folder


def run(folder, *words, expected=0):
    done = run_plain("tables", *words, folder=folder)
    assert done.returncode == expected, done.stdout + done.stderr
    assert "word" not in done.stdout + done.stderr
    return done


def station(folder, text):
    """Add lines to the first station of the box."""
    file = folder / "stations.yaml"
    place = "    table: main.iot.station_one\n"
    file.write_text(file.read_text().replace(place, place + text, 1))


def schema(folder, text, name="station_one"):
    (folder / "tables" / name / "schema.proto").write_text(text)


# --- ddl


def test_ddl_writes_tables_grants_and_what_a_view_would_need_for_all_stations(tmp_path):
    sql = run(make_box(tmp_path), "ddl").stdout
    assert "CREATE TABLE IF NOT EXISTS main.iot.station_one (\n  device_name STRING,\n" in sql
    assert "  'delta.enableRowTracking' = 'false'\n);" in sql
    assert "unconfirmed" in sql
    assert [line for line in sql.splitlines() if line.startswith("GRANT")] == [
        "GRANT USE CATALOG ON CATALOG main TO `CLIENT-ID`;",
        "GRANT USE SCHEMA ON SCHEMA main.iot TO `CLIENT-ID`;",
        "GRANT SELECT ON TABLE main.iot.station_one TO `CLIENT-ID`;",
        "GRANT MODIFY ON TABLE main.iot.station_one TO `CLIENT-ID`;",
        "GRANT SELECT ON TABLE main.iot.station_two TO `CLIENT-ID`;",
        "GRANT MODIFY ON TABLE main.iot.station_two TO `CLIENT-ID`;",
    ]
    assert "VIEW" not in sql
    for line in ("gateway: $gateway", "seq: $seq", "optional string gateway = 4;"):
        assert f"--   {line}\n" in sql


@pytest.mark.parametrize("name", ["station_two", "main.iot.station_two"])
def test_ddl_of_one_station_or_table_writes_nothing_of_others(tmp_path, name):
    sql = run(make_box(tmp_path), "ddl", name).stdout
    assert "station_two" in sql
    assert "station_one" not in sql


def test_a_name_that_is_no_station_and_no_table_is_a_usage_error_with_the_nearest(tmp_path):
    done = run(make_box(tmp_path), "ddl", "station_tow", expected=2)
    assert "did you mean station_two?" in done.stderr


@pytest.mark.parametrize(
    ("client", "words", "principal"),
    [
        ("0a1b2c3d-0000-4000-8000-0123456789ab", (), "0a1b2c3d-0000-4000-8000-0123456789ab"),
        ("emulator", (), "CLIENT-ID"),
        ("emulator", ("--principal", "sensor `team`"), "sensor ``team``"),
    ],
)
def test_the_grants_are_for_the_service_principal(tmp_path, client, words, principal):
    folder = make_box(tmp_path)
    (folder / ".env").write_text(f"DATABRICKS_CLIENT_ID={client}\nDATABRICKS_CLIENT_SECRET=x\n")
    sql = run(folder, "ddl", *words).stdout
    assert f"GRANT MODIFY ON TABLE main.iot.station_one TO `{principal}`;" in sql
    assert ("stands for" in sql) == (principal == "CLIENT-ID")


def test_the_view_keeps_rows_without_a_number_and_quotes_names(tmp_path):
    folder = make_box(tmp_path)
    station(folder, "    columns: {temp: temp, order: $seq, 'box': $gateway}\n")
    schema(
        folder,
        'syntax = "proto2"; message T { optional int32 temp = 1;\n'
        "optional int64 order = 2; optional string box = 3; }",
    )
    sql = run(folder, "ddl", "station_one").stdout
    assert sql.rpartition("all kept.\n")[2] == (
        "CREATE OR REPLACE VIEW main.iot.station_one_distinct AS\n"
        "SELECT * FROM main.iot.station_one\n"
        "QUALIFY box IS NULL OR `order` IS NULL\n"
        "  OR ROW_NUMBER() OVER (PARTITION BY box, `order` ORDER BY `order`) = 1;\n"
    )
    assert "  `order` BIGINT,\n" in sql


def test_comments_of_the_schema_become_comments_of_the_table_escaped(tmp_path):
    folder = make_box(tmp_path)
    schema(
        folder,
        'syntax = "proto2";\n'
        "// What the greenhouse's sensors say.\n"
        "message T {\n"
        "  // Degrees, \\ or 'so',\n  // as measured.\n"
        "  optional int32 temp = 1; // delta: SMALLINT\n"
        "  optional int32 day = 2; /* of the sensor\n  delta: DATE */\n"
        "  required Place place = 3;\n"
        "  message Place { required double lat = 1; // in degrees\n }\n"
        "}\n",
    )
    sql = run(folder, "ddl", "station_one").stdout
    assert "  temp SMALLINT COMMENT 'Degrees, \\\\ or \\'so\\', as measured.',\n" in sql
    assert "  day DATE COMMENT 'of the sensor',\n" in sql
    assert "  place STRUCT<lat: DOUBLE NOT NULL COMMENT 'in degrees'> NOT NULL\n" in sql
    assert "\nCOMMENT 'What the greenhouse\\'s sensors say.'\n" in sql


def test_a_schema_with_mistakes_ends_ddl_with_78(tmp_path):
    folder = make_box(tmp_path)
    schema(folder, "nonsense")
    assert "schema.proto:1" in run(folder, "ddl", expected=78).stderr


# --- pull


def test_pull_writes_a_schema_of_every_type_that_says_what_the_table_says(box):
    done = run(box, "pull", "main.iot.everything", "--name", "all")
    file = box / "tables" / "all" / "schema.proto"
    assert done.stdout.strip().endswith("tables/all/schema.proto")
    columns = load_schema(file.parent).columns
    types = {one.name: f"{one.delta}{'' if one.nullable else ' NOT NULL'}" for one in columns}
    assert types == {
        "device": "STRING NOT NULL", "tiny": "TINYINT", "small": "SMALLINT", "whole": "INT",
        "long": "BIGINT", "single": "FLOAT", "real": "DOUBLE", "flag": "BOOLEAN", "raw": "BINARY",
        "day": "DATE NOT NULL", "at": "TIMESTAMP", "wall": "TIMESTAMP_NTZ", "anything": "VARIANT",
        "short": "VARCHAR(20)", "tags": "ARRAY<STRING>", "days": "ARRAY<DATE>",
        "seen": "MAP<STRING, TIMESTAMP>", "place": f"{PLACE} NOT NULL", "places": f"ARRAY<{PLACE}>",
        "seen_entry": PLACE, "Site": PLACE,
    }  # fmt: skip
    assert [one.number for one in columns] == list(range(1, len(SPARK) + 1))
    comments = {one.name: one.comment for one in columns if one.comment}
    assert comments == {
        "device": "who sent it: it's its own name of two lines",
        "real": "delta - DATE is not meant",
    }
    text = file.read_text()
    assert "  required string device = 1;\n" in text
    assert "  repeated int32 days = 16; // delta: ARRAY<DATE>\n" in text
    assert text.count("// delta: ") == 17
    assert columns[17].delta.fields[1].comment == "when it came here"


def test_what_was_pulled_differs_in_nothing(box):
    station(box, "    schema: everything\n")
    file = box / "stations.yaml"
    file.write_text(
        file.read_text().replace("table: main.iot.station_one", "table: main.iot.everything")
    )
    run(box, "pull", "main.iot.everything")
    done = run(box, "diff", "main.iot.everything")
    assert done.stdout == "main.iot.everything: the same\n"


def test_pull_writes_over_a_schema_only_by_force(box, emulator):
    emulator.define_table(ONE, [{"name": "temp", "type": "int"}])
    file = box / "tables" / "station_one" / "schema.proto"
    before = file.read_text()
    done = run(box, "pull", ONE, expected=1)
    assert ("--force" in done.stderr, file.read_text()) == (True, before)
    run(box, "pull", ONE, "--force")
    assert len(load_schema(file.parent).columns) == 1


def test_pull_says_of_each_column_that_zerobus_can_not_take_what_can_be_done(box, emulator):
    emulator.define_table("main.iot.hard", [
        {"name": "price", "type": "decimal(10,2)"},
        {"name": "grid", "type": {"type": "array", "elementType":
                                  {"type": "array", "elementType": "int"}}},
        {"name": "deep", "type": {"type": "map", "keyType": "string", "valueType": SPARK_PLACE}},
        {"name": "place", "type": {"type": "struct", "fields": [
            {"name": "cost", "type": "decimal(38,0)"}]}},
        {"name": "fine", "type": "int"},
        {"name": "größe", "type": "int"},
    ])  # fmt: skip
    said = run(box, "pull", "main.iot.hard", expected=1).stderr
    for text in (
        "column price is DECIMAL(10,2)", "STRING, which keeps every digit", "cast it in a view",
        "column grid is ARRAY<ARRAY<INT>>", "column deep is MAP<STRING, STRUCT<",
        "column place.cost is DECIMAL(38,0)", "column größe is no name", "VARIANT",
    ):  # fmt: skip
        assert text in said
    assert "fine" not in said
    assert not (box / "tables" / "hard").exists()


def test_an_interval_can_not_be_taken_either():
    from collector.tables.limits import untakable

    answer = {
        "catalog_name": "c", "schema_name": "s", "name": "t",
        "columns": [{"name": "took", "type_text": "interval day to second", "type_json": "{}"}],
    }  # fmt: skip
    ((path, why),) = untakable(described(answer).columns)
    assert (path, "BIGINT" in why) == ("took", True)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["iot.everything"], 2, "CATALOG.SCHEMA.TABLE"),
        (["main.iot.everything", "--name", "../x"], 2, "can't be the name of a folder"),
        (["main.iot.none"], 4, "does not exist"),
    ],
)
def test_pull_of_what_is_not_there_writes_nothing(box, words, code, why):
    before = sorted(box.rglob("*.proto"))
    assert why in run(box, "pull", *words, expected=code).stderr
    assert sorted(box.rglob("*.proto")) == before


# --- diff


def one_different(emulator, *, nullable):
    emulator.define_table(ONE, [
        {"name": "humidity", "type": "bigint"},
        {"name": "temp", "type": "smallint"},
        {"name": "device_name", "type": "string"},
        {"name": "site", "type": "date", "nullable": nullable},
    ])  # fmt: skip


def test_diff_names_each_difference_and_what_mends_it(box, emulator):
    one_different(emulator, nullable=False)
    lines = run(box, "diff", "station_one", expected=1).stdout.splitlines()
    file = str(box / "tables" / "station_one" / "schema.proto")
    alter = "SQL: ALTER TABLE main.iot.station_one ALTER COLUMN"
    assert [line.strip().replace(file, "FILE") for line in lines] == [
        "main.iot.station_one: different",
        "! temp is INT in schema.proto and SMALLINT in the table",
        "FILE:8: optional int32 temp = 2; // delta: SMALLINT",
        f"or {alter} temp TYPE INT; {WIDENING}",
        "! site is NOT NULL in the table and not in schema.proto: every record is refused",
        "FILE: add required int32 site = 4; // delta: DATE",
        f"or {alter} site DROP NOT NULL;",
    ]


def test_what_does_not_matter_is_shown_and_ends_with_0(box, emulator):
    emulator.define_table("main.iot.station_two", [
        *({"name": name, "type": type_} for name, type_ in (
            ("device_name", "string"), ("temp", "int"), ("humidity", "bigint"),
            ("description", "string"), ("note", "string"))),
    ])  # fmt: skip
    done = run(box, "diff", "station_two")
    assert "main.iot.station_two: nothing that matters" in done.stdout
    assert "- note is not in schema.proto: it will be NULL" in done.stdout


def test_diff_as_json_is_one_document_for_all_tables(box, emulator):
    one_different(emulator, nullable=True)
    emulator.define_table("main.iot.station_two", [{"name": "temp", "type": "decimal(4,1)"}])
    first, second = json.loads(run(box, "diff", "--json", expected=1).stdout)["tables"]
    assert (first["table"], first["result"]) == (ONE, "different")
    assert first["differences"][1] == {
        "column": "site", "what": "is not in schema.proto: it will be NULL", "matters": False,
        "schema": "add optional int32 site = 4; // delta: DATE",
    }  # fmt: skip
    temp = next(one for one in second["differences"] if one["column"] == "temp")
    assert ("DECIMAL(4,1)" in temp["what"], "schema" in temp) == (True, False)
    unknown = next(one for one in second["differences"] if one["column"] == "humidity")
    assert unknown["sql"] == "ALTER TABLE main.iot.station_two ADD COLUMN humidity BIGINT;"


def test_a_table_that_is_not_there_is_a_difference_and_a_workspace_that_is_away_is_not(
    tmp_path, emulator
):
    folder = make_box(tmp_path / "other")
    variables = f"ZEROBUS_WORKSPACE_URL={emulator.workspace_url}\nDATABRICKS_CLIENT_ID="
    (folder / "stations.yaml").write_text(
        (folder / "stations.yaml").read_text().replace("main.iot.", "main.nowhere.")
    )
    (folder / ".env").write_text(variables + "id\nDATABRICKS_CLIENT_SECRET=word\n")
    done = run(folder, "diff", expected=1)
    assert "main.nowhere.station_one: there is no such table" in done.stdout
    assert "collector tables ddl" in done.stdout
    (folder / ".env").write_text(variables + "stranger\nDATABRICKS_CLIENT_SECRET=word\n")
    done = run(folder, "diff", expected=4)
    assert "main.nowhere.station_one: can't be read" in done.stdout
    assert "zerobus.client_id" in done.stdout


def test_what_is_no_managed_delta_table_is_said(tmp_path):
    folder = make_box(tmp_path / "other")
    with serving() as workspace:
        view = {**READING, "table_type": "VIEW", "data_source_format": "DELTA"}
        workspace.answers = [(200, view)]
        (folder / ".env").write_text(f"ZEROBUS_WORKSPACE_URL={workspace.url}\n")
        why = "is VIEW and DELTA: Zerobus writes to managed Delta tables only"
        assert why in run(folder, "pull", "main.iot.reading").stderr
        assert why in run(folder, "diff", "station_one", expected=1).stdout
