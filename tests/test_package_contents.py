"""The .deb, as a file: its version, and what is in it."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.line import ROOT
from support.packaged import build, find

PROGRAMS = Path(sys.executable).parent
RELEASE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def unpacked(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    return folder


# --- its version


@pytest.fixture
def sources(tmp_path):
    """A folder with what says the version, in no checkout."""
    folder = tmp_path / "sources"
    (folder / "packaging").mkdir(parents=True)
    for name in ("packaging/build", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def version(folder):
    words = ["packaging/build", "version"]
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.check_output(words, cwd=folder, env=environment, text=True).strip()


def git(folder, *words, time="2026-01-02T03:04:05+01:00"):
    who = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    environment = {**os.environ, "GIT_COMMITTER_DATE": time, "GIT_CONFIG_GLOBAL": "/dev/null"}
    command = ["git", *who, *words]
    return subprocess.check_output(command, cwd=folder, env=environment, text=True).strip()


def commit(folder, **time):
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=it", **time)
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_sources_in_no_checkout_of_their_own_have_the_version_of_the_release(sources):
    assert version(sources) == RELEASE
    git(sources.parent, "init", "--quiet")
    commit(sources.parent)
    assert version(sources) == RELEASE


def test_the_version_of_a_commit_is_higher_than_those_of_all_before_it(sources):
    git(sources, "init", "--quiet")
    first = commit(sources)
    before = version(sources)
    assert before == f"{RELEASE}+git20260102020405.{first}"
    (sources / "changed").touch()
    assert version(sources) == f"{before}.dirty"
    commit(sources, time="2026-01-02T03:04:06+01:00")
    after = version(sources)
    for lower, higher in ((RELEASE, before), (before, after), (after, "99.0.0")):
        subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher], check=True)


def test_a_tag_is_the_version_itself_until_a_file_is_changed(sources):
    git(sources, "init", "--quiet")
    commit(sources)
    git(sources, "tag", "v0.0.1")
    assert "+git" in version(sources)
    git(sources, "tag", f"v{RELEASE}")
    assert version(sources) == RELEASE
    (sources / "changed").touch()
    assert version(sources).endswith(".dirty")


def test_the_package_has_the_version_that_the_build_says(package):
    shown = ["dpkg-deb", "--field", package, "Version"]
    assert subprocess.check_output(shown, text=True).strip() == version(ROOT)


# --- what is in it


def test_the_package_names_nothing_of_the_machine_that_built_it(unpacked):
    # The folder of the sources alone may be as short as a word that stands in some library.
    ours = [f"{ROOT}/build/".encode(), f"file://{ROOT}".encode(), str(PROGRAMS).encode()]
    files = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 1_000
    naming = [path for path in files if any(name in path.read_bytes() for name in ours)]
    assert naming == []
    links = {path.name: str(path.readlink()) for path in unpacked.rglob("*") if path.is_symlink()}
    assert links == {"python3": "/usr/bin/python3.11", "collector": "/opt/collector/bin/collector"}


def test_the_byte_code_is_taken_as_it_is(unpacked):
    """The time and the size of the source are in it; otherwise each start would compile anew."""
    compiled = list(unpacked.rglob("*.pyc"))
    assert len(compiled) > 1_000
    for path in compiled:
        flags, time, size = struct.unpack("<III", path.read_bytes()[4:16])
        source = path.parent.parent / f"{path.name.partition('.')[0]}.py"
        there = source.stat()
        assert (flags, time, size) == (0, int(there.st_mtime), there.st_size), source


def test_each_link_of_the_pages_leads_to_a_file_that_lies_beside_them(unpacked):
    folder = unpacked / "usr" / "share" / "doc" / "zerobus-collector"
    pages = list(folder.rglob("*.md"))
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", page.read_text())
    ]
    assert len(links) > 50
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_package_brings_the_libraries_of_the_lock_and_no_emulator(unpacked):
    site = unpacked / "opt" / "collector" / "lib" / "python3.11" / "site-packages"
    brought = {
        (re.sub(r"[-_.]+", "-", name).lower(), version)
        for name, version in (
            path.name.removesuffix(".dist-info").rsplit("-", 1) for path in site.glob("*.dist-info")
        )
    }
    lock = (ROOT / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))
    assert brought == {pair for pair in pinned if pair[0] != "pip"} | {
        ("zerobus-collector", RELEASE)
    }


def test_the_package_brings_the_files_of_the_page(unpacked):
    of_page = Path("collector", "http", "page", "static")
    site = unpacked / "opt" / "collector" / "lib" / "python3.11" / "site-packages"
    brought = {path.name: path.read_bytes() for path in (site / of_page).iterdir()}
    assert brought == {path.name: path.read_bytes() for path in (ROOT / of_page).iterdir()}
    assert "index.html" in brought


# One build at a time: they share the folder of setuptools.
@pytest.mark.usefixtures("package")
def test_the_package_for_arm64_is_built_of_wheels_for_arm64(tmp_path):
    folder = tmp_path / "unpacked"
    build(tmp_path, "arm64")
    subprocess.run(["dpkg-deb", "--extract", find(tmp_path), folder], check=True)
    libraries = [path for path in folder.rglob("*.so*") if path.is_file()]
    assert len(libraries) > 5
    aarch64 = 183
    machines = {struct.unpack_from("<H", path.read_bytes(), 18)[0] for path in libraries}
    assert machines == {aarch64}


@pytest.mark.parametrize("name", ["build", "preinst", "postinst", "prerm", "postrm"])
def test_the_scripts_are_posix_shell_without_a_fault(name):
    # What is sourced is on the box only; `sh -c '…'` expands its own words.
    words = ["--shell=sh", "--exclude=SC1091,SC2016", ROOT / "packaging" / name]
    done = subprocess.run(
        [PROGRAMS / "shellcheck", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
