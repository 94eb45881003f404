"""The commands that look into a spool: on a stopped one, on a copy, and what a person would see.

The golden files in tests/golden/ hold what an 80 column terminal shows; `GOLDEN=write` in the
environment writes them anew, to be looked at.
"""

import csv
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.filled import EVIL, FIRST_SEQ, NOON_US, ONE, TWO, fill, make_box
from support.terminal import ENVIRONMENT, run_on_terminal, run_plain

from collector.spool import Limits, Spool
from collector.spool.contents import Contents
from collector.spool.letters import Letters
from collector.spool.selection import Selection

GOLDEN = Path(__file__).parent / "golden"
SHOWN = {
    "spool-list": ("spool", "list"),
    "spool-list-table": ("spool", "list", ONE, "-n", "4"),
    "spool-show": ("spool", "show", FIRST_SEQ + 4),
    "spool-verify": ("spool", "verify"),
    "dead-list": ("dead", "list"),
    "dead-list-by": ("dead", "list", "--by", "kind", "--by", "station"),
    "dead-show": ("dead", "show", "1"),
    "dead-show-record": ("dead", "show", "5"),
}
LINES = [
    ("spool", "list"),
    ("spool", "list", ONE),
    ("spool", "export", ONE),
    ("dead", "list"),
    ("dead", "list", "--by", "kind"),
    ("dead", "export"),
]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = make_box(tmp_path_factory.mktemp("box"))
    fill(folder)
    return folder


def lines(*arguments, folder):
    done = run_plain(*arguments, folder=folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- what a person sees ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHOWN)
def test_a_terminal_of_80_columns_shows_what_the_golden_file_holds(box, name):
    code, text = run_on_terminal(*SHOWN[name], folder=box)
    text = re.sub(r"\x1b\[\?25[lh]|^.*\r(?=.)", "", text, flags=re.MULTILINE)
    text = text.replace(str(box), "BOX")
    assert code == 0, text
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", [*SHOWN.values(), *LINES])
def test_nothing_that_a_terminal_would_obey_comes_out_of_a_payload(box, command):
    _, text = run_on_terminal(*command, folder=box, columns=200)
    own = re.sub(r"\x1b\[\?25[lh]", "", text)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", own)


def test_what_is_no_terminal_gets_everything_uncut(box):
    text = run_plain("dead", "list", folder=box).stdout
    assert "humidity: 1e99 is out of range" in text
    assert "sensors/station_two/d3" in text


# -- how they start ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("spool", "stats"),
        ("spool", "list", "--since", "20000d"),
        ("spool", "show", str(FIRST_SEQ + 4)),
        ("spool", "export", ONE),
        ("spool", "verify"),
        ("dead", "list"),
        ("dead", "show", "1"),
        ("dead", "export"),
        ("completion", "bash"),
    ],
    ids=" ".join,
)
def test_a_reading_command_imports_neither_broker_nor_service(box, command):
    code = f"import sys; sys.argv = ['collector', *{command!r}]; import collector.cli as c\n"
    code += "try: c.main()\nexcept SystemExit as end: code = end.code\n"
    code += "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=box, env=ENVIRONMENT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout
    modules = set(done.stderr.split())
    assert f"collector.commands.{command[0]}" in modules
    assert not modules & {"grpc", "grpc_tools", "paho", "zerobus", "rich"}


# -- what a program reads ----------------------------------------------------------------------


@pytest.mark.parametrize("command", LINES, ids=map(" ".join, LINES))
def test_a_list_is_ndjson_and_the_same_on_a_copy_without_a_configuration(box, tmp_path, command):
    as_json = () if command[1] == "export" else ("--json",)
    found = lines(*command, *as_json, folder=box)
    assert found
    assert run_plain("spool", "backup", tmp_path / "copy.db", folder=box).returncode == 0
    copied = run_plain(*command, *as_json, "--file", "copy.db", folder=tmp_path)
    assert [json.loads(line) for line in copied.stdout.splitlines()] == found


def test_records_are_listed_in_the_order_of_sending_page_by_page(box):
    everything = [one["seq"] for one in lines("spool", "list", "--json", folder=box)]
    assert everything == list(range(FIRST_SEQ, FIRST_SEQ + 12))
    pages, after = [], ()
    while page := lines("spool", "list", "-n", "5", "--json", *after, folder=box):
        pages += [one["seq"] for one in page]
        after = ("--after", page[-1]["seq"])
    assert pages == everything
    newest = lines("spool", "list", "--newest", "-n", "5", "--json", folder=box)
    assert [one["seq"] for one in newest] == everything[:-6:-1]
    behind = ("--newest", "-n", "20", "--after", newest[-1]["seq"], "--json")
    more = lines("spool", "list", *behind, folder=box)
    assert [one["seq"] for one in more] == everything[-6::-1]


def test_a_record_is_shown_by_the_columns_of_its_table(box):
    done = run_plain("spool", "show", FIRST_SEQ + 4, "--json", folder=box)
    shown = json.loads(done.stdout)
    assert (shown["table"], shown["station"], shown["batch"]) == (TWO, "station_two", 2)
    assert shown["received"] == "2026-11-22T12:01:00+00:00"
    assert shown["row"]["device_name"] == f"d{(FIRST_SEQ + 4) % 7}"
    assert shown["row"]["description"] is None


def test_a_number_or_an_id_that_is_not_there_is_an_error_with_what_to_do(box):
    for command in (("spool", "show", 5), ("dead", "show", 99), ("spool", "list", "a.b.c")):
        done = run_plain(*command, folder=box)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 2


def test_dead_letters_are_counted_by_what_is_asked(box):
    found = lines("dead", "list", "--by", "kind", "--by", "station", "--json", folder=box)
    assert {(one["kind"], one["station"]): one["letters"] for one in found} == {
        ("bad_value", "station_one"): 1,
        ("bad_value", "station_two"): 1,
        ("undecodable", "station_two"): 1,
        ("internal", "station_one"): 1,
        ("refused", "station_one"): 1,
    }


def test_a_payload_is_text_or_hex_and_a_refused_record_has_its_columns(box):
    letters = {one["id"]: one for one in lines("dead", "list", "--json", folder=box)}
    assert letters[1]["text"] == EVIL.decode()
    assert letters[2]["hex"] == "ff00727562626973 68".replace(" ", "")
    record = json.loads(run_plain("dead", "show", "5", "--json", folder=box).stdout)
    assert record["row"] == {"device_name": "d9", "temp": 9, "humidity": None}


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--reason", "bad_value"), [1, 4]),
        (("--reason", "out of range"), [4]),
        (("--station", "station_two"), [2, 4]),
        (("--station", "station_one", "--station", "station_two"), [1, 2, 3, 4, 5]),
        (("--table", TWO, "--since", "2026-11-22T12:02:00Z"), [4]),
        (("--until", "2026-11-22T12:01:00+00:00"), [1, 5]),
        (("--since", "1h"), []),
        (("--after", "3"), [4, 5]),
        (("--newest", "-n", "2"), [5, 4]),
    ],
)
def test_the_filters_of_dead_letters_select_what_they_say(box, filters, ids):
    done = run_plain("dead", "list", "--json", *filters, folder=box)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids
    assert bool(ids) != ("no dead letters" in done.stderr)


def test_a_time_that_is_none_is_refused_with_examples(box):
    done = run_plain("dead", "list", "--since", "yesterday", folder=box)
    assert done.returncode == 2
    assert "2h, 7d or 2026-11-23T12:00" in done.stderr


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("spool", "export", ONE), ("dead", "export")])
def test_an_exported_file_is_private_whole_and_csv_when_asked(box, tmp_path, command):
    target = tmp_path / "out.csv"
    done = run_plain(*command, "--format", "csv", "-o", target, folder=box)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    as_json = lines(*command, folder=box)
    assert len(rows) == len(as_json) > 0
    for row, document in zip(rows, as_json, strict=True):
        assert row == {key: "" if v is None else str(v) for key, v in document.items()}


def test_a_file_that_can_not_be_written_is_an_error(box, tmp_path):
    done = run_plain("dead", "export", "-o", tmp_path / "no" / "such", folder=box)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(box):
    done = run_plain("spool", "list", "--json", folder=box)
    assert done.stdout
    shell = f"{sys.executable} -m collector spool export {ONE} | head -n 1"
    ended = subprocess.run(
        ["sh", "-c", shell], cwd=box, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


def test_a_backup_is_one_private_file_that_verifies(box, tmp_path):
    target = tmp_path / "copy.db"
    assert run_plain("spool", "backup", target, folder=box).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["copy.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert run_plain("spool", "verify", "--file", target, folder=tmp_path).returncode == 0
    again = run_plain("spool", "backup", target, folder=box)
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert run_plain("spool", "backup", target, "--force", folder=box).returncode == 0


# -- verify ------------------------------------------------------------------------------------

MISTAKES = {
    "a changed byte": "UPDATE batches SET blob = cast(x'ff' || substr(blob, 2) AS BLOB)"
    " WHERE id = 2",
    "a wrong count": "UPDATE counters SET value = value + 1 WHERE name = 'spooled'",
    "a balance": "UPDATE counters SET value = value + 1 WHERE name = 'made'",
    "messages": "UPDATE counters SET value = value + 1 WHERE name = 'received'",
    "a payload without letter": "DELETE FROM dead_letters WHERE id = 3",
    "a letter without payload": "DELETE FROM payloads WHERE id = 3",
    "a schema that is gone": "DELETE FROM schemas",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_verify_finds_each_kind_of_mistake_and_nothing_in_a_whole_spool(box, tmp_path, mistake):
    target = tmp_path / "copy.db"
    assert run_plain("spool", "backup", target, folder=box).returncode == 0
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute(MISTAKES[mistake])
    connection.close()
    done = run_plain("spool", "verify", "--file", target, "--json", folder=tmp_path)
    assert done.returncode == 1
    assert len(json.loads(done.stdout)["problems"]) >= 1
    assert "repair" in done.stderr


def test_what_is_damaged_is_named_and_the_rest_is_exported(box, tmp_path):
    target = tmp_path / "copy.db"
    run_plain("spool", "backup", target, folder=box)
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute(MISTAKES["a changed byte"].replace("id = 2", "id = 1"))
    connection.close()
    done = run_plain("spool", "export", ONE, "--file", target, folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert "batch 1: " in done.stderr
    listed = run_plain("spool", "list", ONE, "--file", target, folder=tmp_path)
    assert listed.returncode == 1
    assert "damaged: its checksum does not fit" in listed.stdout


# -- the filters against a plain reading -------------------------------------------------------

TIMES = st.none() | st.integers(-1, 4).map(lambda n: NOON_US + n * 60_000_000)
SELECTIONS = st.builds(
    Selection,
    tables=st.lists(st.sampled_from([ONE, TWO, "x.y.z"]), max_size=2).map(tuple),
    stations=st.lists(st.sampled_from(["station_one", "station_two", "?"]), max_size=2).map(tuple),
    since_us=TIMES,
    until_us=TIMES,
    reason=st.sampled_from(["", "bad_value", "not", "%", "'"]),
    ids=st.lists(st.integers(0, 6), max_size=3).map(tuple),
)


def fits(selection, one, identity, reasons=None):
    return (
        (not selection.tables or one.table in selection.tables)
        and (not selection.stations or one.station in selection.stations)
        and (selection.since_us is None or one.received_us >= selection.since_us)
        and (selection.until_us is None or one.received_us < selection.until_us)
        and (not selection.ids or identity in selection.ids)
        and (
            not selection.reason
            or reasons is None
            or reasons[0] == selection.reason
            or selection.reason in reasons[1]
        )
    )


@given(SELECTIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_selection_takes_exactly_what_a_plain_reading_takes(box, selection):
    path = box / "state" / "spool.db"
    contents, letters = Contents(path), Letters(path)
    everything = list(contents.records(Selection()))
    assert list(contents.records(selection)) == [
        one for one in everything if fits(selection, one, one.batch)
    ]
    every = list(letters.all(Selection()))
    wanted = [one for one in every if fits(selection, one, one.id, (one.kind, one.reason))]
    assert list(letters.all(selection)) == wanted
    assert letters.count(selection) == len(wanted)
    assert Selection.of_json(json.loads(json.dumps(selection.as_json()))) == selection
    contents.close()
    letters.close()


def test_paging_goes_on_behind_a_record_that_was_delivered_meanwhile(tmp_path):
    box = make_box(tmp_path)
    path = fill(box)
    listed = [json.loads(line) for line in run_json(box, "spool", "list", "--json")]
    gone = listed[3]
    with closing(Spool(path, Limits())) as spool:
        spool.acknowledge([gone["batch"]])
        spool.tick()
    behind = [one for one in listed if one["batch"] > gone["batch"]]
    before = [one for one in listed if one["batch"] < gone["batch"]]
    page = run_json(box, "spool", "list", "--json", "--after", gone["seq"])
    assert [json.loads(line)["seq"] for line in page] == [one["seq"] for one in behind]
    page = run_json(box, "spool", "list", "--json", "--newest", "--after", gone["seq"])
    assert [json.loads(line)["seq"] for line in page] == [one["seq"] for one in reversed(before)]


def run_json(box, *arguments):
    done = run_plain(*arguments, folder=box)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["spool.db", "spool.db-wal", "spool.db.seq", "spool.db.names"])
def test_nothing_is_written_over_the_spool_or_what_belongs_to_it(tmp_path, name):
    box = make_box(tmp_path)
    path = fill(box)
    before = path.read_bytes()
    target = path.with_name(name)
    for command in (
        ("spool", "export", ONE, "-o", target),
        ("dead", "export", "-o", target),
        ("spool", "backup", "--force", target),
    ):
        done = run_plain(*command, folder=box)
        assert done.returncode == 1
        assert "that is the spool itself" in done.stderr
    assert path.read_bytes() == before


def test_an_id_that_is_not_there_is_said(tmp_path):
    box = make_box(tmp_path)
    fill(box)
    done = run_plain("dead", "replay", "99", folder=box)
    assert done.returncode == 1
    assert "1 of these ids are not there" in done.stderr
