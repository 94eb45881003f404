"""The lines of a screen: what matters at three in the morning on top, one line for each station.

Widths are fixed, so that nothing moves but the figures; the column of names takes what is left.
"""

import io
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from collector.commands._output import at, printable, size
from collector.commands._watch.history import STEPS_MAX, History, curve
from collector.commands._watch.reading import Reading, StationRow
from collector.status import format_age

_LABEL: Final = 14
_NAME_MIN: Final = 17
_NAME_MAX: Final = 40
_CURVE_MIN: Final = 12
_LINES_ELSE: Final = 18
"""Lines that are no reasons, on a screen with eight stations."""
_STYLES: Final = {
    "ok": "green",
    "degraded": "yellow",
    "offline": "bold red",
    "failing": "bold red",
    "not running": "bold red",
    "unknown": "bold red",
    "held": "red",
    "waiting": "yellow",
}
_FINE: Final = "nothing is wrong"
_HEADINGS: Final = (("MSG/S", 5), ("REC/S", 5), ("OUT/S", 5), ("BACKLOG", 7))


@dataclass(frozen=True, slots=True)
class _Head:
    """What stands above the stations; `is_live` when the figures are of this moment."""

    health: str
    reasons: tuple[str, ...]
    is_live: bool


class Picture:
    """Draws readings; without colours where NO_COLOR says so."""

    def __init__(self, history: History, every_s: float) -> None:
        self._history = history
        self._every_s = every_s
        self.ascii_only = False

    def of(self, reading: Reading, columns: int, rows: int) -> list[str]:
        """Return the lines for what the daemon says."""
        fine = (_FINE,) if reading.health == "ok" else ()
        head = _Head(reading.health, (*fine, *reading.reasons), is_live=reading.is_fresh)
        return self._drawn(head, reading, columns, rows)

    def without(
        self,
        last: Reading | None,
        health: str,
        reason: str,
        since: float | None,
        columns: int,
        rows: int,
    ) -> list[str]:
        """Return the lines while nothing is said; what was said last stands there without rates."""
        reasons = [line.strip() for line in reason.splitlines()]
        if since is not None:
            age = format_age(time.time() - since)
            reasons.insert(0, f"since {at(int(since * 1e6))}, {age} ago")
        return self._drawn(_Head(health, tuple(reasons), is_live=False), last, columns, rows)

    def _drawn(self, head: _Head, reading: Reading | None, columns: int, rows: int) -> list[str]:
        # The last column stays free: see `screen.py`.
        width = max(columns - 1, 1)
        top = [self._title(reading, width, is_live=head.is_live), Text()]
        top += self._reasons(head, width, rows)
        if reading is not None:
            top += [_labelled(label, text) for label, text in _facts(reading, head)]
        lines = self._lines(top, width)
        footer = self._lines([Text(f"q quits; every {self._every_s:g} s")], width)
        if reading is not None:
            space = rows - len(lines) - len(footer) - 2
            lines += ["", *self._stations(reading, head, width, space)]
        lines = lines[: max(rows - 1, 0)]
        return [*lines, *[""] * (rows - 1 - len(lines)), *footer][:rows]

    def _title(self, reading: Reading | None, width: int, *, is_live: bool) -> Text:
        clock = datetime.now(UTC).strftime("%H:%M:%SZ")
        title = "collector"
        if reading is not None:
            title += f" {reading.version} on {reading.gateway}"
        if reading is not None and is_live:
            title += f", up {format_age(time.time() - reading.started_us / 1e6)}"
        text = Text(printable(title), "bold")
        text.truncate(max(width - len(clock) - 2, 0), overflow="ellipsis")
        text.pad_right(max(width - text.cell_len - len(clock), 0))
        return text.append(clock)

    def _reasons(self, head: _Head, width: int, rows: int) -> list[Text]:
        """The health, then as many of its reasons as leave room for stations."""
        console = _console(width)
        room = max(1, rows - _LINES_ELSE)
        most = max(2, room // len(head.reasons))
        wrapped: list[Text] = []
        for number, reason in enumerate(map(printable, head.reasons)):
            shown = list(Text(reason).wrap(console, max(width - _LABEL, 1)))
            if len(shown) > most:
                begun = " ".join(part.plain.rstrip() for part in shown[: most - 1])
                shown = [*shown[: most - 1], Text(reason[len(begun) :].strip())]
            left = len(head.reasons) - number
            if number and len(wrapped) + len(shown) + (left > 1) > room:
                wrapped.append(Text(f"and {left} more: see `collector status`"))
                break
            wrapped += shown
        label = Text(head.health.ljust(_LABEL), _STYLES.get(head.health, ""))
        return [
            (Text(" " * _LABEL) if number else label) + text for number, text in enumerate(wrapped)
        ]

    def _stations(self, reading: Reading, head: _Head, width: int, space: int) -> list[str]:
        found = reading.rows
        shown = found if len(found) <= space else found[: max(space - 1, 0)]
        longest = max((len(row.name) for row in found), default=0)
        fixed = sum(size for _, size in _HEADINGS) + len(_HEADINGS) + 6 + 5 + 9 + 4
        name = min(max(longest, _NAME_MIN), _NAME_MAX, max(width - fixed - _CURVE_MIN, 1))
        steps = max(min(width - fixed - name, STEPS_MAX), 0)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("STATION", width=name, no_wrap=True)
        for heading, wide in _HEADINGS:
            table.add_column(heading, width=wide, no_wrap=True, justify="right")
        span = format_age(steps * self._history.step_s)
        table.add_column(f"LAST {span}", width=steps, no_wrap=True)
        table.add_column("OLDEST", width=6, no_wrap=True, justify="right")
        table.add_column("DEAD", width=5, no_wrap=True, justify="right")
        table.add_column("STREAM", width=9, no_wrap=True)
        for row in shown:
            table.add_row(*self._cells(row, steps, is_live=head.is_live))
        lines = self._lines([table], width)
        if len(shown) < len(found):
            lines.append(f"and {len(found) - len(shown)} more")
        return lines

    def _cells(self, row: StationRow, steps: int, *, is_live: bool) -> list[Text]:
        rates = (row.message_rate, row.record_rate, row.out_rate)
        values = self._history.last(row.table, time.monotonic(), steps)
        state = row.state if is_live else "-"
        return [
            Text(printable(row.name)),
            *(Text(short(rate) if is_live else "-") for rate in rates),
            Text(f"{row.backlog:,}" if row.backlog < 1_000_000 else short(row.backlog)),
            Text(curve(values, row.record_rate, ascii_only=self.ascii_only)),
            Text(format_age(time.time() - row.oldest_us / 1e6) if row.oldest_us else "-"),
            Text(short(row.dead)),
            Text(printable(state), _STYLES.get(state, "")),
        ]

    def _lines(self, parts: Iterable[RenderableType], width: int) -> list[str]:
        console = _console(width)
        with console.capture() as captured:
            console.print(Group(*parts), no_wrap=True, overflow="ellipsis", crop=True)
        return [line.rstrip() for line in captured.get().splitlines()]


def _console(width: int) -> Console:
    """What turns styles into text; what the environment says of the terminal is not asked again."""
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard",
        no_color=bool(os.environ.get("NO_COLOR")),
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _labelled(label: str, text: str) -> Text:
    return Text(label.ljust(_LABEL) + printable(text))


def _facts(reading: Reading, head: _Head) -> Iterable[tuple[str, str]]:
    """What is true of the whole line, the daemon's figures only while they are of this moment."""
    waiting = sum(reading.backlogs.values())
    ages = [row.oldest_us for row in reading.rows if row.oldest_us]
    oldest = f", the oldest {format_age(time.time() - min(ages) / 1e6)} old" if ages else ""
    full = f"{reading.used_bytes / reading.max_bytes:.1%} of {size(reading.max_bytes)}"
    if head.is_live:
        rate = reading.broker_rate
        said = "" if rate is None else f", {short(rate)} messages/s"
        yield "broker", reading.broker + said
        if reading.http:
            yield "http", reading.http
    yield "backlog", f"{waiting:,} records{oldest}"
    parts = [full, reading.forecast if head.is_live else ""]
    if reading.disk_free_bytes is not None:
        parts.append(f"{size(reading.disk_free_bytes)} free on the disk")
    yield "spool", ", ".join(part for part in parts if part)
    if reading.dead:
        yield "dead letters", f"{reading.dead:,} kept, {size(reading.dead_bytes)}"
    if reading.quarantined:
        files = "file" if reading.quarantined == 1 else "files"
        saved = f"{reading.salvaged:,} records saved"
        yield "quarantine", f"{reading.quarantined:,} damaged {files} kept, {saved}"


def short(value: float) -> str:
    """Return a count or a rate in at most five characters.

    >>> [short(value) for value in (0, 0.26, 9.96, 310.4, 9_999, 12_345, 999_960, 1_200_000)]
    ['0', '0.3', '10', '310', '9,999', '12.3k', '1.0M', '1.2M']
    """
    if value < 9.95:
        return f"{value:.1f}" if value % 1 else f"{value:.0f}"
    if value < 9_999.5:
        return f"{value:,.0f}"
    units = iter("kMGT")
    unit = ""
    while value >= 999.5:
        value, unit = value / 1000, next(units)
    return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
