"""`collector migrate`: a Zerobus Station as its users have it becomes a collector that checks."""

import json
import shutil

import pytest
from support.terminal import run_plain
from support.zerobus_station import config, make_station

from collector.config import load
from collector.errors import ConfigError
from collector.migrate import migrate as made_of
from collector.plan import plan

CANARY = "canary-m1gr"
UNKNOWN = "means nothing to a Zerobus Station and is left out"


@pytest.fixture
def station(tmp_path):
    return make_station(tmp_path / "station", CANARY)


def write(folder, document):
    (folder / "config.json").write_text(json.dumps(document, indent=2))


def migrate(folder, *options):
    """Run the command; nothing that it says or writes holds the secret."""
    done = run_plain("migrate", folder / "config.json", *options, folder=folder)
    written = [path.read_text() for path in folder.parent.rglob("*") if path.is_file()]
    assert sum(CANARY in text for text in written) <= 1
    assert CANARY not in done.stdout + done.stderr
    return done


def remarks(folder, *options):
    """What is said of a station, as (line, key, text), but for the code that nobody needs."""
    done = migrate(folder, "--json", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["remarks"]
    said = [(one["line"], one["key"], one["text"]) for one in found]
    assert all(one["hint"] for one in found)
    return [one for one, full in zip(said, found, strict=True) if "_pb2" not in full["file"]]


def test_what_a_station_had_passes_the_check_and_its_schemas_are_left_as_they_are(station):
    before = {path: path.read_bytes() for path in station.rglob("schema.proto")}
    done = migrate(station)
    assert (done.returncode, done.stdout) == (0, f"{station / 'stations.yaml'}\n")
    assert {path: path.read_bytes() for path in station.rglob("schema.proto")} == before
    assert [line for line in done.stderr.splitlines() if line.startswith("warning")] == [
        f"warning: {station}/tables/{name}/schema_pb2.py:1: is not used"
        " (schema.proto is compiled at start: it may be deleted)"
        for name in ("station_one", "station_two")
    ]
    check = run_plain("check", folder=station)
    assert check.returncode == 0, check.stderr
    assert "warning" not in check.stderr
    made = load(station / "stations.yaml", {})
    assert made.http.address == ("127.0.0.1", 8000)
    assert (made.mqtt.url, made.zerobus.client_id) == ("", "the-id")
    assert made.zerobus.client_secret.get_secret_value() == CANARY
    assert made.zerobus.endpoint == f"https://{config()['databricks']['server_endpoint']}"
    assert made.zerobus.workspace_url == config()["databricks"]["workspace_url"]
    assert [(one.name, one.table, one.topics) for one in made.stations] == [
        ("station_one", "main.iot.station_one", ()),
        ("station_two", "main.iot.station_two", ()),
    ]


def test_without_schemas_they_are_made_of_the_fields(station):
    originals = plan(_migrated(station)).schemas
    shutil.rmtree(station / "tables")
    done = migrate(station)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{station}/tables/{name}/schema.proto" for name in ("station_one", "station_two")
    ]
    made = plan(load(station / "stations.yaml", {})).schemas
    assert {name: schema.columns for name, schema in made.items()} == {
        name: schema.columns for name, schema in originals.items()
    }


def _migrated(station):
    assert migrate(station).returncode == 0
    return load(station / "stations.yaml", {})


def test_another_folder_gets_all_but_the_secrets(station, tmp_path):
    into = tmp_path / "new"
    said = remarks(station, "--output", into)
    assert said == [(1, "", "is not copied")]
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == [
        "stations.yaml",
        "tables/station_one/schema.proto",
        "tables/station_two/schema.proto",
    ]
    assert not (station / "stations.yaml").exists()
    # Who one is to the workspace is missing there, and the check says so.
    assert "DATABRICKS_CLIENT_ID is not set" in run_plain("check", folder=into).stderr
    shutil.copy(station / ".env", into / ".env")
    assert run_plain("check", folder=into).returncode == 0


def test_nothing_is_written_over_unless_that_is_wanted(station, tmp_path):
    assert migrate(station).returncode == 0
    # What is as it would be written is not written over.
    again = migrate(station)
    assert (again.returncode, again.stdout) == (0, "")
    file, into = station / "stations.yaml", tmp_path / "new"
    file.write_text("mine")
    refused = migrate(station)
    assert refused.returncode == 1
    assert f"{file} is there already" in refused.stderr
    assert "--force writes over it" in refused.stderr
    assert file.read_text() == "mine"
    (into / "tables" / "station_two").mkdir(parents=True)
    (into / "tables" / "station_two" / "schema.proto").write_text("mine")
    assert migrate(station, "--output", into).returncode == 1
    assert not (into / "stations.yaml").exists()
    assert migrate(station, "--output", into, "--force").returncode == 0
    assert migrate(station, "--force").returncode == 0
    assert run_plain("check", folder=station).returncode == 0


def test_where_fields_and_schema_differ_the_schema_counts_and_each_difference_is_said(station):
    file = station / "tables" / "station_one" / "schema.proto"
    text = file.read_text().replace("int32 temp = 2", "int64 temp = 2")
    file.write_text(text.replace("StationOne", "Other").replace("humidity", "moisture"))
    assert remarks(station) == [
        (11, "tables.station_one.message_name",
         "the message is station_one.StationOne here and station_one.Other in schema.proto"),
        (20, "tables.station_one.fields.temp",
         "it is `optional int32 temp = 2;` here and `optional int64 temp = 2;` in schema.proto"),
        (26, "tables.station_one.fields.humidity",
         "humidity is not in schema.proto, so that Zerobus is not sent it"),
        (12, "tables.station_one.fields.moisture",
         "moisture is not here, but in schema.proto: it is a column"),
    ]  # fmt: skip
    [one, _] = plan(load(station / "stations.yaml", {})).mappings
    assert [str(column.delta) for column in one.schema.columns] == ["STRING", "BIGINT", "BIGINT"]


def test_what_means_nothing_here_and_what_is_to_be_filled_in_is_said(station):
    document = config()
    document["log_level"] = "debug"
    document["databricks"] |= {
        "server_endpoint": "WORKSPACE-ID.zerobus.REGION.cloud.databricks.com",
        "workspace_url": "https://WORKSPACE.cloud.databricks.com",
        "token": "x",
    }
    one = document["tables"]["station_one"]
    one |= {"table_name": "catalog.schema.station_one", "comment": "x"}
    one["fields"][1] |= {"type": "string", "nullable": True}
    del document["tables"]["station_two"]["fields"]
    write(station, document)
    shutil.copytree(station / "tables" / "station_one", station / "tables" / "station_three")
    (station / ".env").write_text("DATABRICKS_CLIENT_ID=\nPORT=8000\nno assignment\n")
    assert remarks(station) == [
        (42, "log_level", UNKNOWN),
        (6, "databricks.token", UNKNOWN),
        (3, "databricks.server_endpoint",
         "WORKSPACE-ID.zerobus.REGION.cloud.databricks.com looks like a placeholder"),
        (5, "databricks.workspace_url",
         "https://WORKSPACE.cloud.databricks.com looks like a placeholder"),
        (34, "tables.station_one.comment", UNKNOWN),
        (10, "tables.station_one.table_name",
         "catalog.schema.station_one looks like a placeholder"),
        (25, "tables.station_one.fields.temp.nullable", UNKNOWN),
        (21, "tables.station_one.fields.temp",
         "the type of temp is 'string' and its proto_type 'optional int32'"),
        (36, "tables.station_two", "has no fields"),
        (1, "", "has no table in config.json and is left out"),
        (3, "", "is not of the form NAME=VALUE"),
        (1, "DATABRICKS_CLIENT_ID", "is not set"),
        (1, "DATABRICKS_CLIENT_SECRET", "is not set"),
        (2, "PORT", "is not used"),
    ]  # fmt: skip


def test_a_workspace_that_is_not_that_of_the_endpoint_is_said_and_so_is_a_missing_dotenv(station):
    document = config()
    document["databricks"]["workspace_id"] = 99
    write(station, document)
    (station / ".env").unlink()
    assert remarks(station) == [
        (4, "databricks.workspace_id", "is not 1234567890123456, that of server_endpoint"),
        (1, "", "is not there"),
    ]


def changed(**values):
    """A configuration whose first table has other values."""
    document = config()
    document["tables"]["station_one"] |= values
    return document


def field(**values):
    return changed(
        fields=[{"name": "a", "proto_type": "optional string", "field_num": 1, **values}]
    )


BAD = [
    # What is in the file; line, key and words of what is said.
    ({}, 1, "databricks.server_endpoint", "is missing"),
    ([], 1, "", "must be an object"),
    ({**config(), "tables": {}}, 7, "tables", "names no table"),
    ({**config(), "tables": 5}, 7, "tables", "must be an object"),
    ({**config(), "tables": {"../x": {}}}, 8, "tables.../x", "must be of ASCII letters"),
    ({**config(), "databricks": {}}, 2, "databricks.server_endpoint", "is missing"),
    (changed(table_name=5), 9, "tables.station_one.table_name", "must be text"),
    (changed(table_name="a.b"), 9, "tables.station_one.table_name", "must be catalog.schema.table"),
    (
        changed(table_name="main.iot.station_two"),
        37,
        "tables.station_two.fields",
        "differ from those of station_one, which feeds the same table: description",
    ),
    (changed(fields=5), 12, "tables.station_one.fields", "must be a list"),
    (changed(fields=[5]), 12, "tables.station_one.fields", "must be an object"),
    (changed(fields=None), 12, "tables.station_one.fields", "names no field"),
    (field(name="a b"), 12, "tables.station_one.fields", "has no name that protobuf takes"),
    (field(proto_type="string"), 14, "tables.station_one.fields.a", "no proto_type"),
    (field(proto_type=None), 14, "tables.station_one.fields.a", "no proto_type"),
    (field(field_num="1"), 14, "tables.station_one.fields.a", "has no field_num"),
    (field(field_num=2), 14, "tables.station_one.fields.a", "number"),
    (
        field(proto_type="optional uint32"),
        14,
        "tables.station_one.fields.a",
        "no type that Zerobus",
    ),
    (field(proto_type="optional date"), 14, "tables.station_one.fields.a", '"date" is not defined'),
]


@pytest.mark.parametrize(("document", "line", "key", "words"), BAD)
def test_what_can_not_be_taken_over_is_named_with_its_line_and_nothing_is_written(
    station, document, line, key, words
):
    shutil.rmtree(station / "tables")
    write(station, document)
    with pytest.raises(ConfigError) as caught:
        made_of(station / "config.json", station)
    found = [(one.line, one.key) for one in caught.value.problems]
    assert (line, key) in found
    assert words in str(caught.value)
    assert {one.file for one in caught.value.problems} == {station / "config.json"}


def test_mistakes_of_every_kind_are_said_in_one_run(station):
    shutil.rmtree(station / "tables" / "station_one")
    broken = station / "tables" / "station_two" / "schema.proto"
    broken.write_text(broken.read_text().replace("int64 humidity", "uint64 humidity"))
    document = config()
    del document["databricks"]["server_endpoint"]
    document["databricks"]["workspace_url"] = "http://example.com"
    tables = document["tables"]
    tables["three"] = {"fields": [{"name": "a", "proto_type": "string", "field_num": 1}]}
    tables["station_one"]["table_name"] = "a.b"
    write(station, document)
    done = migrate(station)
    assert done.returncode == 78
    wanted = [
        "databricks.server_endpoint: is missing",
        "databricks.workspace_url: ",
        "tables.station_one.table_name: must be catalog.schema.table",
        "tables.three.table_name: is missing",
        "tables.three.fields.a: a has no proto_type",
        f"{broken}:9: ",
    ]
    assert [words for words in wanted if words not in done.stderr] == []
    # Each is said once.
    assert len(done.stderr.splitlines()) == len(wanted)
    assert not (station / "stations.yaml").exists()


def test_two_keys_of_one_table_are_two_stations_of_one_schema(station):
    document = config()
    one = document["tables"]["station_one"]
    document["tables"]["again"] = {**one, "proto_package": "again", "message_name": "StationOne"}
    write(station, document)
    shutil.rmtree(station / "tables")
    assert remarks(station) == [
        (65, "tables.again.table_name",
         "is that of station_one as well: both have the schema of station_one"),
    ]  # fmt: skip
    assert not (station / "tables" / "again").exists()
    assert run_plain("check", folder=station).returncode == 0
    made = {one.name: one for one in load(station / "stations.yaml", {}).stations}
    assert made["again"].table == made["station_one"].table
    assert made["again"].schema_dir == made["station_one"].schema_dir


def test_a_key_that_stands_twice_is_refused_with_its_line(station):
    text = json.dumps(config(), indent=2)
    text = text.replace('"station_two": {', '"station_one": {')
    text = text.replace(
        '"proto_type": "optional int32"', '"type": "a{\\"b", "proto_type": "optional int32"'
    )
    (station / "config.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        made_of(station / "config.json", station)
    found = [(one.line, one.key) for one in caught.value.problems]
    assert found == [
        (22, "tables.station_one.fields.type"),
        (33, "tables.station_one"),
        (47, "tables.station_one.fields.type"),
    ]
    assert {one.text for one in caught.value.problems} == {"stands twice"}


def test_what_is_no_json_is_named_with_its_line_and_ends_with_78(station):
    (station / "config.json").write_text('{\n  "databricks": nothing\n}')
    done = migrate(station)
    assert done.returncode == 78
    assert f"{station / 'config.json'}:2: is no JSON: Expecting value" in done.stderr
    (station / "config.json").unlink()
    assert "can't be read: No such file" in migrate(station).stderr
    assert not (station / "stations.yaml").exists()


def test_a_schema_that_zerobus_would_not_take_is_named_with_its_own_line(station):
    file = station / "tables" / "station_two" / "schema.proto"
    file.write_text(file.read_text().replace("int64 humidity", "uint64 humidity"))
    done = migrate(station)
    assert done.returncode == 78
    assert f"{file}:9: " in done.stderr
    assert "uint64 is no type that Zerobus takes" in done.stderr
    assert "move it away: then one is made of the fields" in done.stderr
    file.unlink()
    assert migrate(station).returncode == 0
    assert "int64 humidity = 3;" in file.read_text()
