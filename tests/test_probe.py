"""`collector status --probe`: what Docker and Kubernetes ask, and restart a container by."""

import subprocess
import sys

import pytest
from support.line import ROOT
from support.said import say, snapshot, trouble
from support.terminal import run_plain

PAUSED = {"paused": "the spool is full"}
STALLED = {"standing_still": ["the intake"]}
OFFLINE = {"broker": {"connected": False, "last_error": "refused", "refused_filters": {}}}


@pytest.fixture
def box(tmp_path):
    (tmp_path / "stations.yaml").write_text("runtime_dir: run\n")
    return tmp_path


@pytest.mark.parametrize(
    ("said", "live", "ready"),
    [
        (snapshot, 0, 0),
        (lambda: snapshot(**OFFLINE), 0, 0),
        (trouble, 0, 0),
        (lambda: snapshot(**PAUSED), 0, 1),
        (lambda: snapshot(**STALLED), 1, 1),
        (lambda: snapshot(age_s=3600), 1, 1),
        (lambda: snapshot(pid=2**22 - 1), 1, 1),
        (None, 1, 1),
    ],
    ids=["well", "offline", "a bad night", "full", "stalled", "silent", "dead", "not running"],
)
def test_a_probe_fails_only_for_what_a_restart_or_less_traffic_would_mend(box, said, live, ready):
    for kind, expected in (("live", live), ("ready", ready)):
        if said is not None:
            say(box / "run", said())
        done = run_plain("status", "--probe", kind, folder=box)
        assert done.returncode == expected, done.stderr
        assert bool(done.stdout) is (expected == 0)


def test_a_probe_says_what_is_wrong(box):
    say(box / "run", snapshot(**PAUSED, **STALLED))
    done = run_plain("status", "--probe", "ready", folder=box)
    assert "nothing is stored: the spool is full; the intake stands still" in done.stderr
    assert "paused" not in run_plain("status", "--probe", "live", folder=box).stderr


@pytest.mark.parametrize("text", ["runtime_dir: run\nmqtt: {url: [}", "stations: 7\n", "nonsense"])
def test_a_file_that_is_broken_under_a_running_daemon_fails_no_probe(box, text):
    (box / "stations.yaml").write_text(text)
    say(box / "run", snapshot())
    environment = {"RUNTIME_DIRECTORY": str(box / "run"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "collector", "status", "--probe", "live"]
    done = subprocess.run(words, cwd=box, env=environment, timeout=60, check=False)
    assert done.returncode == 0


def test_a_probe_goes_with_no_other_way_to_look(box):
    assert run_plain("status", "--probe", "live", "--json", folder=box).returncode == 2
    assert run_plain("status", "--probe", "live", "--watch", folder=box).returncode == 2
