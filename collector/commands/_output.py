"""How commands write: aligned columns for people, one JSON document for programs.

stdout is data and nothing else; talk goes to stderr.
"""

import json
from collections.abc import Sequence
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")


def echo_json(document: Any) -> None:
    """Write a document to stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def echo_columns(rows: Sequence[Sequence[Any]]) -> None:
    """Write rows as aligned columns; the first row is the heading. Numbers stand to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(v, int) for v in column) for column in zip(*rows[1:], strict=True)]
    for row in cells:
        places = zip(row, widths, numeric or [False] * len(widths), strict=True)
        line = "  ".join(c.rjust(width) if right else c.ljust(width) for c, width, right in places)
        click.echo(line.rstrip())


def printable(text: str) -> str:
    r"""Text of a stranger without what a terminal would obey.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))
