"""Makes the support package importable, and says what is missing instead of skipping in CI."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("RUST_LOG", "off")

from support.certificates import make_certificates
from support.debian import make_debian
from support.packaged import build, build_newer, find
from support.shared import make_once

# A shell lets what it starts in the background ignore Ctrl-C, and so would what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def line_folder(tmp_path):
    """A folder for a whole line; needs mosquitto."""
    if shutil.which("mosquitto") is None:
        message = "mosquitto is missing: `make test` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return tmp_path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A private CA and a certificate for localhost and 127.0.0.1, as PEM files."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """The folder of a Debian 12 that nothing is installed on."""
    return make_once(tmp_path_factory, "debian", make_debian)


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The .deb for amd64."""
    return find(make_once(tmp_path_factory, "package", build))


@pytest.fixture(scope="session")
def newer(package, tmp_path_factory):
    """The same program as a higher version."""
    assert package.exists()
    return find(make_once(tmp_path_factory, "newer", build_newer))
