"""The .deb, on Debian 12 machines of its own: what it does on a box.

The machines boot systemd over a system made by debootstrap. Zerobus is the emulator, started from
here on the network of the machine, since the package brings none.
"""

import os
import re
import shutil
import subprocess

import pytest
from support.debian import PATH, Machine
from support.line import ROOT
from support.waiting import wait_for

SHIPPED = "/usr/share/doc/zerobus-collector/tables"
STATIONS = """\
mqtt:
  url: mqtt://127.0.0.1:1
zerobus:
  endpoint: http://127.0.0.1:15051
  workspace_url: http://127.0.0.1:15052
  client_id: emulator
  client_secret: emulator
runtime_dir: /run/collector
spool:
  path: /var/lib/collector/spool.db
stations:
  station_one:
    topic: sensors/station_one/+
    table: main.iot.station_one
"""
INSTANCE = re.sub(r"  client_secret:.*\n|runtime_dir:.*\n|spool:\n.*\n", "", STATIONS)
CANARY = "canary-5ecret"
NAMED = STATIONS.replace("client_id: emulator", "client_id: ${CLIENT}")
BROKEN = STATIONS.replace("topic:", "topik:")
SPOOL_ONE_RECORD = f"""
from pathlib import Path
from collector.model import NewBatch
from collector.spool import Group, Limits, Spool
from collector.tables import load_schema
spool = Spool(Path("/var/lib/collector/spool.db"), Limits())
schema = load_schema(Path("{SHIPPED}/station_one"))
spool.add_schema(schema.fingerprint, schema.stored)
seq = spool.reserve(1)
record = schema.message(device_name="d", temp=1).SerializeToString()
seqs = range(seq, seq + 1)
batch = NewBatch("main.iot.station_one", "station_one", schema.fingerprint, seqs, 1, [record])
spool.append(Group([batch]))
spool.close()
"""


def install(machine, package):
    """Install from a file, as a person does; what it lacks is fetched."""
    (machine.root / "tmp" / "package.deb").write_bytes(package.read_bytes())
    return machine.run(
        "apt-get install /tmp/package.deb", outside=True, DEBIAN_FRONTEND="noninteractive"
    )


@pytest.fixture(scope="module")
def installed(debian, package, tmp_path_factory):
    """The layers of a machine on which the package was installed, with all that it needs."""
    with Machine(tmp_path_factory.mktemp("installed"), debian) as machine:
        machine.run("apt-get update", outside=True)
        said = install(machine, package).stderr
        assert "not started, because there is no /etc/collector/stations.yaml yet" in said
        assert "systemctl enable --now collector" in said
        assert machine.run("systemctl is-active collector", expected=3).stdout == "inactive\n"
        return machine.layers


@pytest.fixture
def machine(installed, tmp_path):
    with Machine(tmp_path / "machine", *installed) as machine:
        yield machine


def purge(machine):
    return machine.run("apt-get purge zerobus-collector", DEBIAN_FRONTEND="noninteractive").stderr


def configure(machine, stations=STATIONS, instance=""):
    folder = machine.root / "etc" / "collector" / instance
    folder.mkdir(exist_ok=True)
    (folder / "stations.yaml").write_text(stations)
    if not (folder / "tables").exists():
        shutil.copytree(ROOT / "tables", folder / "tables")


def spool_a_record(machine):
    python = "runuser -u collector -- /opt/collector/bin/python3 -I -"
    machine.run(python, typed=SPOOL_ONE_RECORD)


def waiting(machine):
    """How many records wait, as another program would count them."""
    count = """
import sqlite3
spool = sqlite3.connect("/var/lib/collector/spool.db")
print(spool.execute("SELECT sum(records) FROM batches").fetchone()[0])
"""
    return int(machine.run("python3.11 -I -", typed=count).stdout)


def drop_in(machine, text):
    """Change the plain unit, as `systemctl edit` does."""
    folder = machine.root / "etc" / "systemd" / "system" / "collector.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "own.conf").write_text(f"[Service]\n{text}\n")
    machine.run("systemctl daemon-reload")


def main_pid(machine, unit="collector"):
    return int(machine.run(f"systemctl show --property=MainPID --value {unit}").stdout)


def is_active(machine, unit="collector"):
    return machine.run(f"systemctl is-active {unit}", expected=None).stdout == "active\n"


def test_what_is_installed_works_and_belongs_to_whom_it_should(machine):
    assert machine.run("collector --version").stdout.startswith("collector, version ")
    modes = machine.run("stat --format '%a %U:%G' /etc/collector /var/lib/collector").stdout
    assert modes.splitlines() == ["755 root:root", "700 collector:collector"]
    user = machine.run("getent passwd collector").stdout.strip().split(":")
    assert user[-2:] == ["/var/lib/collector", "/usr/sbin/nologin"]
    assert int(user[2]) < 1_000
    done = machine.run("collector emulate", expected=1)
    assert "the emulator is not installed" in done.stderr
    machine.run("dpkg --verify zerobus-collector")
    machine.run("bash -c '. /usr/share/bash-completion/completions/collector'")


def test_a_box_that_was_configured_before_starts_with_the_installation(machine, package):
    """Also when the unit alone has what the configuration takes from the environment."""
    purge(machine)
    configure(machine, NAMED)
    drop_in(machine, f"Environment=CLIENT={CANARY}")
    install(machine, package)
    assert is_active(machine)
    assert machine.run("systemctl is-enabled collector").stdout == "enabled\n"


@pytest.mark.parametrize(
    ("stations", "mode", "mistake"),
    [
        (BROKEN, 0o644, "/etc/collector/stations.yaml:13: stations.station_one.topik: unknown key"),
        (STATIONS, 0o600, "/etc/collector/stations.yaml:1: can't be read: Permission denied"),
    ],
)
def test_a_box_whose_configuration_is_broken_is_installed_and_not_started(
    machine, package, stations, mode, mistake
):
    purge(machine)
    configure(machine, stations)
    (machine.root / "etc" / "collector" / "stations.yaml").chmod(mode)
    said = install(machine, package).stderr
    assert mistake in said
    assert "collector.service is not started, because of the mistakes above" in said
    assert not is_active(machine)
    configure(machine)
    (machine.root / "etc" / "collector" / "stations.yaml").chmod(0o644)
    machine.run("systemctl start collector")
    assert machine.run("systemctl is-enabled collector").stdout == "enabled\n"


def test_an_upgrade_keeps_the_spool_and_starts_what_was_running(machine, newer):
    """The instance has the secret from its credential, as the check during the upgrade must."""
    configure(machine)
    configure(machine, INSTANCE, "line1")
    secret = "/etc/collector/line1/credentials/client_secret"
    machine.run(f"install -D -m 600 /dev/stdin {secret}", typed="emulator\n")
    samples = machine.root / "etc" / "collector" / "tables" / "station_one" / "samples"
    samples.mkdir()
    (samples / "wrong.yaml").write_text("5")  # No start asks it.
    spool_a_record(machine)
    machine.run("systemctl start collector collector@line1")
    units = ("collector", "collector@line1")
    before = {unit: main_pid(machine, unit) for unit in units}
    install(machine, newer)
    assert "Version: 99.0.0" in machine.run("dpkg --status zerobus-collector").stdout
    for unit in units:
        assert is_active(machine, unit)
        assert main_pid(machine, unit) not in (0, before[unit])
    assert waiting(machine) == 1


def test_an_upgrade_starts_nothing_that_a_person_has_stopped(machine, newer):
    configure(machine)
    machine.run("systemctl enable --now collector; systemctl stop collector")
    install(machine, newer)
    assert not is_active(machine)
    assert machine.run("systemctl is-enabled collector").stdout == "enabled\n"


def test_no_word_of_a_command_holds_what_the_environment_of_a_daemon_does(machine, tmp_path):
    """As an upgrade does it, with each program that it starts written down."""
    if shutil.which("strace") is None:
        message = "strace is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    configure(machine, NAMED)
    drop_in(machine, f"Environment=CLIENT={CANARY}")
    machine.run("systemctl start collector")
    before, started = main_pid(machine), tmp_path / "started"
    script = "exec /var/lib/dpkg/info/zerobus-collector.postinst configure 0.1.0"
    words = machine.beside("--mount", "--pid", "--root", "bash", "-c", script)
    trace = ["strace", "--follow-forks", "--trace=execve", "--string-limit=9999"]
    done = subprocess.run(
        [*trace, f"--output={started}", *words],
        capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"},
    )  # fmt: skip
    assert (done.returncode, is_active(machine)) == (0, True), done.stderr
    assert main_pid(machine) != before
    said = started.read_text()
    assert '"check", "--no-samples"' in said
    assert CANARY not in said


def test_an_upgrade_that_does_not_take_the_configuration_leaves_the_old_program_running(
    machine, newer
):
    configure(machine)
    machine.run("systemctl start collector")
    before = main_pid(machine)
    configure(machine, BROKEN)
    said = install(machine, newer).stderr
    assert "topik: unknown key" in said
    assert "collector.service goes on with the version before this one" in said
    assert is_active(machine)
    assert main_pid(machine) == before


def test_a_reload_works_with_what_the_package_brings_along(machine):
    configure(machine)
    machine.run("systemctl start collector; systemctl reload collector")
    reloaded = lambda: '"reloads": 1' in machine.run(  # noqa: E731
        "runuser -u collector -- collector status --json -c /etc/collector/stations.yaml",
        expected=None,
    ).stdout  # fmt: skip
    wait_for(reloaded, "the reload", 60, 0.5)


def test_after_a_removal_the_next_installation_goes_on_where_it_was(machine, package):
    configure(machine)
    spool_a_record(machine)
    machine.run("systemctl enable --now collector")
    machine.run("apt-get remove zerobus-collector")
    assert not is_active(machine)
    assert waiting(machine) == 1
    assert not (machine.root / "opt" / "collector").exists()
    install(machine, package)
    assert is_active(machine)
    assert waiting(machine) == 1


def test_a_purge_that_nobody_answers_keeps_what_was_not_delivered_and_says_so(machine):
    configure(machine)
    spool_a_record(machine)
    said = purge(machine)
    assert "kept, because Databricks does not have it (records: 1, dead letters: 0)" in said
    assert "/etc/collector stays" in said
    assert waiting(machine) == 1


def test_a_purge_takes_what_was_not_delivered_after_a_yes(machine):
    spool_a_record(machine)
    machine.run(
        "debconf-set-selections",
        typed="zerobus-collector zerobus-collector/purge-spool boolean true",
    )
    assert "kept" not in purge(machine)
    assert not (machine.root / "var" / "lib" / "collector").exists()
    assert not (machine.root / "etc" / "collector").exists()
    assert (
        "zerobus-collector/purge-spool" not in machine.run("debconf-show zerobus-collector").stdout
    )


def test_a_purge_takes_an_empty_spool_and_asks_nothing(machine):
    configure(machine)
    machine.run("systemctl start collector; systemctl stop collector")
    assert (machine.root / "var" / "lib" / "collector" / "spool.db").exists()
    assert "/var/lib/collector" not in purge(machine)
    assert not (machine.root / "var" / "lib" / "collector").exists()


def test_a_purge_keeps_what_an_instance_has_and_what_cannot_be_read(machine):
    """An instance has a folder of its own; what belongs to another user is none."""
    machine.run(
        "install -d -o collector /var/lib/collector-line1; install -d /var/lib/collector-s"
        "; echo rubbish > /var/lib/collector-line1/spool.db"
    )
    said = purge(machine)
    assert "(a spool that can't be read): /var/lib/collector /var/lib/collector-line1. " in said
    assert (machine.root / "var" / "lib" / "collector-line1" / "spool.db").exists()


def test_it_installs_where_no_systemd_runs(installed, package, tmp_path):
    """As in a chroot in which an image for many boxes is made."""
    with Machine(tmp_path / "image", *installed, init="sleep 600") as machine:
        purge(machine)
        configure(machine)
        (machine.root / "etc" / "systemd" / "system" / "collector@.service").touch()
        said = install(machine, package).stderr
        assert "/etc/systemd/system/collector@.service hides the unit of the package" in said
        assert "/etc/systemd/system/collector.service" not in said.replace(".wants/", "")
        assert machine.run("systemctl is-enabled collector").stdout == "enabled\n"
        machine.run("apt-get remove zerobus-collector")
