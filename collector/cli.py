"""The command line: what each command is called, and how it ends.

A command is a function in `commands/NAME.py` called `command`, found by its name, so that starting
one command imports nothing of the others.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import NoReturn

import click

from collector import commands
from collector.errors import CollectorError


class _Commands(click.Group):
    """Finds commands by their file; `spool_stats.py` would be `spool-stats`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature.
        return sorted(
            module.name
            for module in iter_modules(commands.__path__)
            if not module.name.startswith("_")
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"collector.commands.{cmd_name}").command
        return command


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not running, 4 failing, 75 locked, 78"
    " configuration.",
)
@click.version_option(package_name="zerobus-collector")
def collector() -> None:
    """Carry sensor data from MQTT into Databricks tables and lose nothing on the way."""


def main() -> NoReturn:
    """Run a command; errors that are ours end with their message and their exit code."""
    try:
        # What is not standalone gives the exit code of `ctx.exit` back instead of ending.
        code = collector.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except CollectorError as error:
        click.echo(f"collector: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
