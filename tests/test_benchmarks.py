"""The measurements, on little: every step ends, and as it should."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from support.line import ROOT

MISSING = {"show delivered", "show missing"}


def test_every_step_of_a_backlog_does_what_it_is_to_measure(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "backlog.py", "--records", "4000"],
        env={"PATH": "", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    codes = {name: step["exit"] for name, step in steps.items() if "exit" in step}
    assert codes == {name: int(name in MISSING) for name in codes}, done.stderr
    assert {name for name in steps if name not in codes} == {
        "purge beside an intake",
        "compact beside an intake",
    }
    assert steps["drain"]["delivered"] == 4_000
    assert steps["stats"]["peak_rss_mb"] > 0
    assert list(tmp_path.iterdir()) == []


def test_every_mapping_and_every_family_gives_the_records_that_are_measured(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "mapping.py", "--quick"],
        env={"PATH": "", "TMPDIR": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = [line.split() for line in done.stdout.splitlines() if line[-1:].isdigit()]
    assert len(figures) == 8 + 14
    assert all(float(cost) > 0 and int(records) > 0 for *_, cost, records in figures)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_both_services_take_every_request_over_http(line_folder):
    done = subprocess.run(
        [
            sys.executable, ROOT / "benchmarks" / "over_http.py",
            "--seconds", "1", "--only", "single", "array_100_wait",
        ],
        env={**os.environ, "TMPDIR": str(line_folder)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    assert services.keys() == {"collector", "direct"}
    for found in services.values():
        assert found["array_100_wait"]["records_per_s"] > found["single"]["records_per_s"] > 0
        assert found["single"]["cpu_s_per_million"] > 0
