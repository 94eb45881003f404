"""Whether this box can run the Zerobus SDK; if not, one sentence says what it is and what works.

On a platform without a wheel pip silently takes an SDK of another API, so that the program is
installed and can't run. Nothing here imports the SDK.
"""

import os
import platform
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Self

from collector.errors import CollectorError

_SDK: Final = "databricks-zerobus-ingest-sdk"
_SDK_SINCE: Final = (1, 10)
_GLIBC_SINCE: Final = (2, 34)
_MACHINES: Final = ("x86_64", "aarch64")
_PLATFORMS: Final = (
    "It runs on Linux with glibc 2.34 or newer, 64 bits, on x86_64 and aarch64: Debian 12,"
    " Raspberry Pi OS 12 (64-bit), Ubuntu 22.04, RHEL 9, and what is newer."
)


class UnsupportedError(CollectorError):
    """This box can't run the SDK: starting again would not help, as with a configuration."""

    exit_code = 78


@dataclass(frozen=True, slots=True)
class Platform:
    """What decides: `libc` is `glibc 2.36`, or empty when it is another one, such as musl.

    `bits` are those of Python: a 32-bit system may have a 64-bit kernel, which gives `machine`.
    """

    system: str
    libc: str
    machine: str
    bits: int

    @classmethod
    def here(cls) -> Self:
        """Look at this box."""
        try:
            libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
        except (ValueError, OSError):
            libc = ""
        return cls(platform.system(), libc, platform.machine(), struct.calcsize("P") * 8)

    def __str__(self) -> str:
        libc = self.libc or ("no glibc (musl?)" if self.system == "Linux" else "no glibc")
        return f"{self.system} with {libc} on {self.machine}, {self.bits} bits"

    @property
    def has_wheels(self) -> bool:
        """Whether the SDK is built for it."""
        name, _, number = self.libc.partition(" ")
        return (
            self.system == "Linux"
            and name == "glibc"
            and _numbers(number) >= _GLIBC_SINCE
            and self.machine in _MACHINES
            and self.bits == 64
        )


def why_unsupported(box: Platform, sdk: str | None) -> str:
    """Say why the SDK does not run, and what to do; nothing when it does.

    `sdk` is the version that is installed. One that is new enough was built for the box: what pip
    installs decides, and not this list.
    """
    if sdk is not None and _numbers(sdk) >= _SDK_SINCE:
        return ""
    found = "is not installed" if sdk is None else f"is {sdk}, and 1.10 or newer is needed"
    do = (
        "Install what was tested: pip install --require-hashes -r requirements.lock."
        if box.has_wheels
        else "Install the collector on such a system instead."
    )
    return f"{_SDK} {found}; this box is {box}\n  {_PLATFORMS}\n  {do}"


def check_sdk() -> None:
    """Look at what is installed, which costs next to nothing.

    Raises:
        UnsupportedError: the SDK is missing, or of another API.
    """
    try:
        sdk = version(_SDK)
    except PackageNotFoundError:
        sdk = None
    if why := why_unsupported(Platform.here(), sdk):
        raise UnsupportedError(why)


@contextmanager
def importing_sdk() -> Iterator[None]:
    """Say what is the matter when the SDK that is imported within is missing, too old or broken.

    Raises:
        UnsupportedError: with the reason that the interpreter has, if it has one.
    """
    check_sdk()
    try:
        yield
    except ImportError as error:
        raise UnsupportedError(
            f"{_SDK} can't be loaded: {error}; this box is {Platform.here()}", _PLATFORMS
        ) from error


def _numbers(text: str) -> tuple[int, ...]:
    """Return the release of a version.

    >>> _numbers("1.10.0rc1")
    (1, 10, 0)
    """
    match = re.match(r"[0-9.]*[0-9]", text)
    return tuple(map(int, match[0].split("."))) if match else ()
