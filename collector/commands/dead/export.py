"""`collector dead export`: dead letters for another program."""

from pathlib import Path
from typing import Any

import click

from collector.commands._export import export, format_option, output_option
from collector.commands._files import refuse_spool
from collector.commands._options import (
    config_option,
    file_option,
    selected,
    selection_options,
    spool_path,
)

_COLUMNS = (
    "id", "received", "station", "table", "topic", "kind", "reason", "field", "position", "seq",
    "encoding", "payload",
)  # fmt: skip


@click.command(
    short_help="Write dead letters to a file.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 78 configuration.",
)
@config_option
@file_option
@selection_options(reason=True)
@format_option
@output_option
def command(
    config: Path, file: Path | None, form: str, output: Path | None, **filters: Any
) -> None:
    """Write dead letters to a file or to stdout, however many there are.

    `encoding` says whether the payload is text or base64.

    Example: collector dead export --format csv -o dead.csv
    """
    from collector.commands.dead._letter import exported
    from collector.spool.letters import Letters

    path = spool_path(config, file)
    refuse_spool(output, path)
    letters = Letters(path)
    selection = selected(filters)
    documents = (exported(letter) for letter in letters.all(selection))
    count = export(documents, _COLUMNS, form, output, letters.count(selection))
    click.echo(f"{count:,} dead letters", err=True)
