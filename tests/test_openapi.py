"""The OpenAPI document: what it promises is asked of a running daemon, by many odd requests."""

import os
import subprocess
from pathlib import Path

import pytest
from support.client import Client
from support.columns import schema_text
from support.line import ROOT, STATIONS, Line
from support.waiting import answers, wait_for

SCHEMATHESIS = ROOT / ".venv" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "unsupported_method",
    "allow_header_conformance", "missing_required_header", "what_fits_is_taken",
    "wrong_parameters_are_refused",
)  # fmt: skip
# By name: the columns of its table, and its words.
MORE = {
    "boilers": (
        "device STRING NOT NULL, at TIMESTAMP, mode STRING, temp DOUBLE, seq BIGINT",
        {
            "columns": {
                "device": "/head/device",
                "at": {"from": "/head/at", "time": "ms"},
                "mode": {"from": "/mode", "map": {"0": "heat", "1": "cool"}},
                "temp": {"from": "/values/temp", "scale": 0.1},
                "seq": "$seq",
            }
        },
    ),
    "meters": ("meter STRING, kwh DOUBLE", {"format": "csv", "csv": {"columns": ["meter", "kwh"]}}),
    "doors": (
        "device STRING NOT NULL, is_open BOOLEAN NOT NULL, battery TINYINT, state VARIANT",
        {"topic": "doors/{device}"},
    ),
    "tanks": (
        "tank STRING, day DATE, at TIMESTAMP, marks ARRAY<FLOAT>, place STRUCT<x: INT>",
        {},
    ),
}
# Whose examples are as odd as their steps.
STEPPED = {
    "times": (
        "a TIMESTAMP, b DATE, c STRING NOT NULL, d BIGINT",
        {
            "columns": {
                "a": {"from": "/a", "time": "s"},
                "b": {"from": "/b", "time": "%d.%m.%Y"},
                "c": {"from": "/c", "time": "iso"},
                "d": {"from": "/d", "time": "us"},
            }
        },
    ),
    "bits": (
        "a BINARY, b INT, c BINARY, d ARRAY<DOUBLE>, e STRING, f DOUBLE",
        {
            "columns": {
                "a": {"from": "/a", "bytes": "hex"},
                "b": {"from": "/b", "bytes": "u16be", "unpack": "i16be@0"},
                "c": {"from": "/c/base64", "bytes": "base64"},
                "d": {"from": "/d", "scale": 2},
                "e": {"from": "/e", "match": "^x(.*)"},
                "f": {"from": "/f", "null_if": [-999], "lenient": True},
            }
        },
    ),
    "plain": (
        "wall TIMESTAMP_NTZ, more MAP<STRING, INT>, raw BINARY, small SMALLINT, on BOOLEAN",
        {},
    ),
    "lists": ("a DOUBLE", {"each": "/all/*", "columns": {"a": "a"}}),
}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    own = MORE | STEPPED
    stations = STATIONS | {name: {"table": f"main.iot.{name}", **own[name][1]} for name in own}
    sample = {name: (ROOT / "tables" / name / "schema.proto").read_text() for name in STATIONS}
    tables = sample | {name: schema_text(own[name][0]) for name in own}
    folder = tmp_path_factory.mktemp("line")
    with Line(folder, stations=stations, tables=tables, http={"timeout": "1s"}) as one:
        wait_for(lambda: answers(one.http_port), "the station over HTTP", 60)
        yield one
        one.check_balances()


@pytest.fixture
def client(line):
    one = Client(line.http_port)
    yield one
    one.close()


def document(client):
    return client.get("/openapi.json").said


def test_nothing_that_the_document_promises_is_broken_by_odd_requests(line, tmp_path):
    done = subprocess.run(
        [
            SCHEMATHESIS, "run", f"http://127.0.0.1:{line.http_port}/openapi.json",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "30",
            "--generation-deterministic", "--checks", ",".join(CHECKS), "--continue-on-failure",
            "--exclude-path-regex", f"/({'|'.join(STEPPED)})$", "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={
            **os.environ, "SCHEMATHESIS_HOOKS": "support.asked",
            "PYTHONPATH": str(Path(__file__).parent),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    # It must have asked: all operations, and each more than once.
    assert f"Tested: {len(asked_of(line))}" in done.stdout, done.stdout
    assert "level=error" not in line.daemon.tail()


def asked_of(line):
    client = Client(line.http_port)
    found = [path for path in document(client)["paths"] if path.split("/")[-1] not in STEPPED]
    client.close()
    return found


def test_every_example_is_taken_by_its_station(client):
    examples = {
        path: content["application/json"]["example"]
        for path, content in (
            (path, methods["post"]["requestBody"]["content"])
            for path, methods in document(client)["paths"].items()
            if path.startswith("/ingest/")
        )
        if "example" in content.get("application/json", {})
    }
    answered = {path: client.post(path, example) for path, example in examples.items()}
    assert {path: one.status for path, one in answered.items()} == dict.fromkeys(examples, 202)
    assert all(one.said["count"] == 1 for one in answered.values())
    assert examples["/ingest/boilers"] == {
        "head": {"device": "device", "at": 1_769_860_800_000},
        "mode": "0",
        "values": {"temp": 21},
    }
    assert examples["/ingest/bits"] == {
        "a": "000102",
        "c": {"base64": "AAEC"},
        "f": 21.5,
    }
    assert {path.removeprefix("/ingest/") for path in examples} == {
        *STATIONS, *MORE, *STEPPED
    } - {"meters", "lists"}  # fmt: skip


def test_the_document_names_every_path_that_is_served(line, client):
    about = client.get("/").said
    of_stations = {
        one[name] for one in about["stations"].values() for name in ("ingest", "flush", "health")
    }
    probes = {"/", "/health", "/metrics", "/livez", "/readyz"}
    assert set(document(client)["paths"]) == of_stations | probes
    pages = {about[name] for name in ("docs", "redoc", "ui")} | {"/openapi.json"}
    for path in probes | pages | {f"/health/{name}" for name in line.stations}:
        assert client.get(path).status == 200, path
