"""`collector spool show`: one record in full."""

from pathlib import Path

import click

from collector.commands._options import config_option, file_option, spool_path
from collector.commands._output import as_json_text, at, echo_fields, echo_json, json_option


@click.command(
    epilog="Exit codes: 0 done, 1 it is not in the spool or can't be read, 2 usage,"
    " 78 configuration."
)
@click.argument("seq", type=int)
@config_option
@file_option
@json_option
def command(seq: int, config: Path, file: Path | None, as_json: bool) -> None:
    """Show the record of a number: where it is, and each column.

    Example: collector spool show 1790000000012345
    """
    from collector.commands.spool._record import describer
    from collector.spool.contents import Contents, require

    contents = Contents(spool_path(config, file))
    record = require(contents.find(seq), seq, contents.path)
    document = describer(contents.stored_schema)(record)
    if as_json:
        echo_json(document)
    else:
        row = document.pop("row", {})
        document["received"] = at(document.pop("received_us"))
        echo_fields(document)
        click.echo()
        echo_fields({name: _shown(value) for name, value in row.items()})
    if "broken" in document:
        raise click.exceptions.Exit(1)


def _shown(value: object) -> str:
    return "NULL" if value is None else value if isinstance(value, str) else as_json_text(value)
