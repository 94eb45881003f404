"""The command line: what each command is called, and how it ends.

A command is found by its file in `commands/`, so that starting one imports nothing of the others.
"""

import os
import sys
from typing import NoReturn

import click

from collector import commands
from collector.commands._folder import folder
from collector.errors import CollectorError


@click.command(
    cls=folder(commands),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not running, 4 failing, 75 locked, 78"
    " configuration.",
)
@click.version_option(package_name="zerobus-collector")
def collector() -> None:
    """Carry sensor data from MQTT into Databricks tables and lose nothing on the way.

    Example: collector check --config /etc/collector/stations.yaml
    """


def main() -> NoReturn:
    """Run a command; errors that are ours end with their message and their exit code."""
    try:
        # What is not standalone gives the exit code of `ctx.exit` back instead of ending.
        code = collector.main(standalone_mode=False, complete_var=commands.COMPLETE_VARIABLE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has seen enough, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except CollectorError as error:
        click.echo(f"collector: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
