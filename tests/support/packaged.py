"""The .deb as `make deb` builds it, and the same program in one of a higher version."""

import os
import subprocess
import sys
from pathlib import Path

from support.line import ROOT


def build(folder, architecture="amd64"):
    """Build the package into a folder."""
    environment = {**os.environ, "PYTHON": sys.executable, "DIST": str(folder)}
    words = ["packaging/build", architecture]
    subprocess.run(words, cwd=ROOT, check=True, timeout=300, env=environment)


def build_newer(folder):
    """Pack what the last build for amd64 has left once more, as version 99."""
    nfpm = Path(sys.executable).parent / "nfpm"
    words = ["package", "--config", "packaging/nfpm.yaml", "--packager", "deb", "--target"]
    environment = {**os.environ, "ARCH": "amd64", "VERSION": "99.0.0", "STAGE": "build/deb-amd64"}
    subprocess.run([nfpm, *words, folder], cwd=ROOT, env=environment, check=True)


def find(folder):
    """The one package in a folder."""
    (package,) = folder.glob("*.deb")
    return package
