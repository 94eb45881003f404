"""The figures: what is exported is documented, what is used exists, and what is said is so."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from support.asking import ask, figures
from support.line import ROOT, STATIONS, Line, reading
from support.waiting import answers, free_port, wait_for

from collector.metrics.flow import FLOW
from collector.metrics.parts import PARTS
from collector.metrics.requests import REQUESTS

ONE, TWO = "main.iot.station_one", "main.iot.station_two"
FAMILIES = (*FLOW, *REQUESTS, *PARTS)
DOCUMENT = (ROOT / "docs" / "metrics.md").read_text()
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
ALERTS_TEST = ALERTS.with_name("alerts_test.yml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "collector.json").read_text())
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def exported():
    """Every name that a scrape may have: a histogram has three."""
    names = set()
    for family in FAMILIES:
        parts = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        names |= {family.name + part for part in parts}
    return names | set(re.findall(r"`(process_\w+)`", DOCUMENT))


# -- documents, dashboard and alerts are those of the code -----------------------------------


def test_the_tables_of_the_documents_are_those_of_the_code():
    found = re.findall(r"(?m)^\| `(collector_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", DOCUMENT)
    assert found == [
        (one.name, one.kind, ", ".join(one.labels) or "-", one.text) for one in FAMILIES
    ]


def test_names_and_labels_follow_the_custom():
    for one in FAMILIES:
        assert re.fullmatch(r"collector_[a-z]+(_[a-z]+)*", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert set(one.labels) <= {
            "station", "table", "reason", "kind", "state", "health", "loop", "version", "gateway",
            "method", "route", "status",
        }  # fmt: skip
    assert len({one.name for one in FAMILIES}) == len(FAMILIES)


def test_the_dashboard_and_the_alerts_use_what_is_exported():
    queries = [target["expr"] for one in DASHBOARD["panels"] for target in one.get("targets", ())]
    assert len(queries) > 40
    for text in (*queries, ALERTS.read_text(), ALERTS_TEST.read_text()):
        used = set(re.findall(r"\b(?:collector|process)_\w+", text))
        assert used <= exported()


def test_the_dashboard_has_its_rows_and_only_panels_that_ask_something():
    panels = DASHBOARD["panels"]
    rows = [one["title"] for one in panels if one["type"] == "row"]
    assert rows == ["Overview", "Ingest", "Spool", "Delivery", "Errors", "HTTP", "Process"]
    assert len({one["id"] for one in panels}) == len(panels)
    taken = Counter()
    for one in panels:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
        assert one["type"] == "row" or one["targets"]
        for target in one.get("targets", ()):
            assert target["datasource"]["uid"] == "${datasource}"
            assert "$instance" in target["expr"]
            # Several gateways can be chosen: each line says whose it is.
            assert "{{instance}}" in target["legendFormat"]
            for labels in re.findall(r"by \(([^)]+)\)", target["expr"]):
                assert "instance" in labels.split(", ")
    assert max(taken.values()) == 1


def promtool(*arguments, **options):
    tool = shutil.which("promtool")
    if tool is None:
        message = "promtool is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    done = subprocess.run(
        [tool, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_each_configuration_of_the_page(tmp_path):
    shown = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert len(shown) == 2
    for text in shown:
        # Debian builds Prometheus without what finds pods.
        known = text.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: []")
        (tmp_path / "prometheus.yml").write_text(known)
        promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


def test_every_alert_is_valid_rings_when_it_should_and_says_what_to_do(tmp_path):
    text = ALERTS.read_text()
    alerts = re.findall(r"(?m)^ +- alert: (\w+)$", text)
    rules = text.split("- alert: ")[1:]
    assert f"{len(alerts)} rules found" in promtool("check", "rules", ALERTS)
    promtool("test", "rules", ALERTS_TEST.name, cwd=ALERTS.parent)
    assert set(re.findall(r'alertname="(\w+)"', ALERTS_TEST.read_text())) == set(alerts)
    assert [one for one in alerts if f"| `{one}` |" not in DOCUMENT] == []
    for rule in rules:
        for key in ("summary: ", "description: ", "action: ", "severity: "):
            assert key in rule
    # A test that expects what does not ring fails: else it would prove nothing.
    shutil.copy(ALERTS, tmp_path)
    wrong = ALERTS_TEST.read_text().replace('instance="never"}', 'instance="other"}', 1)
    (tmp_path / ALERTS_TEST.name).write_text(wrong)
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", ALERTS_TEST.name, cwd=tmp_path)


def test_every_query_of_the_dashboard_is_one(tmp_path):
    queries = [target["expr"] for one in DASHBOARD["panels"] for target in one.get("targets", ())]
    rules = [
        {"record": f"query{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", file)


# -- what is said is so ----------------------------------------------------------------------


@pytest.fixture
def scraped(line_folder):
    port = free_port()
    metrics = {"listen": f"127.0.0.1:{port}"}
    stations = {name: {**one, "max_age": "1h"} for name, one in STATIONS.items()}
    limits = {"max_records_per_second": 100_000}
    http = {"listen": f"127.0.0.1:{free_port()}"}
    with Line(line_folder, metrics=metrics, stations=stations, zerobus=limits, http=http) as line:
        port_of_http = int(http["listen"].rpartition(":")[2])
        wait_for(lambda: answers(port_of_http), "the station over HTTP")
        assert ask(port_of_http, "/livez").status == 200
        yield line, port


def spooled_and_counted(line, port):
    """Send what is recorded, dead-lettered and ignored; returns the figures when it is counted."""
    broken = [(-1, "sensors/station_one/d", b"broken"), (-2, "sensors/station_two/d", b"")]
    line.publisher().publish([reading(n) for n in range(50)] + broken)
    line.publisher().publish([reading(n, "station_two") for n in range(50, 60)])

    def counted():
        found = figures(ask(port, "/metrics").text)
        delivered = sum(found["collector_records_delivered_total", one] for one in (ONE, TWO))
        return found if found["collector_messages_received_total",] == 62 and (
            delivered == 60) else None  # fmt: skip

    return wait_for(counted, "62 messages")


def test_both_balances_can_be_checked_by_what_is_scraped(scraped):
    line, port = scraped
    found = spooled_and_counted(line, port)
    assert found["collector_messages_recorded_total",] == 60
    assert found["collector_messages_dead_lettered_total",] == 1
    assert found["collector_messages_ignored_total", "empty"] == 1
    assert found["collector_station_dead_letters_total", "undecodable", "station_one"] == 1
    assert_balances(found)
    line.zerobus.stop()
    line.publisher().publish([reading(n) for n in range(60, 90)])
    wait_for(lambda: line.spooled() >= 30, "records that wait")
    found = figures(ask(port, "/metrics").text)
    assert found["collector_records_spooled", ONE] == 30
    assert found["collector_records_oldest_age_seconds", ONE] > 0
    assert_balances(found)


def assert_balances(found):
    ignored = sum(
        value for key, value in found.items() if key[0] == "collector_messages_ignored_total"
    )
    known = ("recorded", "dead_lettered")
    assert found["collector_messages_received_total",] == ignored + sum(
        found[f"collector_messages_{word}_total",] for word in known
    )
    left = ("delivered", "buried", "expired", "dropped", "purged", "lost")
    for table in (ONE, TWO):
        came, gone = (
            sum(found[f"collector_records_{word}_total", table] for word in words)
            for words in (("made", "replayed", "salvaged"), left)
        )
        assert came == gone + found["collector_records_spooled", table]


def test_a_scrape_has_everything_that_is_documented_in_both_formats(scraped):
    line, port = scraped
    spooled_and_counted(line, port)
    plain, open_ = ask(port, "/metrics"), ask(port, "/metrics", Accept=OPENMETRICS)
    promtool("check", "metrics", input=plain.text)
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert open_.content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {one.name for one in text_string_to_metric_families(open_.text)}
    assert {one.name.removesuffix("_total") for one in FAMILIES} <= families
    seen = {key[0] for key in figures(plain.text)}
    unseen = exported() - seen
    # A line that is well knows nothing of these: there is no such limit, or there was no such case.
    assert unseen == {
        "collector_send_max_bytes_per_second",
        "collector_station_silent_after_seconds",
        "collector_station_dropped_records_total",
        "collector_stream_ends_total",
    }


def test_the_counters_of_the_spool_outlive_a_restart_and_the_start_is_told(scraped):
    line, port = scraped
    before = spooled_and_counted(line, port)
    line.daemon.kill()
    line.start_daemon()
    after = figures(ask(port, "/metrics").text)
    for family in FLOW:
        if family.kind == "counter":
            kept = {key: value for key, value in before.items() if key[0] == family.name}
            assert kept == {key: after.get(key) for key in kept}
    assert after["collector_start_time_seconds",] > before["collector_start_time_seconds",]
