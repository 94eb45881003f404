"""How commands write: columns that fit the terminal for people, JSON for programs.

stdout is data and nothing else; talk goes to stderr. What strangers sent (payloads, topics) never
reaches a terminal as it is: it could be a control sequence.
"""

import json
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from collector.errors import Problem

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Write NDJSON: one JSON object a line."
)

_GAP: Final = "  "
_COLUMN_MIN: Final = 14


def echo_json(document: Any) -> None:
    """Write a document to stdout."""
    click.echo(as_json_text(document, indent=2))


def echo_lines(documents: Iterable[Any]) -> None:
    """Write NDJSON to stdout."""
    for document in documents:
        click.echo(as_json_text(document))


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return a mistake of a file, or a remark on it, as a document."""
    return {
        "file": str(problem.file),
        "line": problem.line,
        "key": problem.key,
        "text": problem.text,
        "hint": problem.hint,
    }


def as_json_text(document: Any, indent: int | None = None) -> str:
    r"""Return JSON in which everything that a terminal would obey is escaped.

    >>> as_json_text({"a": "x\x9b2J \u202e é"})
    '{"a": "x\\u009b2J \\u202e é"}'
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def echo_columns(rows: Sequence[Sequence[Any]], fixed: int = 0) -> None:
    """Write rows as aligned columns; the first row is the heading. Numbers stand to the right.

    On a terminal the widest columns are cut until a row fits a line, and the last ones are left out
    where that is not enough; the first `fixed` ones and numbers stay whole. Elsewhere nothing is
    cut, so that `grep` finds it.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(v, int) for v in column) for column in zip(*rows[1:], strict=True)]
    numeric = numeric or [False] * len(widths)
    if sys.stdout.isatty():
        whole = [place < fixed or right for place, right in enumerate(numeric)]
        widths = _fitting(widths, whole, shutil.get_terminal_size().columns)
    for row in cells:
        places = zip(row[: len(widths)], widths, numeric[: len(widths)], strict=True)
        line = _GAP.join(_placed(cell, width, right=right) for cell, width, right in places)
        click.echo(line.rstrip())


def echo_fields(fields: Mapping[str, Any]) -> None:
    """Write names and values below each other; a value of several lines is indented."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        lines = [printable(line) for line in str(value).split("\n")] or [""]
        click.echo(f"{name.ljust(width)}  {lines[0]}".rstrip())
        for line in lines[1:]:
            click.echo(f"{' ' * width}  {line}".rstrip())


def printable(text: str) -> str:
    r"""Text of a stranger without what a terminal would obey.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shown_payload(payload: bytes) -> tuple[str, str]:
    """Return how bytes are shown: as `text` when they are UTF-8, else as `hex`."""
    try:
        return "text", payload.decode()
    except UnicodeDecodeError:
        return "hex", payload.hex()


def at(time_us: int) -> str:
    """Return a time to the second, in UTC, so that boxes can be compared.

    >>> at(1_790_000_000_000_000)
    '2026-09-21 14:13:20Z'
    """
    try:
        moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(time_us)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def iso(time_us: int) -> str:
    """Return a time to the microsecond, for programs."""
    try:
        seconds, rest = divmod(time_us, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
    except (ValueError, OverflowError, OSError):
        return str(time_us)


def size(count: int) -> str:
    """Return bytes as people read them.

    >>> size(512), size(40_000), size(1_250_000_000)
    ('512 B', '40.0 kB', '1.2 GB')
    """
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while abs(value) >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _width(text: str) -> int:
    """Columns of a terminal: a Chinese character takes two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _fitting(widths: list[int], whole: list[bool], columns: int) -> list[int]:
    """Make the widest columns narrower until all fit; leave the last out where that won't do."""
    fitting = list(widths)
    while len(fitting) > 1:
        excess = sum(fitting) + len(_GAP) * (len(fitting) - 1) - columns
        flexible = [place for place in range(len(fitting)) if not whole[place]]
        wide = [place for place in flexible if fitting[place] > _COLUMN_MIN]
        if excess <= 0:
            break
        if sum(fitting[place] - _COLUMN_MIN for place in wide) < excess:
            fitting = widths[: len(fitting) - 1]
            continue
        fitting[max(wide, key=fitting.__getitem__)] -= 1
    return fitting


def _placed(text: str, width: int, *, right: bool) -> str:
    if _width(text) > width:
        while _width(text) >= width:
            text = text[:-1]
        text += "…"
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding
