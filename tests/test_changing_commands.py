"""Purge, compact and drain, on a stopped spool and by the daemon; and the socket between."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.damaged import PAGE, kinds_of_pages, overwrite
from support.filled import ONE, TWO, fill, make_box, store
from support.line import ROOT, Line, LocalZerobus, reading
from support.spools import opened
from support.terminal import ENVIRONMENT, run_on_terminal, run_plain
from support.waiting import wait_for

from collector.spool import Limits, Spool, SpoolReader
from collector.spool.lock import SpoolLock


@pytest.fixture
def box(tmp_path):
    fill(make_box(tmp_path))
    return tmp_path


def counters(box):
    with closing(SpoolReader(box / "state" / "spool.db")) as reader:
        return reader.counters()


def is_whole(box):
    return run_plain("spool", "verify", folder=box).returncode == 0


# -- purge -------------------------------------------------------------------------------------


def test_records_are_purged_when_it_was_said_which_and_confirmed(box):
    assert run_plain("spool", "purge", ONE, folder=box).returncode == 2
    unsaid = run_plain("spool", "purge", ONE, "--all", folder=box)
    assert unsaid.returncode == 2
    assert "--yes" in unsaid.stderr
    rehearsed = run_plain("spool", "purge", ONE, "--all", "--dry-run", folder=box)
    assert rehearsed.stdout == f"6 records of {ONE} would be purged\n"
    assert counters(box)[f"table:{ONE}", "spooled"] == 6
    done = run_plain("spool", "purge", ONE, "--all", "--yes", folder=box)
    assert done.stdout == f"6 records of {ONE} were purged\n"
    assert counters(box)[f"table:{ONE}", "purged"] == 6
    assert counters(box)[f"table:{TWO}", "spooled"] == 6
    assert is_whole(box)


def test_filters_narrow_what_is_purged(box):
    done = run_plain(
        "spool", "purge", ONE, "--until", "2026-11-22T12:01:00Z", "--yes", folder=box
    )  # fmt: skip
    assert done.stdout.startswith("3 records")
    assert counters(box)[f"table:{ONE}", "spooled"] == 3


@pytest.mark.parametrize(("typed", "code", "left"), [("5", 0, 0), ("4", 1, 5), ("yes", 1, 5)])
def test_on_a_terminal_the_number_has_to_be_typed(box, typed, code, left):
    ended, text = run_on_terminal("dead", "purge", "--all", folder=box, typed=typed)
    assert (ended, counters(box)["", "dead"]) == (code, left), text
    assert "5 dead letters would go for good" in text


def test_dead_letters_are_purged_by_id_and_their_payloads_with_them(box):
    done = run_plain("dead", "purge", "1", "3", "--yes", folder=box)
    assert done.stdout == "2 dead letters were purged\n"
    assert (counters(box)["", "dead"], counters(box)["", "dead_purged"]) == (3, 2)
    assert is_whole(box)


def test_the_daemon_purges_what_is_not_in_flight_and_logs_who_asked(line_folder):
    with Line(line_folder, zerobus={"window_max_bytes": "256KiB"}) as line:
        line.zerobus.faults({"faults": [{"fault": "silence"}]})
        publisher = line.publisher()
        publisher.publish([reading(n, device="d" + "x" * 500) for n in range(3_000)])
        wait_for(lambda: line.spooled() == 3_000, "the records")
        table = ("spool", "purge", ONE, "--all", "--yes")
        wait_for(lambda: in_flight(line), "a window in flight")
        done = run_plain(*table, folder=line_folder)
        assert done.returncode == 0, done.stderr
        assert "were in flight, and stay" in done.stderr
        left = line.spooled()
        assert 0 < left < 3_000
        line.zerobus.faults(None)
        line.zerobus.stop(signal.SIGKILL)
        line.zerobus.start()
        line.wait_drained(90)
        line.check_balances()
        assert len(set(line.zerobus.ids())) == left
        assert "asks: purge records" in line.daemon.tail()


def in_flight(line):
    return line.status()["tables"][ONE].get("in_flight_bytes", 0)


# -- compact -----------------------------------------------------------------------------------


def test_compact_gives_the_room_of_what_is_gone_back_to_the_disk(box):
    with closing(Spool(box / "state" / "spool.db", Limits())) as spool:
        for _ in range(50):
            store(box, spool, "station_one", 2_000, 1, device="d" * 50)
    size = (box / "state" / "spool.db").stat().st_size
    run_plain("spool", "purge", ONE, "--all", "--yes", folder=box)
    done = run_plain("spool", "compact", folder=box)
    assert done.returncode == 0, done.stderr
    assert (box / "state" / "spool.db").stat().st_size < size / 5
    assert is_whole(box)


# -- drain -------------------------------------------------------------------------------------


@pytest.fixture
def zerobus(tmp_path, box):
    emulator = LocalZerobus(tmp_path).start()
    with (box / ".env").open("a") as file:
        file.write(f"ZEROBUS_ENDPOINT=http://127.0.0.1:{emulator.grpc}\n")
        file.write(f"ZEROBUS_WORKSPACE_URL=http://127.0.0.1:{emulator.http}\n")
    yield emulator
    emulator.stop()


def test_drain_sends_everything_and_ends(box, zerobus):
    done = run_plain("drain", "--json", folder=box)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"delivered": 12, "left": 0, "stuck": {}}
    assert len(zerobus.rows()) == 12
    assert is_whole(box)
    assert run_plain("drain", folder=box).stdout == "0 records were delivered, 0 are left\n"


def test_a_spool_that_was_carried_here_is_drained_by_the_schemas_that_it_holds(
    box, zerobus, tmp_path_factory
):
    carried = tmp_path_factory.mktemp("card") / "spool.db"
    assert run_plain("spool", "backup", carried, folder=box).returncode == 0
    config = (box / "stations.yaml").read_text()
    (box / "stations.yaml").write_text(config.partition("\n  station_two:")[0] + "\n")
    done = run_plain("drain", "--file", carried, folder=box)
    assert done.stdout.startswith("12 records were delivered, 0 are left")
    assert len(zerobus.rows(TWO)) == 6
    assert counters(box)[f"table:{ONE}", "spooled"] == 6


def test_of_a_damaged_file_that_was_carried_here_all_that_is_intact_is_sent(box, zerobus):
    carried = box / "card" / "spool.db"
    carried.parent.mkdir()
    assert run_plain("spool", "backup", carried, folder=box).returncode == 0
    overwrite(carried, kinds_of_pages(carried)[0]["root of batches_by_table"][0], b"\xff" * PAGE)
    done = run_plain("drain", "--file", carried, folder=box)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("12 records were delivered, 0 are left")
    assert len(zerobus.rows()) == 12
    assert list((box / "card" / "quarantine").glob("*/spool.db"))


def test_held_tables_alone_end_a_drain_with_the_list(box, zerobus):
    zerobus.faults({"faults": [{"fault": "refuse_open", "status": "NOT_FOUND", "table": TWO}]})
    done = run_plain("drain", folder=box)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "6 records were delivered, 6 are left" in done.stdout
    assert f"{TWO}: held: " in done.stdout


def test_what_is_refused_is_buried_without_a_daemon_and_the_rest_is_sent(box, zerobus):
    zerobus.faults(
        {"faults": [{"fault": "poison", "table": ONE, "column": "temp", "equals": 0}]}
    )  # fmt: skip
    wrong = sum(row["temp"] == 0 for row in listed(box, ONE))
    assert wrong
    rehearsed = run_plain("dead", "bury", ONE, "--dry-run", folder=box)
    assert rehearsed.stdout == f"6 records of {ONE} wait\n"
    done = run_plain("dead", "bury", ONE, "--yes", folder=box)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{wrong} records of {ONE} were buried, {6 - wrong} delivered\n"
    assert counters(box)["", "dead"] == 5 + wrong
    assert counters(box)[f"table:{TWO}", "spooled"] == 6
    assert is_whole(box)
    nothing = run_plain("dead", "bury", "main.iot.other", "--yes", folder=box)
    assert nothing.returncode == 1
    assert "has no table main.iot.other" in nothing.stderr


def listed(box, table):
    done = run_plain("spool", "list", table, "--json", folder=box)
    return [json.loads(line)["row"] for line in done.stdout.splitlines()]


def test_a_service_that_is_away_ends_a_drain_after_the_time_that_was_given(box, zerobus):
    zerobus.stop()
    done = run_plain("drain", "--for", "2s", folder=box)
    assert done.returncode == 1
    assert "0 records were delivered, 12 are left" in done.stdout
    zerobus.start()


def test_no_time_at_all_is_a_time(box, zerobus):
    zerobus.stop()
    assert run_plain("drain", "--for", "0s", folder=box).returncode == 1
    zerobus.start()


def test_a_signal_ends_a_drain_in_order(box, zerobus):
    zerobus.stop()
    process = subprocess.Popen(
        [sys.executable, "-m", "collector", "drain"],
        cwd=box, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: not is_free(box), "the lock")
    wait_for(lambda: _handles(process.pid, signal.SIGTERM), "the handler of the signal")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    assert "12 are left" in process.stdout.read()
    process.stdout.close()
    assert is_free(box)
    zerobus.start()


def _handles(pid, number):
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line for line in status if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


def is_free(box):
    lock = SpoolLock(box / "state" / "spool.db")
    taken = lock.take()
    lock.release()
    return taken


# -- the lock and the socket -------------------------------------------------------------------

CHANGING = [
    ("dead", "replay", "--all"),
    ("dead", "purge", "--all", "--yes"),
    ("spool", "purge", ONE, "--all", "--yes"),
    ("spool", "compact"),
    ("drain",),
]


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_a_spool_that_another_program_has_and_that_takes_no_commands_is_left_alone(box, command):
    lock = SpoolLock(box / "state" / "spool.db")
    assert lock.take()
    done = run_plain(*command, folder=box)
    lock.release()
    assert done.returncode == 75
    assert f"process {os.getpid()}" in done.stderr


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    with Line(tmp_path_factory.mktemp("line")) as one:
        yield one


def ask(line, request):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(line.folder / "state" / "control.sock"))
        connection.sendall(request)
        with connection.makefile("rb") as answers:
            return [json.loads(answer) for answer in answers]


def test_the_socket_is_for_the_user_of_the_daemon_alone(line):
    mode = (line.folder / "state" / "control.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (b"rubbish\n", "this is no request"),
        (b"[1]\n", "this is no request"),
        (b"\xff\xfe\n", "this is no request"),
        (b'{"operation": "format"}\n', "there is no operation 'format'"),
        (b'{"operation": "purge records", "selection": {"x": 1}}\n', "TypeError"),
    ],
)
def test_what_is_no_request_is_answered_with_an_error_and_ends_nothing(line, request_, error):
    (answer,) = ask(line, request_)
    assert error in answer["error"]
    assert line.is_connected()


def test_a_client_that_says_nothing_keeps_nobody_from_asking(line):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(line.folder / "state" / "control.sock"))
        *_, last = ask(line, b'{"operation": "compact"}\n')
        assert "after_bytes" in last["done"]


def test_the_socket_goes_with_the_daemon_and_a_stale_one_is_replaced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    with Line(folder) as line:
        path = folder / "state" / "control.sock"
        line.daemon.kill()
        assert path.exists()
        line.start_daemon()
        assert "done" in ask(line, b'{"operation": "compact"}\n')[-1]
        line.daemon.stop()
        assert not path.exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder away")
def test_what_root_makes_beside_a_spool_belongs_to_the_owner_of_its_folder(tmp_path):
    line = Line(tmp_path)
    folder = tmp_path / "state"
    with opened(line.spool_path):
        pass
    for path in (folder, line.spool_path):
        os.chown(path, 12_345, 12_346)
    for name in ("lock", "seq", "ballast"):
        (folder / f"spool.db.{name}").unlink(missing_ok=True)
    arguments = [sys.executable, "-m", "collector", "spool", "compact"]
    subprocess.run([*arguments, "-c", str(line.config)], check=True, cwd=ROOT, timeout=60)
    made = {one.name: one.stat() for one in folder.iterdir()}
    assert {"spool.db", "spool.db.lock", "spool.db.seq", "spool.db.ballast"} <= set(made)
    assert {(one.st_uid, one.st_gid) for one in made.values()} == {(12_345, 12_346)}
