"""How commands export: a stream of any size, row by row, with a progress bar on a terminal."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from collector.commands._files import written
from collector.commands._output import as_json_text, printable

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "csv"]),
    default="ndjson",
    show_default=True,
    help="One JSON object a line, or comma-separated values with a heading.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, which only you can read. Default: stdout.",
)


def export(
    documents: Iterable[dict[str, Any]],
    columns: Sequence[str],
    form: str,
    output: Path | None,
    total: int,
) -> int:
    """Write documents and return how many; `columns` are those of a csv, in their order."""
    count = 0
    to_terminal = output is None and sys.stdout.isatty()
    with written(output) as file:
        table = csv.writer(file)
        if form == "csv":
            table.writerow(columns)
        for document in documents if to_terminal else _watched(documents, total):
            if form == "csv":
                cells = [_plain(document.get(column)) for column in columns]
                table.writerow(map(_harmless, cells) if to_terminal else cells)
            else:
                file.write(as_json_text(document) + "\n")
            count += 1
    return count


def _watched(documents: Iterable[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    if not sys.stderr.isatty():
        yield from documents
        return
    with click.progressbar(
        documents, length=total, file=sys.stderr, show_pos=True, update_min_steps=1_000
    ) as bar:
        yield from bar


def _harmless(cell: Any) -> Any:
    return printable(cell) if isinstance(cell, str) else cell


def _plain(value: Any) -> Any:
    """What is nested stands as JSON; NULL is an empty cell."""
    if isinstance(value, dict | list | bool):
        return json.dumps(value, ensure_ascii=False)
    return value
