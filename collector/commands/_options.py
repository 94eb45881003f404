"""Options that commands share."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("stations.yaml"),
    show_default=True,
    envvar="COLLECTOR_CONFIG",
    help="The configuration file.",
)
