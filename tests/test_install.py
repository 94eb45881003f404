"""docs/install.md, followed step by step on a Debian 12 of its own, from nothing to a row.

What a person would replace is replaced: the addresses of the workspace are those of the emulator,
which runs from here on the network of the machine.
"""

import re
import shutil
import time

import pytest
from support.debian import Machine
from support.line import ROOT, LocalZerobus, Process
from support.waiting import wait_for
from test_docs import blocks

PAGE = (ROOT / "docs" / "install.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
STATIONS = "/etc/collector/stations.yaml"
OPERATED = (
    "spool stats",
    "spool list",
    "spool list --since 2h -n 1 --json",
    "dead list --by kind --by station",
    "dead show 1",
    "dead export -o letters.ndjson",
    "dead purge --all --dry-run",
    "spool compact",
    "spool backup copy.db",
    "spool verify",
    "spool repair --dry-run copy.db",
    "tables ddl greenhouse",
)


def section(title):
    """The text of a section, up to the next title."""
    return PAGE.partition(f"# {title}\n")[2].partition("\n#")[0]


def commands(title):
    text = "".join(blocks(section(title), "console"))
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


def follow(machine, line, typed=""):
    """Type a line of the page, and what it asks for; packages come from outside."""
    if "collector status" in line:
        # Right after its start it is still connecting: a person looks again.
        wait_for(lambda: machine.run(line, expected=None).returncode == 0, line, 60, 0.5)
        return
    outside = "apt-get" in line
    machine.run(line, typed=typed, outside=outside, DEBIAN_FRONTEND="noninteractive")


def write(machine, path, text):
    file = machine.root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def zerobus(tmp_path):
    """The emulator; it is started on the network of a machine."""
    return LocalZerobus(tmp_path)


def start_beside(machine, zerobus):
    words = machine.beside(*zerobus._arguments)
    process = Process("beside", zerobus.log.parent, words).start()
    wait_for(lambda: "ready: " in process.tail(), "the emulator", 60)
    return process


def test_the_page_leads_from_a_bare_debian_to_a_row_and_away_again(
    debian, package, newer, zerobus, tmp_path
):
    with Machine(tmp_path / "box", debian) as machine:
        emulator = start_beside(machine, zerobus)
        try:
            machine.run("apt-get update", outside=True)
            shutil.copy(package, machine.root / "root")
            began = time.monotonic()
            install_and_start(machine, zerobus)
            wait_for(lambda: zerobus.rows() == [{"site": "north", "level": 1.5}], "the row")
            print(f"from the first command to the first row: {time.monotonic() - began:.1f} s")
            operate(machine, zerobus)
            upgrade(machine, newer)
            machine.run("""mosquitto_pub -q 1 -t greenhouse/south/level -m '{"level": 2.5}'""")
            wait_for(lambda: len(zerobus.rows()) == 3, "a row after the upgrade")
            wait_for(lambda: "· 0 spooled" in status(machine), "the spool to be empty")
            remove(machine)
        finally:
            emulator.stop()


def install_and_start(machine, zerobus):
    """Step by step, with the files that the page shows between its commands."""
    title = "The package, in ten minutes"
    (stations,), (schema,) = blocks(section(title), "yaml"), blocks(section(title), "proto")
    stations = re.sub(r"endpoint: \S+", f"endpoint: http://127.0.0.1:{zerobus.grpc}", stations)
    stations = re.sub(r"_url: \S+", f"_url: http://127.0.0.1:{zerobus.http}", stations)
    for line in commands(title):
        if "collector check" in line:
            write(machine, STATIONS, stations)
            write(machine, "/etc/collector/tables/greenhouse/schema.proto", schema)
        follow(machine, line, typed="a-secret\n")


def operate(machine, zerobus):
    """What docs/operations.md has an operator do on an installed box, as whom it says."""
    secrets = blocks(OPERATIONS.partition("### Secrets")[2], "sh")[0]
    for line in re.findall(r"^sudo .*", secrets, re.MULTILINE):
        if "mqtt.username" not in line:  # The broker of the page wants no login.
            machine.run(line, typed="a-secret\n")
    machine.run("""mosquitto_pub -q 1 -t greenhouse/north/level -m '{"level": "high"}'""")
    by_hand = "sudo -u collector collector"
    wait_for(lambda: "bad_value" in machine.run(f"{by_hand} dead list -c {STATIONS}").stdout, "it")
    # A clock that nobody keeps in step is a warning.
    assert machine.run(f"sudo collector doctor -c {STATIONS}", expected=None).returncode in (0, 1)
    for words in OPERATED:
        machine.run(f"cd /tmp && {by_hand} {words} -c {STATIONS}")
    # It would fail again: that is 1.
    machine.run(f"{by_hand} dead replay --all --dry-run -c {STATIONS}", expected=1)
    machine.run(f"{by_hand} dead purge --all --yes -c {STATIONS}")
    machine.run("""mosquitto_pub -q 1 -t greenhouse/east/level -m '{"level": 3.5}'""")
    machine.run("systemctl reload collector")
    shown = "journalctl -u collector"
    wait_for(lambda: "reloaded: 1 stations" in machine.run(shown).stdout, "the reload")
    assert "bad_value" not in machine.run(f"{shown} -p warning", expected=None).stdout
    machine.run("systemctl stop collector")
    # As root: what it leaves beside the spool, the daemon must be able to use.
    machine.run(f"sudo collector drain -c {STATIONS} && sudo collector spool repair -c {STATIONS}")
    machine.run("systemctl start collector && systemctl is-active collector")
    wait_for(lambda: len(zerobus.rows()) == 2, "the row of before the reload")


def status(machine):
    return machine.run(f"sudo -u collector collector status -c {STATIONS}", expected=None).stdout


def upgrade(machine, newer):
    for old in (machine.root / "root").glob("*.deb"):
        old.unlink()
    shutil.copy(newer, machine.root / "root")
    for line in commands("Upgrade"):
        follow(machine, line)
    shown = machine.run("dpkg-query --show --showformat '${Version}' zerobus-collector").stdout
    assert shown == "99.0.0"
    assert machine.run("systemctl is-active collector").stdout == "active\n"


def remove(machine):
    for line in commands("Remove"):
        follow(machine, line)
    for gone in ("/opt/collector", "/var/lib/collector", "/usr/bin/collector"):
        machine.run(f"test -e {gone}", expected=1)
    machine.run(f"test -e {STATIONS}")


def test_every_way_to_install_that_the_page_names_is_there():
    for file in ("deploy/compose/compose.yaml", "deploy/kubernetes/collector.yaml"):
        assert file in PAGE
        assert (ROOT / file).exists()
    targets = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", PAGE):
        assert f"\n{target}:" in targets
