"""What one sees while the demonstration runs: a table on a terminal, else one line a second."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import click

from collector.status import dead_letters, format_age

_HEADINGS: Final = (
    "station", "received", "spooled", "delivered", "dead\nletters", "backlog", "rate/s", "oldest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StationLine:
    """The figures of one station: all since the start, but for the backlog and the rate."""

    station: str
    received: int
    spooled: int
    delivered: int
    dead_letters: int
    backlog: int
    rate: float
    oldest: str


class View:
    """Shows the figures; a context, because a terminal must be given back."""

    every_s = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def show(self, seconds: float, lines: list[StationLine], note: str) -> None:
        """Show the figures of this moment."""
        raise NotImplementedError


def lines_of(snapshot: dict[str, Any]) -> list[StationLine]:
    """Read a status file's snapshot."""
    now = time.time()
    lines = []
    for name, station in snapshot["stations"].items():
        table = snapshot["tables"].get(station["table"], {})
        oldest = table.get("oldest_us")
        unread = sum(value for key, value in station.items() if key.startswith("dead:"))
        lines.append(
            StationLine(
                station=name,
                received=station.get("messages", 0) + unread,
                spooled=table.get("made", 0),
                delivered=table.get("delivered", 0),
                dead_letters=dead_letters(station),
                backlog=table.get("spooled", 0),
                rate=station["rate"],
                oldest=format_age(now - oldest / 1e6) if oldest else "-",
            )
        )
    return lines


def make_view() -> View:
    """A live table when stdout is a terminal, plain lines otherwise."""
    return _Live() if sys.stdout.isatty() else _Plain()


class _Plain(View):
    """One line a second."""

    def show(self, seconds: float, lines: list[StationLine], note: str) -> None:
        parts = [
            f"{line.station}: received {line.received} spooled {line.spooled}"
            f" delivered {line.delivered} dead {line.dead_letters} backlog {line.backlog}"
            f" rate {line.rate:.0f}/s oldest {line.oldest}"
            for line in lines
        ]
        click.echo(" | ".join([f"{seconds:4.0f}s", *parts, *([note] if note else [])]))


class _Live(View):
    """A table that stays in place."""

    every_s = 0.5

    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415 - Only this view needs it.

        self._live = Live(auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, value, trace)

    def show(self, seconds: float, lines: list[StationLine], note: str) -> None:
        from rich import box  # noqa: PLC0415 - Only this view needs it.
        from rich.table import Table  # noqa: PLC0415 - The same.

        caption = note or "Ctrl-C ends it"
        table = Table(title=f"{seconds:.0f} s", caption=caption, box=box.SIMPLE, pad_edge=False)
        for number, heading in enumerate(_HEADINGS):
            table.add_column(heading, justify="right" if number else "left")
        for line in lines:
            table.add_row(
                line.station,
                f"{line.received:,}",
                f"{line.spooled:,}",
                f"{line.delivered:,}",
                f"{line.dead_letters:,}",
                f"{line.backlog:,}",
                f"{line.rate:,.0f}",
                line.oldest,
            )
        self._live.update(table, refresh=True)
