"""`collector doctor`: everything that the collector needs, looked at before it is needed."""

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from collector.commands._options import config_option
from collector.commands._output import echo_json, json_option, printable

if TYPE_CHECKING:
    from collector.doctor import Report

_SIGNS: Final = {"ok": "✓", "warning": "!", "error": "✗", "skipped": "-"}
_COLOURS: Final = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "bright_black"}
_NAME_COLUMNS: Final = 19
_INDENT: Final = "    "
_EXIT_CODES: Final = {"ok": 0, "warnings": 1, "errors": 4}


@click.command(
    short_help="Look at all that the collector needs.",
    epilog="Exit codes: 0 nothing is wrong, 1 warnings, 2 usage, 4 errors.",
)
@config_option
@json_option
@click.option("--offline", is_flag=True, help="Leave the workspace and Zerobus alone.")
def command(config: Path, as_json: bool, offline: bool) -> None:
    """Check this box, the configuration, the spool, the broker, the workspace and Zerobus.

    Says of each check what was found and, where something is wrong, what mends it. Works beside the
    running daemon, changes nothing, and takes seconds, or at most six minutes where all is slow.
    Run it as the user of the daemon, or as root where only root may read the secrets.

    It subscribes to the topics of the stations for a moment, as a client of its own, publishes one
    message to a topic under collector/doctor, and opens a stream to each table, on which it sends
    nothing.

    Example: collector doctor --config /etc/collector/stations.yaml

    Example: collector doctor --offline --json
    """
    from collector.doctor import Doctor

    reports = []
    for report in Doctor(config, offline=offline).examine():
        reports.append(report)
        if not as_json:
            _show(report)
    counts = Counter(report.finding.level.value for report in reports)
    result = "errors" if counts["error"] else "warnings" if counts["warning"] else "ok"
    if as_json:
        echo_json({"result": result, "checks": [_as_json(report) for report in reports]})
    else:
        _sum_up(counts)
    raise click.exceptions.Exit(_EXIT_CODES[result])


def _as_json(report: "Report") -> dict[str, Any]:
    finding = report.finding
    return {
        "check": report.check.name,
        "subject": report.check.subject,
        "level": finding.level.value,
        "found": finding.found,
        "fix": finding.fix,
        "lines": list(finding.lines),
    }


def _show(report: "Report") -> None:
    """Write one finding; prose is wrapped, lines to be copied are not."""
    finding, level = report.finding, report.finding.level.value
    subject = f"{report.check.subject}: " if report.check.subject else ""
    sign = _signs()[level]
    margin = " " * (len(sign) + _NAME_COLUMNS + 2)
    first, *others = _wrapped(subject + finding.found, len(margin))
    if not os.environ.get("NO_COLOR"):
        # Where it is no terminal, click takes the colour away again.
        sign = click.style(sign, fg=_COLOURS[level])
    click.echo(f"{sign} {report.check.name:{_NAME_COLUMNS}} {first}")
    for line in others:
        click.echo(margin + line)
    for line in _wrapped(finding.fix, len(_INDENT)) if finding.fix else ():
        click.echo(_INDENT + line)
    for line in finding.lines:
        click.echo(_INDENT + "  " + printable(line))


def _signs() -> dict[str, str]:
    """One sign for each level, or its word where a terminal may not know the sign."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if sys.stdout.isatty() and encoding == "utf8":
        return _SIGNS
    return {level: f"{level:7}" for level in _SIGNS}


def _wrapped(text: str, margin: int) -> Iterable[str]:
    text = printable(" ".join(text.split()))
    if not sys.stdout.isatty():
        return [text]
    columns = max(shutil.get_terminal_size().columns - margin, 20)
    return textwrap.wrap(text, columns, break_on_hyphens=False) or [""]


def _sum_up(counts: Counter[str]) -> None:
    parts = [
        f"{counts['ok']} ok",
        f"{counts['warning']} warning{'' if counts['warning'] == 1 else 's'}",
        f"{counts['error']} error{'' if counts['error'] == 1 else 's'}",
        f"{counts['skipped']} skipped",
    ]
    click.echo("\n" + ", ".join(parts))
