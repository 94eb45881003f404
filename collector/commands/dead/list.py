"""`collector dead list`: what could not be delivered, and why."""

from itertools import islice
from pathlib import Path
from typing import Any

import click

from collector.commands._options import (
    config_option,
    count_option,
    file_option,
    selected,
    selection_options,
    spool_path,
)
from collector.commands._output import (
    at,
    echo_columns,
    echo_lines,
    lines_option,
)

_PAYLOAD_CHARS = 200


@click.command(
    short_help="List dead letters, or count them.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.",
)
@config_option
@file_option
@selection_options(reason=True)
@count_option
@click.option("--after", type=int, help="Go on behind the letter of this id.")
@click.option("--newest", is_flag=True, help="The newest first.")
@click.option(
    "--by",
    "groups",
    type=click.Choice(["kind", "station", "table"]),
    multiple=True,
    help="Count by this instead; may be given more than once.",
)
@lines_option
def command(
    config: Path,
    file: Path | None,
    count: int,
    after: int | None,
    newest: bool,
    groups: tuple[str, ...],
    as_json: bool,
    **filters: Any,
) -> None:
    """List dead letters, the oldest first, or count them by kind, station or table.

    Works beside the daemon, without it, and on a copy.

    Example: collector dead list --by kind --by station

    Example: collector dead list --reason bad_value --since 2h
    """
    from collector.spool.letters import Letters

    letters = Letters(spool_path(config, file))
    selection = selected(filters)
    if groups:
        found = letters.by(groups, selection)
        if as_json:
            echo_lines(found)
        elif found:
            _show_counts(groups, found)
    else:
        found = [
            _described(letter)
            for letter in islice(letters.all(selection, after=after, newest=newest), count)
        ]
        if as_json:
            echo_lines(found)
        elif found:
            _show(found)
            _say_more(letters.count(selection), found, newest=newest)
    if not found:
        click.echo("no dead letters", err=True)


def _described(letter: Any) -> dict[str, Any]:
    from collector.commands.dead._letter import described

    return described(letter)


def _show(found: list[dict[str, Any]]) -> None:
    rows: list[tuple[Any, ...]] = [
        ("ID", "ARRIVED", "KIND", "STATION", "REASON", "PAYLOAD", "TOPIC", "FIELD")
    ]
    for letter in found:
        payload = letter.get("text", letter.get("hex", ""))
        rows.append(
            (
                letter["id"], at(letter["received_us"]), letter["kind"], letter["station"] or "-",
                letter["reason"].split("\n")[-1], payload[:_PAYLOAD_CHARS],
                letter["topic"] or "-", letter["field"] or "-",
            )
        )  # fmt: skip
    echo_columns([(str(row[0]), *row[1:]) for row in rows], fixed=3)


def _show_counts(groups: tuple[str, ...], found: list[dict[str, Any]]) -> None:
    heading = (*(group.upper() for group in groups), "LETTERS", "FIRST", "LAST")
    rows = [
        (
            *(one[group] or "-" for group in groups),
            one["letters"],
            at(one["first_us"]),
            at(one["last_us"]),
        )
        for one in found
    ]
    echo_columns([heading, *rows])


def _say_more(total: int, found: list[dict[str, Any]], *, newest: bool) -> None:
    if total > len(found):
        order = "--newest " if newest else ""
        click.echo(
            f"{len(found)} of {total:,}; for more: {order}--after {found[-1]['id']}", err=True
        )
