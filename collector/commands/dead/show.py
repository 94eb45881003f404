"""`collector dead show`: one dead letter in full."""

from pathlib import Path
from typing import Any

import click

from collector.commands._options import config_option, file_option, spool_path
from collector.commands._output import at, echo_fields, echo_json, json_option, printable
from collector.errors import SpoolError


@click.command(epilog="Exit codes: 0 done, 1 there is none of this id, 2 usage, 78 configuration.")
@click.argument("letter_id", metavar="ID", type=int)
@config_option
@file_option
@json_option
def command(letter_id: int, config: Path, file: Path | None, as_json: bool) -> None:
    """Show a dead letter with its whole payload, as text or hex.

    A record that Zerobus refused, or that expired, is shown by the columns of its table.

    Example: collector dead show 17
    """
    from collector.commands.dead._letter import described
    from collector.spool.letters import Letters
    from collector.spool.selection import Selection

    path = spool_path(config, file)
    letters = Letters(path)
    letter = next(letters.all(Selection(ids=(letter_id,))), None)
    if letter is None:
        raise SpoolError(
            f"{path}: no dead letter has the id {letter_id}",
            "`collector dead list` shows those that are kept.",
        )
    document = described(letter)
    if letter.seq is not None:
        document |= _row(letters, letter.fingerprint, letter.payload)
    if as_json:
        echo_json(document)
        return
    document["received"] = at(letter.received_us)
    del document["received_us"]
    row = document.pop("row", None)
    echo_fields({key: value for key, value in document.items() if value not in (None, "")})
    for name, value in (row or {}).items():
        click.echo(printable(f"  {name} = {value!r}" if value is not None else f"  {name} is NULL"))


def _row(letters: Any, fingerprint: bytes, record: bytes) -> dict[str, Any]:
    """The columns of a record, or why they can't be shown."""
    from collector.rows import Rows

    try:
        return {"row": Rows(letters.stored_schema).row(fingerprint, record)}
    except (ValueError, SpoolError) as error:
        return {"undecoded": str(error)}
