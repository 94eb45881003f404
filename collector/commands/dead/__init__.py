"""`collector dead`: what could not be delivered, and what becomes of it."""

import sys

import click

from collector.commands._folder import folder


@click.command(
    cls=folder(sys.modules[__name__]),
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 75 locked, 78 configuration.",
)
def command() -> None:
    """Look at dead letters, replay them, purge them.

    Example: collector dead list
    """
