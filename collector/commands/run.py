"""`collector run`: the daemon in the foreground."""

from pathlib import Path

import click

from collector.commands._options import config_option


@click.command(
    short_help="Run the collector in the foreground.",
    epilog="Exit codes: 0 stopped by a signal, 1 failed, 2 usage, 75 another collector owns the"
    " spool, 78 configuration.",
)
@config_option
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What is logged.",
)
@click.option(
    "--log-format",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="How: as key=value, or as an object of JSON a line.",
)
def command(config: Path, log_level: str, log_format: str) -> None:
    """Run the collector in the foreground; systemd, or you, own the background.

    Logs go to stderr, one event a line, and what is repeated once a minute with a count. SIGHUP
    reads the configuration again. SIGTERM and SIGINT end it in order within 20 seconds; a second
    one at once.

    Example: collector run --config /etc/collector/stations.yaml
    """
    from collector import logs, sdk_log
    from collector.config import load

    logs.configure(log_level, log_format)
    loaded = load(config)
    sdk_log.join(log_level)
    from collector.daemon import run

    run(loaded)
