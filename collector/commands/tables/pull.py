"""`collector tables pull`: the schema of a table that is there."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from collector.commands._names import complete_table
from collector.commands._options import config_option
from collector.errors import CollectorError

if TYPE_CHECKING:
    from collector.tables import Described

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


@click.command(
    short_help="Write schema.proto from a table.",
    epilog="Exit codes: 0 written, 1 there is a schema already, or Zerobus can't write to such a"
    " table, 2 usage, 4 the workspace can't be asked, 78 configuration.",
)
@click.argument("table", metavar="CATALOG.SCHEMA.TABLE", shell_complete=complete_table)
@click.option("--name", help="The folder under tables/. Default: the last part of the name.")
@click.option("--force", is_flag=True, help="Write over a schema that is there.")
@config_option
def command(table: str, name: str | None, force: bool, config: Path) -> None:
    """Read a table from Unity Catalog and write tables/NAME/schema.proto.

    Comments of the table and its columns become comments of the file.

    Example: collector tables pull main.iot.station_one
    """
    from collector.catalog import Catalog
    from collector.config import load
    from collector.tables import FILE_NAME

    if table.count(".") != 2 or not all(table.split(".")):
        raise click.BadParameter(f"{table!r} is not CATALOG.SCHEMA.TABLE", param_hint="TABLE")
    folder_name = table.rpartition(".")[2] if name is None else name
    if not _NAME.fullmatch(folder_name):
        raise click.BadParameter(
            f"{folder_name!r} can't be the name of a folder here: ASCII letters, digits, - and _",
            param_hint="--name",
        )
    loaded = load(config)
    file = loaded.path.parent / "tables" / folder_name / FILE_NAME
    if file.exists() and not force:
        raise CollectorError(
            f"{file} is there already",
            f"`collector tables diff` compares it with {table}; --force writes over it.",
        )
    described_table = _read(Catalog(loaded.zerobus).table(table), table)
    _write(file, _text(described_table, folder_name))
    click.echo(file)
    if described_table.unfit:
        click.echo(f"warning: {table} {described_table.unfit}", err=True)
    stations = [station.name for station in loaded.stations if station.table == table]
    written = f"{len(described_table.columns)} columns of {table}"
    hint = "" if stations else f"; give a station `table: {table}` and `schema: {folder_name}`"
    click.echo(f"{written}{hint}; `collector check` looks at both", err=True)


def _read(answer: object, table: str) -> "Described":
    """Read the answer; a column that Zerobus can't take is an error that names it."""
    from collector.tables import described
    from collector.tables.limits import untakable

    try:
        found = described(answer)  # type: ignore[arg-type]
    except ValueError as error:
        raise CollectorError(
            f"{table}: {error}", "Write its schema.proto by hand; docs/tables.md has the types."
        ) from error
    if not found.columns:
        raise CollectorError(f"{table} has no columns", "Is it a Delta table?")
    if problems := list(untakable(found.columns)):
        text = "\n".join(f"{table}: column {path} {why}" for path, why in problems)
        raise CollectorError(
            text,
            "A column that may be NULL need not be in the schema: write schema.proto by hand"
            " without it, and it stays NULL.",
        )
    return found


def _text(found: "Described", name: str) -> str:
    from collector.tables.proto_text import proto_text

    heading = f"The schema of {found.name}, as `collector tables pull` found it."
    return proto_text(name, found.columns, found.comment, heading)


def _write(file: Path, text: str) -> None:
    """Write a schema when it compiles: beside its place first, so that no half of it is read."""
    import tempfile

    from collector.tables import FILE_NAME, load_schema

    with tempfile.TemporaryDirectory(prefix="collector-") as folder:
        trial = Path(folder) / FILE_NAME
        trial.write_text(text, encoding="utf-8")
        load_schema(trial.parent)
    fresh = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        raise CollectorError(f"{file} can't be written: {error.strerror}") from error
