"""What one sees while a command listens: a table that stays in place, or a line now and then."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from collector.commands._output import printable

if TYPE_CHECKING:
    from collector.discover.overview import Line

EVERY_S: Final = 1.0
PLAIN_EVERY_S: Final = 10.0
_ROWS_ELSE: Final = 8
"""Lines of the screen that are no groups."""


class Picture:
    """Shows the groups; on a terminal in place, elsewhere as one line of figures."""

    def __init__(self) -> None:
        self.is_live = sys.stderr.isatty()
        self.every_s = EVERY_S if self.is_live else PLAIN_EVERY_S
        self._live: Any = None

    def shown(self) -> AbstractContextManager[Any]:
        """A context in which the terminal is drawn on, and given back."""
        if not self.is_live:
            return nullcontext()
        from rich.console import Console
        from rich.live import Live

        # What is found is written to stdout at the end; this is talk.
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        context: AbstractContextManager[Any] = self._live
        return context

    def show(self, left_s: float, messages: int, lines: "list[Line]") -> None:
        """Show the groups of this moment."""
        head = f"{messages:,} messages, {left_s:.0f} s left; Ctrl-C ends listening and writes"
        if self._live is None:
            topics = sum(line.topics for line in lines)
            click.echo(f"{head}: {topics:,} topics of {len(lines)} kinds", err=True)
        else:
            self._live.update(self._table(head, lines), refresh=True)

    def _table(self, head: str, lines: "list[Line]") -> Any:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        space = max(self._live.console.height - _ROWS_ELSE, 3)
        table = Table(title=head, box=box.SIMPLE, pad_edge=False, title_justify="left")
        table.add_column("TOPIC", no_wrap=True, overflow="ellipsis")
        table.add_column("FORMAT", no_wrap=True)
        for heading in ("TOPICS", "MESSAGES", "FIELDS"):
            table.add_column(heading, justify="right", no_wrap=True)
        for line in lines[:space]:
            table.add_row(
                Text(printable(line.filter)),
                line.format,
                f"{line.topics:,}",
                f"{line.messages:,}",
                f"{line.fields:,}",
            )
        if len(lines) > space:
            table.caption = f"and {len(lines) - space} more"
        return table
