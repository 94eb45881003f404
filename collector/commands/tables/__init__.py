"""`collector tables`: the tables in the workspace and the schemas on this box."""

import sys

import click

from collector.commands._folder import folder


@click.command(
    cls=folder(sys.modules[__name__]),
    short_help="Create tables, fetch their schemas, compare them.",
    epilog="Exit codes: 0 done, 1 failed or different, 2 usage, 4 the workspace can't be asked,"
    " 78 configuration.",
)
def command() -> None:
    """Write the SQL of tables, fetch their schemas, and compare both.

    Example: collector tables ddl
    """
