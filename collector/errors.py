"""The errors that an operator sees: what happened, where, and what to do next.

Every error that may end a command derives from `CollectorError`; its exit code is one of the
table in `docs/exit-codes.md`. Errors of libraries are translated where the library is used.
"""

from dataclasses import dataclass
from pathlib import Path


class CollectorError(Exception):
    """Something failed; `hint` says what to do next and `exit_code` how the process ends."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  {self.hint}" if self.hint else message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration file or a schema; `line` counts from 1."""

    file: Path
    line: int
    text: str
    key: str = ""
    hint: str = ""

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}: {key}{self.text}{hint}"


class ConfigError(CollectorError):
    """The configuration can't be used; carries every problem that was found, not just the first."""

    exit_code = 78

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class LockedError(CollectorError):
    """Another process owns the spool."""

    exit_code = 75


class SpoolError(CollectorError):
    """The spool can't be opened, read or written."""


class SpoolDamagedError(SpoolError):
    """The spool file can't be trusted any more: what is intact is saved at the next start."""


class SpoolFullError(SpoolError):
    """The spool has reached one of its limits; nothing was stored, nothing may be acknowledged."""
