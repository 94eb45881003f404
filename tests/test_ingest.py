"""Records over HTTP, from the request to the table: what is answered is so, and says all of it.

A real daemon with a real spool serves; the emulator's log says what Zerobus has.
"""

import gzip
import itertools
import json
import threading

import pytest
from support.asking import figures
from support.client import NDJSON, Client, measured
from support.line import ROOT, STATIONS, Line, reading
from support.waiting import answers, free_port, wait_for

ONE, TWO = "main.iot.station_one", "main.iot.station_two"
SITE = """syntax = "proto2";
message Site {
  required string site = 1;
  optional double level = 2;
  optional int64 seq = 3;
}
"""
OUTAGE = {"faults": [{"fault": "refuse_connections"}]}
NUMBERS = itertools.count(1)


def tables():
    own = {name: (ROOT / "tables" / name / "schema.proto").read_text() for name in STATIONS}
    return {**own, "site": SITE}


STATIONS_HERE = {
    **STATIONS,
    "free": {"table": ONE, "schema": "station_one"},
    "chosen": {"table": ONE, "schema": "station_one", "when": {"/kind": "wanted"}},
    "inner": {"table": ONE, "schema": "station_one", "each": "/readings/*"},
    "site": {
        "topic": ["sites/{site}/level", "plants/{site}/#"],
        "except": ["sites/secret/#"],
        "table": "main.iot.site",
        "columns": {"site": "$site", "level": "/values/level", "seq": "$seq"},
    },
    "lines": {
        "topic": "lines/x",
        "table": TWO,
        "schema": "station_two",
        "format": "csv",
        "csv": {"columns": ["device_name", "temp", "humidity"]},
    },
    "plug": {"topic": "spBv1.0/#", "table": ONE, "schema": "station_one", "format": "sparkplug"},
}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    port = free_port()
    folder = tmp_path_factory.mktemp("ingest")
    limits = {"listen": f"127.0.0.1:{port}", "body_max_bytes": "64KiB", "timeout": "30s"}
    one = Line(folder, stations=STATIONS_HERE, tables=tables())
    one.change(http=limits)
    with one:
        wait_for(lambda: answers(port), "the station over HTTP", 60)
        one.port = port
        yield one
        one.check_balances()


@pytest.fixture
def client(line):
    one = Client(line.port)
    yield one
    one.close()


@pytest.fixture(autouse=True)
def no_faults(line):
    """One test that fails must not be the fault of the next."""
    yield
    if line.zerobus.process is None:
        line.zerobus.start()
    line.zerobus.faults(None)


def count(line, name, scope=""):
    return line.counters().get((scope, name), 0)


# -- what is stored --------------------------------------------------------------------------


def test_one_object_is_answered_with_its_number_and_arrives(line, client):
    number = next(NUMBERS)
    before = count(line, "recorded")
    answered = client.post("/ingest/station_one", measured(number))
    assert answered.status == 202
    said = answered.said
    assert (said["status"], said["station"], said["table"]) == ("stored", "station_one", ONE)
    assert (said["count"], said["acknowledged"], said["wait_for_ack"]) == (1, False, False)
    assert said["seq"] == said["last_seq"] > 0
    assert count(line, "recorded") == before + 1
    line.wait_delivered([number])


def test_an_array_and_lines_are_as_many_records_with_numbers_in_a_row(line, client):
    numbers = list(itertools.islice(NUMBERS, 20))
    array = client.post("/ingest/station_one", [measured(one) for one in numbers[:10]])
    text = "\n\n".join(json.dumps(measured(one)) for one in numbers[10:])
    lines = client.post("/ingest/station_one", text.encode(), NDJSON)
    for answered in (array, lines):
        said = answered.said
        assert (answered.status, said["count"]) == (202, 10)
        assert said["last_seq"] == said["seq"] + 9
    assert lines.said["seq"] > array.said["last_seq"]
    line.wait_delivered(numbers)


def test_the_numbers_that_are_answered_are_those_in_the_table(line, client):
    body = [{"values": {"level": level}} for level in (1.5, 2.5, 3.5)]
    said = client.post("/ingest/site?topic=sites/north/level&wait_for_ack=true", body).said
    rows = [row for row in line.zerobus.rows("main.iot.site") if row["site"] == "north"]
    assert [row["level"] for row in rows] == [1.5, 2.5, 3.5]
    assert [rows[0]["seq"], rows[-1]["seq"]] == [said["seq"], said["last_seq"]]


def test_what_holds_no_record_is_never_said_to_be_stored(line, client):
    before = count(line, "ignored:no_rows"), count(line, "received")
    for path in ("/ingest/station_one?wait_for_ack=true", "/ingest/chosen"):
        answered = client.post(path, [])
        said = answered.said
        assert (answered.status, said["status"], said["count"]) == (202, "ignored", 0)
        assert (said["seq"], said["acknowledged"]) == (None, False)
    # What `when` leaves out is left out on purpose.
    assert client.post("/ingest/chosen", {"temp": 1, "kind": "other"}).said["status"] == "ignored"
    assert count(line, "ignored:no_rows") == before[0] + 3
    # A key that is misspelt on the way to the records would lose all of them.
    misspelt = client.post("/ingest/inner", {"reading": [measured(1)]})
    assert (misspelt.status, "readings/*" in misspelt.said["hint"]) == (400, True)
    assert count(line, "received") == before[1] + 3


def test_a_body_in_gzip_is_inflated(line, client):
    number = next(NUMBERS)
    body = gzip.compress(json.dumps(measured(number)).encode())
    assert client.post("/ingest/station_one", body, Content_Encoding="gzip").status == 202
    line.wait_delivered([number])


def test_another_format_is_sent_as_what_it_is(line, client):
    number = next(NUMBERS)
    answered = client.post("/ingest/lines", f"d1,20,{number}\nd2,21,{number}".encode(), "text/csv")
    assert (answered.status, answered.said["count"]) == (202, 2)
    assert client.post("/ingest/lines", {"temp": 1}).status == 415
    wait_for(lambda: line.zerobus.ids(TWO).count(number) == 2, "two rows")


def test_a_station_without_a_topic_takes_any_and_one_with_filters_only_what_fits(line, client):
    number = next(NUMBERS)
    assert client.post("/ingest/free?topic=what/ever", measured(number)).status == 202
    line.wait_delivered([number])
    body = {"values": {"level": 1}}
    assert client.post("/ingest/site?topic=plants/east/a/b", body).status == 202
    wait_for(lambda: "east" in [row["site"] for row in line.zerobus.rows("main.iot.site")], "east")
    refused = client.post("/ingest/site?topic=elsewhere", body)
    assert refused.status == 400
    assert "fits no filter of site" in refused.said["error"]
    # As for a message: what `except` names is not the station's.
    excepted = client.post("/ingest/site?topic=sites/secret/level", body)
    assert (excepted.status, "fits no filter" in excepted.said["error"]) == (400, True)
    # Without a topic there is nothing to capture, and the column is NOT NULL.
    missing = client.post("/ingest/site", body)
    assert missing.status == 400
    (error,) = missing.said["errors"]
    assert (error["field"], error["kind"]) == ("site", "missing_required")


# -- what is bad -----------------------------------------------------------------------------


def test_every_bad_record_is_told_with_field_value_and_reason_and_nothing_is_stored(line, client):
    before = count(line, "received"), line.counters().get(("", "dead"), 0)
    body = [measured(0), {"temp": "warm"}, {"humidity": 2**70}, 7]
    answered = client.post("/ingest/station_one", body)
    assert answered.status == 400
    errors = answered.said["errors"]
    assert [(one["position"], one["field"], one["value"]) for one in errors] == [
        (1, "temp", "warm"),
        (2, "humidity", str(2**70)),
        (3, None, None),
    ]
    assert 'temp: "warm" is not a whole number' in errors[0]["reason"]
    assert "nothing of the request is stored" in answered.said["hint"].lower()
    # A request is told, so that it makes no dead letter.
    assert (count(line, "received"), line.counters().get(("", "dead"), 0)) == before


def test_hundreds_of_bad_records_are_all_told(client):
    body = [{"temp": f"x{place}"} for place in range(700)]
    errors = client.post("/ingest/station_one", body).said["errors"]
    assert [one["position"] for one in errors] == list(range(700))
    assert [one["value"] for one in errors] == [f"x{place}" for place in range(700)]


@pytest.mark.parametrize("content_type", ["application/json", NDJSON])
def test_of_thousands_of_bad_records_some_are_told_with_their_reason_and_all_are_counted(
    client, content_type
):
    lines = [f'{{"temp": "x{place}"}}' for place in range(3_000)]
    text = "\n".join(lines) if content_type == NDJSON else f"[{','.join(lines)}]"
    said = client.post("/ingest/station_one", text.encode(), content_type).said
    assert said["bad"] == 3_000
    told = [one for one in said["errors"] if one["field"]]
    assert [one["value"] for one in told] == [f"x{place}" for place in range(1_000)]
    for one in said["errors"][1_000:]:
        assert (one["value"], "reasons are told of" in one["reason"]) == (None, True)


def test_partial_takes_the_good_records_and_lists_the_bad_ones(line, client):
    good = [next(NUMBERS), next(NUMBERS)]
    body = [measured(good[0]), {"temp": "warm"}, measured(good[1])]
    answered = client.post("/ingest/station_one?partial=true", body)
    assert (answered.status, answered.said["count"]) == (202, 2)
    assert [one["position"] for one in answered.said["errors"]] == [1]
    text = f'{json.dumps(measured(next(NUMBERS)))}\nbroken\n{{"temp": 1.5}}\n'
    lines = client.post("/ingest/station_one?partial=true", text.encode(), NDJSON)
    assert (lines.status, lines.said["count"]) == (202, 1)
    assert [one["position"] for one in lines.said["errors"]] == [1, 2]
    line.wait_delivered(good)
    assert client.post("/ingest/station_one?partial=true", [{"temp": "warm"}]).status == 400


@pytest.mark.parametrize(
    ("path", "content", "content_type", "status", "word"),
    [
        ("/ingest/nowhere", {}, "application/json", 404, "there is no station 'nowhere'"),
        ("/ingest/station_one/more", {}, "application/json", 404, "there is no"),
        ("/nowhere", {}, "application/json", 404, "there is no /nowhere"),
        ("/ingest/station_one", b"", "application/json", 400, "the body is empty"),
        ("/ingest/station_one", b"{", "application/json", 400, "not JSON"),
        ("/ingest/station_one", b'"text"', "application/json", 400, "neither an object"),
        ("/ingest/station_one", b"[" * 9_000, "application/json", 400, "nests deeper"),
        ("/ingest/station_one", {}, "application/x-www-form-urlencoded", 415, "what this station"),
        ("/ingest/station_one", b"x" * 65_537, "application/json", 413, "larger than 64KiB"),
        ("/ingest/station_one?wait_for_akc=1", {}, "application/json", 400, "unknown parameter"),
        ("/ingest/station_one?partial=perhaps", {}, "application/json", 400, "true or false"),
        ("/ingest/station_one?timeout=soon", {}, "application/json", 400, "timeout"),
        ("/ingest/station_one?timeout=1h", {}, "application/json", 400, "600 s"),
        ("/ingest/station_one?topic=a/%2B", {}, "application/json", 400, "no topic"),
        ("/ingest/free?topic=%00", {}, "application/json", 400, "no topic"),
        ("/ingest/plug", b"x", "application/octet-stream", 409, "by MQTT only"),
        ("/flush/nowhere", b"", "application/json", 404, "there is no station"),
        ("/flush/station_one?partial=1", b"", "application/json", 400, "unknown parameter"),
    ],
)
def test_what_can_not_be_taken_is_refused_with_what_to_do(
    line, client, path, content, content_type, status, word
):
    before = count(line, "received")
    answered = client.post(path, content, content_type)
    assert (answered.status, word in answered.said["error"]) == (status, True), answered
    assert count(line, "received") == before


def test_a_method_that_an_endpoint_does_not_take_is_refused_with_the_one_that_it_takes(client):
    for path, allowed in (("/ingest/station_one", "POST"), ("/flush/station_one", "POST")):
        answered = client.get(path)
        assert (answered.status, answered.headers["allow"]) == (405, allowed)
    answered = client.post("/health")
    assert (answered.status, answered.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/health/station_one", "/metrics", "/livez", "/readyz", "/docs", "/redoc",
     "/docs/favicon.png", "/openapi.json", "/ui"],
)  # fmt: skip
def test_head_is_answered_as_get_is_without_the_body(client, path):
    shown, asked = client.get(path), client.ask("HEAD", path, None, {})
    assert (asked.status, asked.body) == (shown.status, b"")
    assert asked.headers["content-type"] == shown.headers["content-type"]


# -- waiting for Zerobus ---------------------------------------------------------------------


def test_an_answer_200_means_that_zerobus_has_it_at_that_moment(line, client):
    for _ in range(20):
        number = next(NUMBERS)
        answered = client.post("/ingest/station_one?wait_for_ack=true", measured(number))
        assert (answered.status, answered.said["acknowledged"]) == (200, True)
        assert number in line.zerobus.ids()


def test_in_an_outage_a_wait_ends_with_an_honest_no_and_nothing_is_lost(line, client):
    numbers = list(itertools.islice(NUMBERS, 3))
    line.zerobus.faults(OUTAGE)
    answered = client.post(
        "/ingest/station_one?wait_for_ack=true&timeout=300ms", [measured(one) for one in numbers]
    )
    line.zerobus.faults(None)
    if answered.status == 200:  # The stream that was open took it before it was cut.
        assert set(numbers) <= set(line.zerobus.ids())
    else:
        assert (answered.status, answered.said["acknowledged"]) == (202, False)
    line.wait_delivered(numbers)


def test_a_client_that_goes_away_while_it_waits_loses_nothing(line):
    number = next(NUMBERS)
    line.zerobus.faults(OUTAGE)
    impatient = Client(line.port, timeout=0.5)
    try:
        impatient.post("/ingest/station_two?wait_for_ack=true&timeout=60s", measured(number))
    except TimeoutError:
        impatient.close()
    line.zerobus.faults(None)
    line.wait_delivered([number])


def test_a_flush_returns_when_what_was_spooled_is_acknowledged_and_says_what_is_left(line, client):
    numbers = list(itertools.islice(NUMBERS, 5))
    assert client.post("/flush/station_two?timeout=90s").status == 200
    line.zerobus.faults({"faults": [{"fault": "silence"}]})
    assert client.post("/ingest/station_two", [measured(one) for one in numbers]).status == 202
    pending = client.post("/flush/station_two?timeout=200ms")
    assert (pending.status, pending.said["flushed"], pending.said["left"]) == (202, False, 5)
    line.zerobus.faults(None)
    flushed = client.post("/flush/station_two?timeout=90s")
    assert (flushed.status, flushed.said["flushed"], flushed.said["left"]) == (200, True, 0)
    assert set(numbers) <= set(line.zerobus.ids())
    again = client.post("/flush/station_two")
    assert (again.status, again.said["left"], again.said["undelivered"]) == (200, 0, 0)
    assert "nothing was waiting" in again.said["message"]


# -- many clients, and the same request again ------------------------------------------------


def at_once(clients, ask):
    """Let so many clients ask at one time; returns their answers."""
    answered, start = [None] * clients, threading.Barrier(clients)

    def run(place, client):
        start.wait(30)
        answered[place] = ask(client, place)
        client.close()

    threads = [
        threading.Thread(target=run, args=(place, client))
        for place, client in enumerate([Client(PORT[0]) for _ in range(clients)])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answered


PORT = [0]


def commits(client):
    text = client.get("/metrics").body.decode()
    return figures(text)["collector_spool_commit_seconds_count",]


def test_requests_of_many_clients_share_commits(line, client):
    PORT[0] = line.port
    before = commits(client)
    numbers = list(itertools.islice(NUMBERS, 400))

    def ask(client, place):
        return [
            client.post("/ingest/station_one", measured(one)).status for one in numbers[place::40]
        ]

    answered = at_once(40, ask)
    assert answered == [[202] * 10] * 40
    assert commits(client) - before < len(numbers) / 2
    line.wait_delivered(numbers)


def test_the_same_key_stores_once_also_at_one_time_and_says_the_same(line, client):
    PORT[0] = line.port
    number = next(NUMBERS)

    def ask(client, _):
        return client.post("/ingest/station_one", measured(number), Idempotency_Key="k-1")

    before = count(line, "recorded")
    answered = at_once(8, ask)
    assert count(line, "recorded") == before + 1
    assert {one.status for one in answered} == {202}
    assert len({one.said["seq"] for one in answered}) == 1
    assert sum(not one.said.get("repeated") for one in answered) == 1
    waited = client.post(
        "/ingest/station_one?wait_for_ack=true", measured(number), Idempotency_Key="k-1"
    )
    assert (waited.status, waited.said["repeated"]) == (200, True)
    other = client.post("/ingest/station_one", measured(-1), Idempotency_Key="k-1")
    assert other.status == 422
    # A key of another station is another key.
    assert client.post("/ingest/free", measured(-2), Idempotency_Key="k-1").status == 202
    assert count(line, "recorded") == before + 2


@pytest.mark.parametrize("key", ["k" * 256, " ", "schl\u00fcssel"], ids=["long", "empty", "umlaut"])
def test_a_key_that_is_none_is_refused(client, key):
    # Its client believes that it may send the request again.
    answered = client.post("/ingest/station_one", measured(0), Idempotency_Key=key)
    assert answered.status == 400
    assert "Idempotency-Key must be 1 to 255 characters" in answered.said["error"]


def test_a_key_is_known_after_a_kill(line):
    number, before = next(NUMBERS), count(line, "recorded")
    first = Client(line.port)
    said = first.post("/ingest/station_one", measured(number), Idempotency_Key="k-2").said
    first.close()
    line.daemon.kill()
    line.start_daemon()
    wait_for(lambda: answers(line.port), "the station over HTTP", 60)
    client = Client(line.port)
    again = client.post("/ingest/station_one", measured(number), Idempotency_Key="k-2")
    assert (again.status, again.said["seq"], again.said["repeated"]) == (202, said["seq"], True)
    # Nobody here knows any more what became of it, and no guess is made.
    waited = client.post(
        "/ingest/station_one?wait_for_ack=true&timeout=10ms", measured(number),
        Idempotency_Key="k-2",
    )  # fmt: skip
    assert (waited.status, waited.said["acknowledged"]) == (202, False)
    assert count(line, "recorded") == before + 1
    line.wait_delivered([number])
    client.close()


# -- what else there is ----------------------------------------------------------------------


def test_the_root_names_every_station_with_its_endpoints(client):
    said = client.get("/").said
    assert (said["service"], said["gateway"]) == ("zerobus-collector", "test")
    assert set(said["stations"]) == set(STATIONS_HERE)
    assert said["stations"]["station_one"] == {
        "table": ONE,
        "format": "json",
        "ingest": "/ingest/station_one",
        "flush": "/flush/station_one",
        "health": "/health/station_one",
    }
    assert "ingest" not in said["stations"]["plug"]


def test_health_of_a_station_tells_its_stream_its_backlog_and_its_last_error(line, client):
    number = next(NUMBERS)
    client.post("/ingest/station_two?wait_for_ack=true", measured(number))
    line.wait_drained()
    well = client.get("/health/station_two").said
    assert (well["health"], well["reasons"], well["backlog"]["records"]) == ("ok", [], 0)
    assert well["stream"]["active"] is True
    assert well["last_ack"] is not None
    line.zerobus.stop()
    client.post("/ingest/station_two", measured(next(NUMBERS)))

    def is_told():
        said = client.get("/health/station_two").said
        return said if said["stream"]["state"] == "waiting" else None

    away = wait_for(is_told, "the stream to be away", 60)
    assert (away["health"], away["stream"]["active"]) == ("degraded", False)
    assert away["backlog"]["records"] >= 1
    assert away["last_error"]
    assert any("waiting" in reason for reason in away["reasons"])
    assert client.get("/health").said["health"] == "degraded"
    line.zerobus.start()
    wait_for(lambda: client.get("/health/station_two").said["health"] == "ok", "health", 90)
    assert client.get("/health/station_two").said["last_error"]
    assert client.get("/health/nowhere").status == 404


def test_figures_and_probes_are_answered_too(client):
    assert client.get("/livez").body == b"ok\n"
    assert client.get("/readyz").status == 200
    text = client.get("/metrics").body.decode()
    assert 'collector_http_requests_total{method="GET",route="/livez",status="200"}' in text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documents_need_no_other_host(client, path):
    page = client.get(path)
    assert page.status == 200
    text = page.body.decode()
    for asset in ("/docs/swagger-ui-bundle.js", "/docs/redoc.standalone.js"):
        if asset in text:
            assert client.get(asset).status == 200
    assert 'src="http' not in text
    assert 'href="http' not in text
    # By default Swagger UI asks one whether the document is right, but not on loopback.
    assert path != "/docs" or '"validatorUrl": null' in text
    assert client.get("/docs/..%2Fcore.py").status == 404


def test_messages_of_the_broker_and_requests_go_side_by_side(line, client):
    numbers = list(itertools.islice(NUMBERS, 200))
    publisher = line.publisher()
    publisher.publish([reading(one) for one in numbers[:100]])
    for one in numbers[100:]:
        assert client.post("/ingest/station_one", measured(one)).status == 202
    line.wait_delivered(numbers)
    line.check_balances()
