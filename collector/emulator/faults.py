"""The fault plan: which faults are set, and when each applies.

Knows nothing of gRPC, HTTP or Delta: streams, tokens and the link ask it what to do. A plan is
replaced as a whole and only in the emulator's event loop. `docs/emulator.md` has an example of
each fault.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from collector.emulator.wire import STATUSES
from collector.errors import CollectorError


class PlanError(CollectorError):
    """The fault plan can't be used; nothing of it was set."""

    exit_code = 2


class Parameter(NamedTuple):
    """A key of a fault: what it may be, and what it is when left out (None: it must be given)."""

    types: tuple[type, ...]
    default: Any = None
    least: float | None = None


_SECONDS = (int, float)
_VALUE = (str, int, float, bool)


class Kind(NamedTuple):
    """A kind of fault: its own keys, and which of the common keys make sense for it."""

    parameters: Mapping[str, Parameter]
    per_table: bool = True
    counted: bool = True


KINDS: Final[Mapping[str, Kind]] = {
    "refuse_open": Kind(
        {"status": Parameter((str,)), "message": Parameter((str,), "Refused by the fault plan")}
    ),
    "abort": Kind(
        {
            "after": Parameter((int,), None, 1),
            "status": Parameter((str,), "UNAVAILABLE"),
            "message": Parameter((str,), "Aborted by the fault plan"),
        }
    ),
    "poison": Kind({"column": Parameter((str,)), "equals": Parameter(_VALUE)}),
    "silence": Kind({}, counted=False),
    "late_ack": Kind({"seconds": Parameter(_SECONDS, None, 0)}, counted=False),
    "duplicate_ack": Kind({}),
    "wrong_ack": Kind({"ahead": Parameter((int,), 1, 1)}),
    "close_signal": Kind(
        {"after": Parameter((int,), 1, 1), "seconds": Parameter(_SECONDS, None, 0)}
    ),
    "max_age": Kind({"seconds": Parameter(_SECONDS, None, 0)}),
    "token_error": Kind({"status": Parameter((int,), None, 300)}, per_table=False),
    "token_slow": Kind({"seconds": Parameter(_SECONDS, None, 0)}, per_table=False),
    "token_expiry": Kind({"seconds": Parameter(_SECONDS, None, 0)}, per_table=False),
    "refuse_connections": Kind({}, per_table=False, counted=False),
    "slow_link": Kind(
        {"bytes_per_second": Parameter((int,), None, 1)}, per_table=False, counted=False
    ),
}


@dataclass(slots=True, eq=False)
class Fault:
    """One fault of the plan; `hits` says how often it applied."""

    kind: str
    table: str = ""
    count: int | None = None
    for_seconds: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hits: int = 0
    set_at: float = field(default_factory=time.monotonic)

    def live(self) -> bool:
        """It still applies."""
        return self.left() > 0 and (self.count is None or self.hits < self.count)

    def left(self) -> float:
        """Seconds until it ends by itself."""
        if self.for_seconds is None:
            return float("inf")
        return self.set_at + self.for_seconds - time.monotonic()

    def as_json(self) -> dict[str, Any]:
        """The fault as it was set, and what became of it."""
        common = {"table": self.table, "count": self.count, "for_seconds": self.for_seconds}
        given = {key: value for key, value in common.items() if value not in ("", None)}
        return {"fault": self.kind, **self.parameters, **given, "hits": self.hits} | {
            "live": self.live()
        }


class Plan:
    """The faults that are set, in their order: of one kind the first live one applies."""

    def __init__(self, document: object) -> None:
        self._faults = parse_plan(document)
        self._changed = asyncio.Event()

    def replace(self, document: object) -> None:
        """Set another plan, or raise PlanError and keep this one."""
        self._faults = parse_plan(document)
        self._changed.set()
        self._changed = asyncio.Event()

    def all(self, kind: str, table: str = "") -> Iterator[Fault]:
        """The live faults of a kind that apply to a table."""
        for fault in self._faults:
            if fault.kind == kind and fault.table in ("", table) and fault.live():
                yield fault

    def find(self, kind: str, table: str = "") -> Fault | None:
        """The fault of a kind that applies, without counting it."""
        return next(self.all(kind, table), None) if self._faults else None

    def hit(self, kind: str, table: str = "") -> Fault | None:
        """The fault of a kind that applies; counts it."""
        fault = self.find(kind, table)
        if fault is not None:
            fault.hits += 1
        return fault

    async def wait(self) -> None:
        """Return when the plan was replaced, or when one of its faults ended by itself."""
        changed = self._changed
        left = min((fault.left() for fault in self._faults if fault.live()), default=float("inf"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if left == float("inf") else left):
                await changed.wait()

    def as_json(self) -> dict[str, Any]:
        """The plan as `GET /faults` shows it."""
        return {"faults": [fault.as_json() for fault in self._faults]}


def parse_plan(document: object) -> list[Fault]:
    """The faults of `{"faults": [...]}`; raises PlanError with everything that is wrong."""
    if not isinstance(document, Mapping) or set(document) - {"faults"}:
        raise PlanError('a fault plan is an object with one key: {"faults": [...]}')
    entries = document.get("faults", [])
    if not isinstance(entries, list):
        raise PlanError('"faults" is a list of objects')
    faults: list[Fault] = []
    problems: list[str] = []
    for number, entry in enumerate(entries):
        try:
            faults.append(_parse_fault(entry))
        except ValueError as error:
            problems.append(f"faults[{number}]: {error}")
    if problems:
        raise PlanError("\n".join(problems))
    return faults


def _parse_fault(entry: object) -> Fault:
    """One fault; raises ValueError with the first thing that is wrong with it."""
    if not isinstance(entry, Mapping):
        raise ValueError("is no object")  # noqa: TRY004 - All mistakes are one class here.
    name = entry.get("fault")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or kind is None:
        raise ValueError(f"{name!r} is no fault{_nearest(str(name), KINDS)}")
    common = {"for_seconds": Parameter(_SECONDS, None, 0)}
    if kind.per_table:
        common["table"] = Parameter((str,))
    if kind.counted:
        common["count"] = Parameter((int,), None, 1)
    known = {**kind.parameters, **common}
    for key in entry:
        if key != "fault" and key not in known:
            raise ValueError(f"{key!r} is no key of {name}{_nearest(str(key), known)}")
    for key, value in entry.items():
        if key != "fault":
            _check(key, value, known[key])
    missing = [k for k, p in kind.parameters.items() if p.default is None and k not in entry]
    if missing:
        raise ValueError(f"{name} needs {', '.join(missing)}")
    return Fault(
        kind=name,
        table=entry.get("table", ""),
        count=entry.get("count"),
        for_seconds=entry.get("for_seconds"),
        parameters={key: entry.get(key, p.default) for key, p in kind.parameters.items()},
    )


def _check(key: str, value: Any, parameter: Parameter) -> None:
    """Raise ValueError if a value is not what its key takes."""
    # Exact types: true is an int to Python.
    if type(value) not in parameter.types:
        wanted = " or ".join(one.__name__ for one in parameter.types)
        raise ValueError(f"{key} is {value!r}, not {wanted}")
    if parameter.least is not None and value < parameter.least:
        raise ValueError(f"{key} is {value!r}: at least {parameter.least} is needed")
    if key == "status" and parameter.types == (str,) and value not in STATUSES:
        raise ValueError(f"{value!r} is no gRPC status{_nearest(value, STATUSES)}")


def _nearest(word: str, known: Any) -> str:
    """A hint for a typo."""
    close = get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known))}"
