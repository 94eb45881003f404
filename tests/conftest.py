"""Makes the support package importable, and says what is missing instead of skipping in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("RUST_LOG", "off")


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
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    names = {name: folder / f"{name}.pem" for name in ("ca", "ca_key", "cert", "key", "request")}
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req", "-x509", *curve, "-days", "2", "-subj", "/CN=test ca",
        "-keyout", names["ca_key"], "-out", names["ca"],
    )  # fmt: skip
    openssl(
        "req", *curve, "-subj", "/CN=localhost", "-keyout", names["key"], "-out", names["request"]
    )
    openssl(
        "x509", "-req", "-days", "2", "-in", names["request"], "-CA", names["ca"],
        "-CAkey", names["ca_key"], "-CAcreateserial", "-extfile", extensions, "-out", names["cert"],
    )  # fmt: skip
    for path in names.values():
        path.chmod(0o644)
    return {name: str(names[name]) for name in ("ca", "cert", "key")}
