"""Preflight of this box: software, files, disk, spool; and what `collector doctor` writes."""

import json
import os
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from support.damaged import make, overwrite
from support.line import ROOT, Line
from support.preflight import CANARY, Box, levels
from support.spools import opened, store
from support.terminal import COLLECTOR, ENVIRONMENT, Terminal, run_on_terminal, run_plain

from collector.config import SpoolLimits, load
from collector.doctor import disk, host
from collector.doctor.disk import file_system, judge, room
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Level, error, examine, ok, skipped
from collector.spool.damage.quarantine import quarantine

NOBODY = 65_534


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path / "box")


def the(findings, level):
    """The only finding of a level."""
    (one,) = [finding for finding in findings if finding.level == level]
    return one


# --- checks and what they need


def test_what_needs_a_check_that_failed_is_skipped_and_says_why():
    made = []

    def fine():
        made.append("fine")
        return [ok("fine")]

    checks = [
        Check("first", lambda: [error("broken", "mend it")]),
        Check("second", fine, ("first",)),
        Check("third", fine, ("second",)),
        Check("fourth", fine),
        Check("fifth", lambda: [skipped("no need")]),
        Check("sixth", fine, ("fourth", "fifth")),
    ]
    found = [(report.check.name, report.finding) for report in examine(checks)]
    assert [(name, finding.level.value) for name, finding in found] == [
        ("first", "error"), ("second", "skipped"), ("third", "skipped"), ("fourth", "ok"),
        ("fifth", "skipped"), ("sixth", "skipped"),
    ]  # fmt: skip
    assert "first" in found[1][1].found
    assert made == ["fine"]


def test_this_box_runs_the_sdk():
    python, platform = (report.finding for report in examine(host.checks()))
    assert "3." in python.found
    assert "Zerobus SDK 1." in platform.found
    assert {python.level, platform.level} == {Level.OK}


# --- the configuration


def test_every_mistake_is_an_error_with_file_and_line(box):
    box.change(mqtt={"qoss": 1}, spool={"max_bytes": "lots"})
    found = box.look("spool")
    texts = [finding.found for finding in found["configuration"]]
    assert any(f"{box.file}:5: mqtt.qoss: unknown key" in text for text in texts)
    assert any("spool.max_bytes" in text for text in texts)
    assert found["configuration"][0].fix == "Did you mean qos?"
    assert set(levels(found).values()) == {"error", "skipped"}


def test_a_schema_with_a_mistake_is_an_error_and_the_rest_is_still_looked_at(box):
    schema = box.folder / "tables" / "climate" / "schema.proto"
    schema.write_text(schema.read_text().replace("int32", "int33"))
    found = box.look("spool")
    assert f"{schema}:4" in the(found["tables and stations"], "error").found
    assert levels(found)["spool room"] != "skipped"


def test_a_sample_that_becomes_something_else_is_an_error(box):
    samples = box.folder / "tables" / "climate" / "samples"
    samples.mkdir()
    (samples / "one.yaml").write_text(
        """- topic: sensors/a\n  payload: '{"temp": 1}'\n  expect: [{temp: 2}]\n"""
    )
    found = box.look("configuration")
    assert "one.yaml:" in the(found["tables and stations"], "error").found


def test_warnings_of_the_configuration_are_warnings(box):
    box.change(mqtt={"ca_file": str(box.file)})
    assert "no effect" in the(box.look("configuration")["configuration"], "warning").found


@pytest.mark.parametrize(
    "name", [".env", "client-secret", "stations.yaml", "credentials/client_secret"]
)
def test_a_secret_that_every_user_may_read_is_a_warning(box, name):
    if name == "stations.yaml":
        box.change(mqtt={"username": "me", "password": CANARY})
    file = box.folder / name
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_text(f"SECRET={CANARY}")
    file.chmod(0o644)
    wrong = the(box.look("configuration")["secrets"], "warning")
    assert wrong.lines == (f"chmod o-rwx {file}",)
    file.chmod(0o640)
    assert levels(box.look("configuration"))["secrets"] == "ok"


# --- the disk and the spool


def test_a_folder_that_is_not_there_yet_is_no_fault_and_is_not_made(box):
    found = box.look("spool")
    assert "the first start makes it" in found["spool folder"][0].found
    assert "the first start makes it" in found["spool file"][0].found
    assert not (box.folder / "state").exists()


def test_a_folder_that_can_not_be_written_is_an_error(box):
    box.change(spool={"path": "/sys/spool.db"})
    wrong = the(box.look("spool")["spool folder"], "error")
    assert "can't write to /sys" in wrong.found
    assert wrong.lines[0] == "chown collector: /sys"


@pytest.mark.root
def test_a_folder_that_is_closed_to_this_user_is_an_error():
    if os.geteuid():
        pytest.skip("needs root, to be another user for a moment")
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder), spool={"path": "state/deep/spool.db"})
        (box.folder / "state" / "deep").mkdir(parents=True)
        for one in (box.folder, *box.folder.rglob("*")):
            os.chown(one, NOBODY, NOBODY)
        os.chown(box.folder / "state", 0, 0)
        (box.folder / "state").chmod(0o700)
        facts = Facts(box.file)
        facts.config = load(box.file)
        os.seteuid(NOBODY)
        try:
            found = {one.check.name: one.finding for one in examine(disk.checks(facts))}
        finally:
            os.seteuid(0)
    wrong = found["spool folder"]
    assert wrong.level == "error"
    assert f"can't write to {box.folder / 'state'} (of root, 0700)" in wrong.found
    assert found["spool room"].level == "skipped"


def test_a_file_in_the_place_of_the_folder_is_an_error(box):
    (box.folder / "state").touch()
    assert "is a file" in the(box.look("spool")["spool folder"], "error").found


def test_a_folder_that_others_may_enter_is_a_warning(box):
    (box.folder / "state").mkdir()
    (box.folder / "state").chmod(0o755)
    wrong = the(box.look("spool")["spool folder"], "warning")
    assert "0755" in wrong.found
    assert wrong.lines == (f"chmod 0700 {box.folder / 'state'}",)


@pytest.mark.root
def test_files_that_the_daemons_user_can_not_use_are_an_error(box):
    if os.geteuid():
        pytest.skip("needs root, to give files away")
    folder = box.folder / "state"
    with opened(folder / "spool.db"):
        pass
    assert levels(box.look("spool"))["spool owner"] == "ok"
    os.chown(folder, NOBODY, NOBODY)
    found = box.look("spool")["spool owner"]
    assert [one.level for one in found] == ["error", "error"]
    assert "belongs to root" in found[0].found
    assert found[0].lines == (f"chown -R nobody: {folder}",)
    # Where pytest keeps its folders nobody else may look.
    assert "can't be read by nobody" in found[1].found


@pytest.mark.parametrize(
    ("mode", "uid", "readable"),
    [(0o600, 0, True), (0o600, 12_345, False), (0o604, 12_345, True), (0o640, 12_345, False)],
)
def test_who_may_read_a_file_is_told_by_its_bits(mode, uid, readable):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        file = Path(name) / "stations.yaml"
        file.touch()
        file.chmod(mode)
        assert disk.is_readable_by(file, uid) == readable


def test_the_kind_of_file_system_is_that_of_the_mount_on_top(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 0:5 / /mnt rw shared:1 - nfs4 server:/x rw\n"
        "3 1 0:6 / /mnt/with\\040space rw - tmpfs tmpfs rw\n"
        "4 1 0:7 / /mnt/with\\040space rw - overlay overlay rw\n"
    )
    assert file_system(tmp_path, mounts) == ("ext4", "/")
    assert file_system(Path("/mnt/a"), mounts) == ("nfs4", "/mnt")
    assert file_system(Path("/mnt/with space/a"), mounts) == ("overlay", "/mnt/with space")
    assert file_system(Path("/mntx"), mounts) == ("ext4", "/")


@pytest.fixture
def small_disk(box):
    folder = box.folder / "state"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", str(folder))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    yield folder
    subprocess.run(("umount", str(folder)), check=True)


@pytest.mark.root
def test_a_small_disk_is_named_with_the_size_that_fits(box, small_disk):
    assert small_disk.is_mount()
    found = box.look("spool")
    assert "tmpfs" in the(found["spool disk"], "warning").found
    little = the(found["spool room"], "warning")
    assert "the disk is full before the spool is" in little.found
    assert "spool.max_bytes to 32MiB or less" in little.fix
    box.change(spool={"min_free_bytes": "256MiB"})
    full = the(box.look("spool")["spool room"], "error")
    assert "the spool is full at once" in full.found
    assert "Make room" in full.fix


def test_a_spool_that_fits_is_well(tmp_path):
    path = tmp_path / "spool.db"
    options = SpoolLimits.model_validate({"path": path, "max_bytes": "8MiB", "min_free_bytes": "0"})
    (finding,) = room(options)
    assert finding.level == "ok"


def test_a_disk_that_syncs_slowly_is_told_a_commit_interval():
    assert judge([0.004] * 40, 0.1).level == "ok"
    slow = judge([0.07] * 30, 0.1)
    assert slow.level == "warning"
    assert "70.0 ms" in slow.found
    assert "spool.commit_interval to 300ms" in slow.fix
    assert "to 2s" in judge([0.5], 0.9).fix


def test_the_speed_of_the_disk_is_measured_and_nothing_is_left_there(box):
    (box.folder / "state").mkdir(mode=0o700)
    finding = box.look("spool")["spool speed"][0]
    assert "a sync takes" in finding.found
    assert list((box.folder / "state").iterdir()) == []


def test_what_waits_in_the_spool_is_told_while_the_daemon_writes(box):
    path = box.folder / "state" / "spool.db"
    with opened(path) as spool:
        store(spool, b"a", b"b")
        found = box.look("spool")
    assert "no damage, 2 records wait, 0 dead letters" in found["spool file"][0].found


def test_a_damaged_spool_is_an_error_with_the_way_out(box):
    path = box.folder / "state" / "spool.db"
    path.parent.mkdir(mode=0o700)
    make(path)
    for page in range(2, 12):
        overwrite(path, page, b"\xff" * 4096)
    wrong = the(box.look("spool")["spool file"], "error")
    assert "damaged" in wrong.found
    assert wrong.lines == (f"collector spool repair -c {box.file}",)


def test_another_programs_file_is_an_error(box):
    path = box.folder / "state" / "spool.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"this is no database at all" * 100)
    wrong = the(box.look("spool")["spool file"], "error")
    assert "not a spool" in wrong.found


def test_what_lies_in_quarantine_is_a_warning(box):
    path = box.folder / "state" / "spool.db"
    with opened(path):
        pass
    folder = quarantine(path, "a test")
    kept = the(box.look("spool")["quarantine"], "warning")
    assert kept.lines == (f"rm -r {folder.parent}",)


# --- the command


_TABLES = ("--tables", str(ROOT / "tables"), "--catalog", "main.iot")
THIS_BOX = {"clock", "spool disk", "spool room", "spool speed"}
"""What a small or slow machine, or one without a time service, may be warned about."""


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line")
    one = Line(folder, zerobus={"client_secret_file": "secret"}, emulator=_TABLES)
    (folder / "secret").write_text("emulator")
    (folder / "secret").chmod(0o600)
    with one:
        yield one


def doctor(folder, *words):
    done = run_plain("doctor", "--json", *words, folder=folder)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_all_is_well_beside_a_running_daemon_which_is_not_disturbed(line):
    before = line.status()["broker"]
    code, document = doctor(line.folder)
    wrong = {one["check"] for one in document["checks"] if one["level"] != "ok"}
    assert wrong <= THIS_BOX, document
    assert (code, document["result"]) == ((1, "warnings") if wrong else (0, "ok"))
    (daemon,) = [one for one in document["checks"] if one["check"] == "daemon"]
    assert f"process {line.daemon.process.pid} runs" in daemon["found"]
    after = line.status()["broker"]
    assert after["connected"]
    assert after["connects"] == before["connects"]
    assert line.counters().get(("", "received"), 0) == 0


def test_the_document_has_for_each_finding_what_the_manual_says(line):
    _, document = doctor(line.folder, "--offline")
    assert set(document) == {"result", "checks"}
    keys = ["check", "subject", "level", "found", "fix", "lines"]
    assert all(list(one) == keys for one in document["checks"])
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert [key for key in keys if f"`{key}`" not in manual] == []
    names = {one["check"] for one in document["checks"]}
    assert [name for name in names if f"| {name} |" not in manual] == []


def test_offline_skips_each_check_of_the_cloud_and_says_so(line):
    _, document = doctor(line.folder, "--offline")
    skipped_ones = {one["check"] for one in document["checks"] if one["level"] == "skipped"}
    assert skipped_ones == {
        "proxy", "workspace", "endpoint", "one workspace", "token", "table", "grants", "schema",
        "stream",
    }  # fmt: skip
    assert {one["found"] for one in document["checks"] if one["check"] in skipped_ones} == {
        "--offline"
    }


def test_a_fault_ends_with_4_and_shows_the_lines_that_mend_it(line):
    plan = {"fault": "refuse_open", "status": "PERMISSION_DENIED", "table": "main.iot.station_one"}
    line.zerobus.faults({"faults": [plan]})
    try:
        done = run_plain("doctor", folder=line.folder)
    finally:
        line.zerobus.faults(None)
    assert done.returncode == 4
    shown = re.sub(" +", " ", done.stdout)
    assert "\nerror stream main.iot.station_one: permission denied" in shown
    assert "\n      GRANT MODIFY ON TABLE main.iot.station_one TO `emulator`;\n" in done.stdout
    assert "\nok stream main.iot.station_two: opens" in shown
    assert ", 1 error, 0 skipped" in done.stdout


def test_a_file_that_is_not_there_is_an_error_and_everything_else_is_skipped(tmp_path):
    code, document = doctor(tmp_path)
    counts = Counter(one["level"] for one in document["checks"])
    assert (code, counts["error"]) == (4, 1)
    assert counts["skipped"] > 15


def test_lines_fit_a_terminal_and_have_signs_but_no_colours_where_none_are_wanted(box):
    code, text = run_on_terminal("doctor", "--offline", folder=box.folder)
    lines = text.splitlines()
    assert code == 4
    assert "\x1b" not in text
    assert any(one.startswith("✓ python ") for one in lines)
    assert any(one.startswith("✗ broker connection ") for one in lines)
    assert any(one.startswith("- token ") for one in lines)
    assert max(len(one) for one in lines if not one.startswith("      ")) <= 80


def test_signs_have_colours_on_a_terminal(box):
    with Terminal("doctor", "--offline", folder=box.folder, NO_COLOR="") as terminal:
        terminal.shows("skipped")
        assert terminal.ends() == 4
        assert b"\x1b[31m" in terminal.written


def test_no_secret_is_written(box):
    box.change(mqtt={"username": "me", "password": CANARY})
    environment = {"HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:9"}
    done = subprocess.run(
        [*COLLECTOR, "doctor"], cwd=box.folder, env={**ENVIRONMENT, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stdout
    assert CANARY not in done.stdout + done.stderr
