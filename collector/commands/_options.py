"""Options that commands share."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._names import complete_kind, complete_station, complete_table

if TYPE_CHECKING:
    from collector.spool.selection import Selection

config_option = click.option(
    "--config",
    "-c",
    # What can't be read is a mistake of the configuration, and ends with its exit code.
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    default=Path("stations.yaml"),
    show_default=True,
    envvar="COLLECTOR_CONFIG",
    help="The configuration file.",
)
file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A spool file, such as a copy, instead of that of the configuration.",
)
count_option = click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many are shown.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, and change nothing."
)


class Moment(click.ParamType[int]):
    """A time as ISO 8601, local unless it names a zone, or how long ago it was: `90s`, `2h`, `7d`.

    Gives microseconds since the epoch.
    """

    name = "time"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - click's signature.
    ) -> int:
        if isinstance(value, int):
            return value
        import time

        from collector.config.quantities import parse_duration

        try:
            if re.fullmatch(r"\s*[0-9.]+\s*[A-Za-z]+\s*", value):
                return int((time.time() - parse_duration(value)) * 1e6)
            return round(datetime.fromisoformat(value).timestamp() * 1e6)
        except (ValueError, OverflowError) as error:
            self.fail(f"{value!r} is no time: write 2h, 7d or 2026-11-23T12:00 ({error})", param)


class Duration(click.ParamType[float]):
    """A duration with its unit, such as `90s` or `10min`; gives seconds."""

    name = "duration"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002 - click's signature.
    ) -> float:
        from collector.config.quantities import parse_duration

        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param)


def selection_options(*, reason: bool = False, table: bool = True) -> Callable[[Any], Any]:
    """Add the filters; the command gets them as `selection`, a `Selection`."""

    def decorate(command: Any) -> Any:
        options = [
            click.option(
                "--station",
                "stations",
                multiple=True,
                help="Of this station only.",
                shell_complete=complete_station,
            ),
            click.option("--since", type=Moment(), help="Arrived since: 2h, 7d, or a time."),
            click.option("--until", type=Moment(), help="Arrived before: 2h, 7d, or a time."),
        ]
        if table:
            of_table = click.option(
                "--table",
                "tables",
                multiple=True,
                help="Of this table.",
                shell_complete=complete_table,
            )
            options.insert(0, of_table)
        if reason:
            text = "Of this kind, or with this text in the reason."
            options.append(
                click.option("--reason", default="", help=text, shell_complete=complete_kind)
            )
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def selected(filters: dict[str, Any], **more: Any) -> "Selection":
    """Return the selection that the filters of a command mean."""
    from collector.spool.selection import Selection

    since, until = filters.pop("since", None), filters.pop("until", None)
    return Selection(since_us=since, until_us=until, **filters, **more)


def spool_path(config: Path, file: Path | None) -> Path:
    """Return the spool that a command is to read."""
    if file is not None:
        return file
    from collector.commands._places import places

    return places(config).spool
