"""The clock: what arrives is stamped with it, and certificates are judged by it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from collector.clock import is_kernel_synchronised
from collector.doctor.findings import Check, Finding, ok, warning


def checks() -> Iterator[Check]:
    """The check of the clock."""
    yield Check("clock", _clock)


def _clock() -> Iterator[Finding]:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    if is_kernel_synchronised():
        yield ok(f"synchronised, {now}")
        return
    yield warning(
        f"no time service keeps it in step: it says {now}",
        "Times of arrival may be wrong, and certificates seem expired. Install one and wait until"
        " `timedatectl` says that the clock is synchronised.",
        ("apt-get install systemd-timesyncd", "timedatectl set-ntp true"),
    )
