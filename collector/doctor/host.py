"""Python, the platform and the SDK: whether this program can run here at all."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from collector.doctor.findings import Check, Finding, error, ok
from collector.supported import Platform, why_unsupported

_PYTHON_SINCE: Final = (3, 11)
_SDK: Final = "databricks-zerobus-ingest-sdk"


def checks() -> Iterator[Check]:
    """The checks of this box's software."""
    yield Check("python", _python)
    yield Check("platform and SDK", _platform)


def _python() -> Iterator[Finding]:
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info < _PYTHON_SINCE:
        yield error(found, "Install Python 3.11 or newer.")
    else:
        yield ok(found)


def _platform() -> Iterator[Finding]:
    box, sdk = Platform.here(), _installed(_SDK)
    why, _, fix = why_unsupported(box, sdk).partition("\n")
    yield error(why, " ".join(fix.split())) if why else ok(f"{box}, Zerobus SDK {sdk}")


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
