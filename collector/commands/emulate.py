"""`collector emulate`: a local Zerobus for tests and demonstrations."""

import json
import os
import signal
from pathlib import Path

import click

from collector.errors import CollectorError
from collector.signals import Ending

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    short_help="Run a local Zerobus.",
    epilog="Exit codes: 0 stopped by a signal with everything committed, 1 failed, 2 usage,"
    " 78 a schema of --tables.",
)
@click.option("--grpc", default="127.0.0.1:15051", show_default=True, metavar="HOST:PORT")
@click.option("--http", default="127.0.0.1:15052", show_default=True, metavar="HOST:PORT")
@click.option(
    "--lake", type=_FOLDER, help="Where tables lie: DIR/catalog/schema/table. [default: ./lake]"
)
@click.option("--tables", type=_FOLDER, help="The tables that exist: DIR/NAME/schema.proto.")
@click.option("--catalog", metavar="CATALOG.SCHEMA", help="What the tables of --tables are in.")
@click.option(
    "--table",
    "named",
    multiple=True,
    metavar="FULL.TABLE.NAME=DIR",
    help="A table that exists, by its folder with a schema.proto; may be repeated.",
)
@click.option("--count-only", is_flag=True, help="Decode and store nothing; count and acknowledge.")
@click.option("--log", type=_FILE, help="Append every record to this file before its ack.")
@click.option("--faults", type=_FILE, help="The fault plan to start with, as JSON.")
@click.option(
    "--ack-delay",
    default=0.15,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds from arrival to ack, if the commit is not slower.",
)
@click.option(
    "--commit-interval",
    default=0.2,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds from one commit of a table to its next.",
)
@click.option(
    "--streams-per-connection",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="An open past it hangs until the client gives up.",
)
@click.option("--client-id", default="", help="Check credentials; without it all are good.")
@click.option("--client-secret-file", type=_FILE, help="Holds the secret of --client-id.")
@click.option(
    "--token-ttl",
    default=3600.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds that a token is good for.",
)
@click.option("--cert", type=_FILE, help="Serve both ports with TLS: the certificate chain.")
@click.option("--key", type=_FILE, help="Serve both ports with TLS: the private key.")
def command(
    tables: Path | None,
    catalog: str | None,
    named: tuple[str, ...],
    faults: Path | None,
    client_id: str,
    client_secret_file: Path | None,
    lake: Path | None,
    count_only: bool,
    **rest: object,
) -> None:
    """Run a local Zerobus that writes Delta tables, and fails when it is told to.

    Prints one line with its addresses when it is ready. SIGTERM and SIGINT end it after it has
    committed and acknowledged what it took. The secret of --client-id may also come from the
    variable EMULATOR_CLIENT_SECRET. docs/emulator.md explains every option and the fault plan.

    Example: collector emulate --grpc 127.0.0.1:15051 --http 127.0.0.1:15052 --lake ./lake
    """
    try:
        from collector.emulator import Emulator, EmulatorOptions
    except ImportError as error:
        raise CollectorError(
            f"the emulator is not installed: {error}", "pip install 'zerobus-collector[emulator]'"
        ) from error

    emulator = Emulator(
        EmulatorOptions(
            lake=lake or (None if count_only else Path("lake")),
            count_only=count_only,
            tables=_tables(tables, catalog, named),
            faults=_faults(faults),
            client_id=client_id,
            client_secret=_secret(client_secret_file) if client_id else "",
            **rest,  # type: ignore[arg-type]
        )
    )
    ended = Ending()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with emulator:
        click.echo(f"ready: zerobus {emulator.endpoint} workspace {emulator.workspace_url}")
        ended.wait()


def _tables(
    folder: Path | None, catalog: str | None, named: tuple[str, ...]
) -> dict[str, Path] | None:
    """Full names and folders of the tables that exist; None if any may."""
    if folder is None and not named:
        return None
    found: dict[str, Path] = {}
    if folder is not None:
        if catalog is None or catalog.count(".") != 1:
            raise click.UsageError("--tables needs --catalog CATALOG.SCHEMA.")
        for schema in sorted(folder.glob("*/schema.proto")):
            found[f"{catalog}.{schema.parent.name}"] = schema.parent
        if not found:
            raise click.UsageError(f"{folder} holds no folder with a schema.proto.")
    for one in named:
        name, equals, path = one.partition("=")
        if not equals:
            raise click.UsageError(f"--table {one} is not FULL.TABLE.NAME=DIR.")
        found = {full: where for full, where in found.items() if where != Path(path)}
        found[name] = Path(path)
    return found


def _faults(file: Path | None) -> dict[str, object]:
    """The fault plan of a file; whether it is one, the emulator says."""
    if file is None:
        return {}
    try:
        plan: dict[str, object] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--faults {file}: {error}") from error
    return plan


def _secret(file: Path | None) -> str:
    """The client secret, never from the command line: other users can read that."""
    if file is None:
        return os.environ.get("EMULATOR_CLIENT_SECRET", "")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise click.UsageError(f"--client-secret-file {file}: {error}") from error
