"""What can't be taken back is asked for: by a number to type, or by --yes."""

import sys

import click


def confirm(count: int, what: str, *, yes: bool, fate: str = "would go for good") -> None:
    """Let an operator type how many are meant; ends the command when that is not done.

    Raises:
        click.UsageError: there is no terminal to ask on, and no --yes.
        click.Abort: something else was typed.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{count:,} {what} {fate}: say --yes")
    click.echo(f"{count:,} {what} {fate}.", err=True)
    typed = click.prompt("Type how many", err=True)
    if typed.strip().replace(",", "") != str(count):
        click.echo("That is another number: nothing was done.", err=True)
        raise click.Abort
