"""Where the Zerobus SDK does not run, one message says so, and names what works."""

import os
import subprocess
import sys

import pytest
from support.line import ROOT

from collector.supported import Platform, why_unsupported

DEBIAN_12 = Platform("Linux", "glibc 2.36", "x86_64", 64)
RASPBERRY_PI_OS = Platform("Linux", "glibc 2.36", "aarch64", 64)
ELSEWHERE = {
    "Alpine": Platform("Linux", "", "x86_64", 64),
    "a 32-bit Raspberry Pi OS": Platform("Linux", "glibc 2.36", "armv7l", 32),
    "32 bits on a 64-bit kernel": Platform("Linux", "glibc 2.36", "aarch64", 32),
    "Debian 11": Platform("Linux", "glibc 2.31", "x86_64", 64),
    "RISC-V": Platform("Linux", "glibc 2.36", "riscv64", 64),
    "a Mac": Platform("Darwin", "", "arm64", 64),
}


@pytest.mark.parametrize("sdk", [None, "0.2.0", "1.9.9"])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_where_there_are_no_wheels_it_says_what_the_box_is_and_to_take_another(name, sdk):
    why = why_unsupported(ELSEWHERE[name], sdk)
    assert str(ELSEWHERE[name]) in why
    for works in ("Debian 12", "Raspberry Pi OS 12", "Ubuntu 22.04", "RHEL 9", "x86_64", "aarch64"):
        assert works in why
    assert "Install the collector on such a system instead." in why


@pytest.mark.parametrize("sdk", [None, "0.2.0", "1.9.9"])
@pytest.mark.parametrize("box", [DEBIAN_12, RASPBERRY_PI_OS])
def test_where_there_are_wheels_it_says_how_to_install_them(box, sdk):
    assert "pip install --require-hashes -r requirements.lock" in why_unsupported(box, sdk)


@pytest.mark.parametrize("box", [DEBIAN_12, *ELSEWHERE.values()])
def test_an_sdk_that_is_new_enough_is_believed(box):
    assert why_unsupported(box, "1.10.0") == why_unsupported(box, "2.0rc1") == ""


def test_musl_is_named_as_such():
    assert "musl" in str(ELSEWHERE["Alpine"])


@pytest.fixture(scope="module")
def old_sdk(tmp_path_factory):
    """The SDK that pip takes where newer ones have no wheel."""
    folder = tmp_path_factory.mktemp("old-sdk")
    words = ["install", "--quiet", "--no-deps", "--target", folder]
    wanted = "databricks-zerobus-ingest-sdk==0.2.0"
    subprocess.run([sys.executable, "-m", "pip", *words, wanted], check=True, timeout=120)
    return folder


@pytest.mark.parametrize("command", ["run", "check", "drain"])
def test_a_too_old_sdk_ends_a_command_with_78_and_no_traceback(old_sdk, command):
    done = _collector(command, old_sdk)
    assert done.returncode == 78, done.stderr
    assert done.stderr.startswith("collector: databricks-zerobus-ingest-sdk is 0.2.0, and 1.10 or")
    assert "Debian 12" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_sdk_that_does_not_load_ends_the_daemon_with_78_and_its_reason(tmp_path):
    """As one for a newer glibc does, or one that was copied from a box of another kind."""
    (tmp_path / "zerobus").mkdir()
    (tmp_path / "zerobus" / "__init__.py").write_text("import no_such_library")
    done = _collector("run", tmp_path)
    assert done.returncode == 78, done.stderr
    assert "can't be loaded: No module named 'no_such_library'" in done.stderr
    assert "Debian 12" in done.stderr


def _collector(command, first):
    """Run a command in the folder of the sample, with a folder that Python looks into first."""
    path = os.pathsep.join(map(str, (first, ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "collector", command],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
