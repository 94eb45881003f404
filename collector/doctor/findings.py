"""What a check is, what it finds, and in which order checks are made.

A check whose precondition failed is skipped and says so: none is silently left out.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, what to do about it, and the lines to run or to write for that."""

    level: Level
    found: str
    fix: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `subject` is the table that it is about, `needs` are keys of earlier checks."""

    name: str
    run: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    subject: str = ""

    @property
    def key(self) -> str:
        """What later checks name this one by."""
        return f"{self.name} {self.subject}".strip()


@dataclass(frozen=True, slots=True)
class Report:
    """A finding and the check that it is of."""

    check: Check
    finding: Finding


def ok(found: str) -> Finding:
    """As it should be."""
    return Finding(Level.OK, found)


def warning(found: str, fix: str, lines: Iterable[str] = ()) -> Finding:
    """The collector works, and something is not as it should be."""
    return Finding(Level.WARNING, found, fix, tuple(lines))


def error(found: str, fix: str, lines: Iterable[str] = ()) -> Finding:
    """The collector would not work."""
    return Finding(Level.ERROR, found, fix, tuple(lines))


def skipped(why: str) -> Finding:
    """Not looked at."""
    return Finding(Level.SKIPPED, why)


def examine(checks: Iterable[Check]) -> Iterator[Report]:
    """Make the checks in their order, each only when what it needs did not fail."""
    failed: set[str] = set()
    for check in checks:
        blocking = next((key for key in check.needs if key in failed), None)
        findings = check.run() if blocking is None else [skipped(f"not without: {blocking}")]
        for finding in findings:
            if finding.level in (Level.ERROR, Level.SKIPPED):
                failed.add(check.key)
            yield Report(check, finding)
