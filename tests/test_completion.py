"""Shell completion: in a real bash with its tab key, and by what the shells ask for."""

import os
import shutil
import subprocess
import sys

import pytest
from support.filled import ONE, TWO, fill, make_box
from support.terminal import ENVIRONMENT, Terminal, run_plain

from collector.model import KINDS

KNOWN = [ONE, TWO]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = make_box(tmp_path_factory.mktemp("box"))
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """One in which a shell finds `collector`."""
    programs = tmp_path_factory.mktemp("bin")
    program = programs / "collector"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m collector "$@"\n')
    program.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{programs}:{os.environ['PATH']}"}


def completed(line, folder, environment):
    """What a bash, which has read the script, offers at the end of a line."""
    words = line.split(" ")
    code = 'eval "$(collector completion bash)"; COMP_CWORD=$(($# - 1)); COMP_WORDS=("$@")\n'
    code += '_collector_completion collector; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", code, "bash", *words], cwd=folder, env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("collector sp", ["spool"]),
        ("collector spool p", ["purge"]),
        ("collector dead ", ["bury", "export", "list", "purge", "replay", "show"]),
        ("collector completion ", ["bash", "fish", "zsh"]),
        ("collector status --wa", ["--watch"]),
        ("collector spool export ", KNOWN),
        ("collector spool list main.iot.station_t", [TWO]),
        ("collector spool purge ", KNOWN),
        ("collector spool list --station ", ["station_one", "station_two"]),
        ("collector dead list --table main", KNOWN),
        ("collector dead list --reason un", ["undecodable", "unknown_alias"]),
        ("collector dead purge --reason ", sorted(KINDS)),
        ("collector dead replay --as station_o", ["station_one"]),
        ("collector dead list --by ki", ["kind"]),
        ("collector tail station_", ["station_one", "station_two"]),
        ("collector tables ", ["ddl", "diff", "pull"]),
        ("collector tables ddl ", [*KNOWN, "station_one", "station_two"]),
        ("collector tables diff station_t", ["station_two"]),
        ("collector tables pull main", KNOWN),
    ],
)
def test_bash_completes_commands_options_and_the_names_of_the_box(box, environment, line, words):
    assert sorted(completed(line, box, environment)) == sorted(words)


def test_the_tab_key_of_a_bash_completes_a_table(box, environment):
    with Terminal(
        "--norc", "-i", program=("bash",), folder=box, columns=120, PATH=environment["PATH"]
    ) as terminal:
        terminal.type(b'PS1="> "; eval "$(collector completion bash)"; echo rea""dy\n')
        terminal.shows("ready")
        terminal.type(b"collector spool purge main.iot.station_t\t")
        terminal.shows("> collector spool purge main.iot.station_two")


def test_names_come_from_the_configuration_while_there_is_no_spool(tmp_path, environment):
    folder = make_box(tmp_path)
    config = folder / "stations.yaml"
    text = config.read_text().replace("main.iot.station_two", "${CATALOG:-other}.iot.two")
    config.write_text(text)
    assert completed("collector spool list ", folder, environment) == [ONE, "other.iot.two"]


def test_a_spool_knows_tables_that_no_configuration_names(box, tmp_path, environment):
    copy = tmp_path / "copy.db"
    assert run_plain("spool", "backup", copy, folder=box).returncode == 0
    line = f"collector spool list --file {copy} "
    assert completed(line, tmp_path, environment) == KNOWN
    config = (box / "stations.yaml").read_text().replace("main.iot.station_two", "main.iot.two")
    (tmp_path / "other.yaml").write_text(config.replace("spool:\n", f"spool:\n  path: {copy}\n", 1))
    line = "collector spool purge --config other.yaml "
    assert completed(line, tmp_path, environment) == [ONE, TWO, "main.iot.two"]


@pytest.mark.parametrize(
    "text", [None, "", "[", "stations: 5", "stations: {a: 7}\nspool: {path: ~no/a}"]
)
def test_what_can_not_be_read_completes_nothing_and_says_nothing(tmp_path, environment, text):
    if text is not None:
        (tmp_path / "stations.yaml").write_text(text)
    (tmp_path / "no.db").write_bytes(b"no spool" * 1_000)
    assert completed("collector spool list ", tmp_path, environment) == []
    assert completed("collector spool list --file no.db ", tmp_path, environment) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_one(box, tmp_path, shell):
    done = run_plain("completion", shell, folder=box)
    assert done.returncode == 0
    assert "_COLLECTOR_COMPLETE" in done.stdout
    (tmp_path / "script").write_text(done.stdout)
    if shutil.which(shell):
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def test_a_press_of_the_tab_key_imports_nothing_heavy(box):
    code = "import sys, collector.cli as c\ntry: c.main()\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    asked = {"COMP_WORDS": "collector spool list ", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=box, capture_output=True, text=True, check=True,
        env={**ENVIRONMENT, **asked, "_COLLECTOR_COMPLETE": "bash_complete"},
    )  # fmt: skip
    assert ONE in done.stdout
    modules = set(done.stderr.split())
    heavy = {"pydantic", "grpc", "grpc_tools", "paho", "zerobus", "sqlite_utils", "rich"}
    assert not modules & heavy
