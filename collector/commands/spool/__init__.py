"""`collector spool`: the operator's hands on the spool."""

import sys

import click

from collector.commands._folder import folder


@click.command(
    cls=folder(sys.modules[__name__]),
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 75 locked, 78 configuration.",
)
def command() -> None:
    """Look into the spool, copy it, check it, mend it.

    Example: collector spool stats
    """
