"""The documents against the program: commands, keys, exit codes, links, and what a reader types."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.broker import Broker
from support.devices import TABLES, Devices
from support.filled import fill, make_box
from support.line import LocalZerobus, Process
from support.terminal import run_plain
from support.waiting import answers, free_port, wait_for

from collector import errors, status
from collector.cli import collector
from collector.config import SpoolLimits, Station, load
from collector.config.listening import Http, Metrics
from collector.config.models import Box, DeadLetters, Mqtt, Zerobus
from collector.emulator import Emulator, EmulatorOptions

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALL_TEXT = "\n".join(path.read_text() for path in DOCUMENTS)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def blocks(text, language):
    """The fenced blocks of a language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


# --- nothing is left out


@pytest.mark.parametrize("name", collector.list_commands(None))
def test_every_command_is_in_the_readme(name):
    assert f"`collector {name}" in README


@pytest.mark.parametrize(
    ("group", "page"),
    [("spool", "operations.md"), ("dead", "operations.md"), ("tables", "tables.md")],
)
def test_every_command_of_a_group_is_explained_with_an_example(group, page):
    text = (ROOT / "docs" / page).read_text()
    commands = collector.get_command(None, group).list_commands(None)
    assert [one for one in commands if f"$ collector {group} {one}" not in text] == []


def test_the_examples_of_the_operations_are_what_the_commands_say(tmp_path):
    """Sizes and ages depend on the day and the library; everything else is compared."""
    fill(make_box(tmp_path))
    assert check_examples("operations.md", tmp_path) > 8


GREENHOUSE = [
    {"name": "site", "type": "string", "nullable": False},
    {"name": "level", "type": "double", "metadata": {"comment": "in metres"}},
    {"name": "measured_at", "type": "timestamp"},
]
ALTERED = [
    {"name": "device_name", "type": "string"},
    {"name": "temp", "type": "smallint"},
    {"name": "humidity", "type": "bigint"},
    {"name": "note", "type": "string"},
    {"name": "site", "type": "string", "nullable": False},
]


def test_the_examples_of_the_tables_are_what_the_commands_say(tmp_path):
    with Emulator(EmulatorOptions(lake=tmp_path / "lake")) as emulator:
        emulator.define_table("main.iot.greenhouse", GREENHOUSE)
        emulator.define_table("main.iot.station_one", ALTERED)
        folder = make_box(tmp_path / "box")
        (folder / ".env").write_text(f"ZEROBUS_WORKSPACE_URL={emulator.workspace_url}\n")
        assert check_examples("tables.md", folder) == 3
    (pulled, *_) = blocks((ROOT / "docs" / "tables.md").read_text(), "proto")
    assert (folder / "tables" / "greenhouse" / "schema.proto").read_text() == pulled


def check_examples(page, folder):
    """Type what a page shows, and compare what it shows; returns the number of its examples."""
    examples = blocks((ROOT / "docs" / page).read_text(), "console")
    for example in examples:
        for part in example.removeprefix("$ ").split("\n$ "):
            typed, _, shown = part.partition("\n")
            done = run_plain(*shlex.split(typed)[1:], folder=folder)
            said = (done.stdout + "\n" + done.stderr).replace(f"{folder}/", "")
            assert loosely(shown) == loosely(said), typed
    return len(examples)


def loosely(text):
    text = re.sub(r"[\d.]+ (B|kB|MB|GB)\b|\b\d+[smhd]\b|[\d.]+%", "N", text)
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines()]
    quiet = "no daemon runs on it, or none was asked: no rates and no states"
    return [line for line in lines if line and line != quiet]


@pytest.mark.parametrize(
    "section", [Box, Mqtt, Zerobus, SpoolLimits, DeadLetters, Metrics, Http, Station]
)
def test_every_key_of_the_configuration_is_explained(section):
    text = (ROOT / "docs" / "configuration.md").read_text()
    missing = [key for key in section.keys() if f"| `{key}` |" not in text]  # noqa: SIM118
    assert missing == []


def test_every_page_can_be_reached_from_the_readme():
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        todo += [target for target, _ in links(page)]
    assert set(DOCUMENTS) <= reached


def links(page):
    """The files that a page links to, each with its anchor."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, (target, anchor)


def test_every_file_that_a_document_or_a_docstring_names_is_there():
    texts = [path.read_text() for path in (ROOT / "collector").rglob("*.py")] + [ALL_TEXT]
    named = {name for text in texts for name in re.findall(r"\b((?:docs|tests)/\w+\.\w+)\b", text)}
    assert len(named) > 5
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_make_target_of_the_readme_is_one():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    typed = re.findall(r"`make ([a-z]+)", README) + re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert {"run", "test", "all"} <= set(typed) <= targets


def test_the_readme_is_short_and_begins_with_what_a_bare_debian_lacks():
    lines = README.splitlines()
    assert len(lines) < 200
    assert all(word in lines[0] for word in ("Debian", "make", "git", "python3-venv"))


# --- what is said is so


def test_the_table_of_exit_codes_is_that_of_the_code():
    text = (ROOT / "docs" / "exit-codes.md").read_text()
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    classes, codes = [errors.CollectorError], {0, 2}
    import collector.catalog  # noqa: F401 - Its errors have exit codes too, and the emulator's.

    while classes:
        one = classes.pop()
        codes.add(one.exit_code)
        classes += one.__subclasses__()
    assert table == codes | set(status.EXIT_CODES.values())
    assert set(re.findall(r"^\| ([a-z ]+) \| (\d) \|", text, re.MULTILINE)) == {
        (word, str(code)) for word, code in status.EXIT_CODES.items()
    }


def test_the_lock_holds_each_dependency_with_its_hash_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([a-z0-9.-]+)==\S+(?: ; .*)? \\\n    --hash=sha256:", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z]", lock, re.MULTILINE))
    assert "://" not in lock
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # The package and the image can be sent records over HTTP.
    given = project["dependencies"] + project["optional-dependencies"]["http"]
    wanted = {re.match(r"[\w-]+", text)[0].lower() for text in given}
    assert wanted <= set(pinned)


def test_the_unit_is_right_and_hardened(tmp_path):
    text = (ROOT / "systemd" / "collector.service").read_text()
    for line in ("Type=notify", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0"):
        assert f"\n{line}\n" in text
    assert "ExecStartPre" not in text.replace("no ExecStartPre", "")
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "collector.service"
    unit.write_text(text.replace("/opt/collector/bin/collector", sys.executable))
    for arguments in (
        ["verify", "--man=no", unit],
        ["security", "--offline=true", "--no-pager", "--threshold=15", unit],
    ):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


def test_mosquitto_takes_the_recommended_file_beside_debians_own(line_folder):
    (ours,) = blocks((ROOT / "docs" / "mosquitto.md").read_text(), "")
    port = free_port()
    assert "listener 1883 127.0.0.1" in ours
    (line_folder / "conf.d").mkdir()
    (line_folder / "conf.d" / "collector.conf").write_text(ours.replace("1883", str(port)))
    file = line_folder / "mosquitto.conf"
    file.write_text(
        f"persistence true\npersistence_location {line_folder}/\nuser root\n"
        f"log_dest file {line_folder}/mosquitto.log\ninclude_dir {line_folder}/conf.d\n"
    )
    broker = Process("mosquitto", line_folder, ["mosquitto", "-c", str(file)]).start()
    try:
        wait_for(lambda: answers(port), "mosquitto to take the file", 10)
    finally:
        broker.stop()


# --- what a reader types


def run(command, folder, environment, expected=0):
    words = shlex.split(command)
    if words[0] == "collector":
        words = [sys.executable, "-m", "collector", *words[1:]]
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def box(line_folder):
    # A collector that runs on this box has the usual port.
    sample = (ROOT / "stations.yaml").read_text()
    text = sample.replace("  # listen: 127.0.0.1:9464", "  listen: off")
    assert text != sample
    (line_folder / "stations.yaml").write_text(text)
    shutil.copy(ROOT / ".env.example", line_folder / ".env")
    shutil.copytree(ROOT / "tables", line_folder / "tables")
    return line_folder


def test_the_lines_of_the_readme_do_what_it_says(box):
    section = README.partition("## Try it with")[2].partition("\n## ")[0]
    lines = [line for block in blocks(section, "sh") for line in block.splitlines()]
    assert {"collector emulate", "collector run"} <= set(lines)
    broker, zerobus = Broker(box), LocalZerobus(box)
    environment = {
        **ENVIRONMENT,
        "MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
        "ZEROBUS_ENDPOINT": f"http://127.0.0.1:{zerobus.grpc}",
        "ZEROBUS_WORKSPACE_URL": f"http://127.0.0.1:{zerobus.http}",
        "no_proxy": "127.0.0.1",
    }
    arguments = [sys.executable, "-m", "collector", "run", "-c", str(box / "stations.yaml")]
    daemon = Process("daemon", box, arguments, environment)
    broker.start()
    try:
        zerobus.start()
        daemon.start()
        wait_for(lambda: _is_healthy(box, environment), "the daemon")
        for line in lines:
            if line not in ("collector emulate", "collector run"):
                port = f"mosquitto_pub -h 127.0.0.1 -p {broker.port} "
                run(line.replace("mosquitto_pub ", port), box, environment)
        wait_for(lambda: len(zerobus.rows()) == 2, "two rows")
        wait_for(lambda: _figures(box, environment)["dead_lettered"] == 1, "a dead letter")
        assert [row["description"] for row in zerobus.rows("main.iot.station_two")] == [
            "Main entrance"
        ]
    finally:
        for part in (daemon, zerobus, broker):
            part.stop()


def _is_healthy(box, environment):
    words = [sys.executable, "-m", "collector", "status"]
    done = subprocess.run(words, cwd=box, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def _figures(box, environment):
    return json.loads(run("collector spool stats --json", box, environment))["balances"]["messages"]


def test_a_table_is_added_as_the_readme_says(box):
    section = README.partition("## Add a table")[2].partition("\n## ")[0]
    (schema,), (station,) = blocks(section, "proto"), blocks(section, "yaml")
    (box / "tables" / "greenhouse").mkdir()
    (box / "tables" / "greenhouse" / "schema.proto").write_text(schema)
    with (box / "stations.yaml").open("a") as file:
        file.write(station.removeprefix("stations:\n"))
    assert "greenhouse/{site}/level" in run("collector check", box, ENVIRONMENT)
    (line,) = re.findall(r"`(collector route [^`]+)`", section)
    assert '{"site": "north", "level": 1.5, "measured_at": null}' in run(line, box, ENVIRONMENT)


def test_the_columns_that_remove_duplicates_are_a_valid_station(box):
    (columns,) = blocks((ROOT / "docs" / "delivery.md").read_text(), "yaml")
    config = (box / "stations.yaml").read_text().partition("stations:\n")[0] + columns
    (box / "stations.yaml").write_text(config)
    schema = box / "tables" / "station_one" / "schema.proto"
    schema.write_text(
        schema.read_text().replace(
            "}\n", "  optional string gateway = 4;\n  optional int64 seq = 5;\n}\n"
        )
    )
    row = run("""collector route sensors/station_one/a '{"temp": 1}'""", box, ENVIRONMENT)
    assert '"seq": 1' in row
    assert load(box / "stations.yaml").gateway in row


def test_no_key_of_the_sample_is_missing_from_the_documents():
    sample = (ROOT / "stations.yaml").read_text()
    keys = re.findall(r"^\s*#? ?-?\s*([a-z][a-z_]+):", sample, re.MULTILINE)
    assert [key for key in set(keys) if key not in ALL_TEXT] == []


def test_a_station_in_sixty_seconds_is_made_by_the_lines_of_the_readme(box):
    section = README.partition("## A station in sixty")[2].partition("\n## ")[0]
    (block,) = blocks(section, "sh")
    discover, check, tail, daemon_line = block.splitlines()
    assert daemon_line == "collector run -c discovered/stations.yaml"
    broker, zerobus = Broker(box), LocalZerobus(box)
    environment = {
        **ENVIRONMENT,
        "MQTT_URL": f"mqtt://127.0.0.1:{broker.port}",
        "ZEROBUS_ENDPOINT": f"http://127.0.0.1:{zerobus.grpc}",
        "ZEROBUS_WORKSPACE_URL": f"http://127.0.0.1:{zerobus.http}",
        "no_proxy": "127.0.0.1",
    }
    config = box / "discovered" / "stations.yaml"
    arguments = [sys.executable, "-m", "collector", "run", "-c", str(config)]
    daemon = Process("daemon", box, arguments, environment)
    broker.start()
    try:
        zerobus.start()
        with Devices(broker.port):
            assert "orchard_weather_obs" in run(discover.replace("30s", "3s"), box, environment)
            run(check, box, environment)
            assert len(run(tail, box, environment).splitlines()) == 5
            daemon.start()
            wait_for(
                lambda: all(zerobus.rows(f"main.iot.{name}") for name in TABLES), "rows of all"
            )
    finally:
        for part in (daemon, zerobus, broker):
            part.stop()


def test_what_discover_says_of_its_limits_is_so():
    from collector.discover import limits

    text = (ROOT / "docs" / "discover.md").read_text()
    for number in (limits.TOPICS_MAX, limits.MESSAGES_MAX, limits.PER_TOPIC_MAX):
        assert f"{number:,}" in text
    assert f"of at least {limits.NOT_NULL_FROM}" in text
    assert f"| stations | {limits.STATIONS_MAX} |" in text
    assert f"| columns of a station | {limits.COLUMNS_MAX} |" in text
    assert f"| depth of objects that are flattened | {limits.DEPTH_MAX} |" in text
