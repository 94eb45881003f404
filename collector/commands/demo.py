"""`collector demo`: the whole line on this machine, with simulated sensors and a final balance."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from collector.errors import CollectorError

if TYPE_CHECKING:
    from collector.demo import Balance

_QUERY: Final = (
    "select device_name, count(*) messages, min(temp) coldest, max(temp) warmest from t"
    " group by 1 order by 1"
)


if TYPE_CHECKING:
    _ParamType = click.ParamType[float]
else:
    _ParamType = click.ParamType  # Generic since click 8.2 only.


class _Duration(_ParamType):
    """A duration as in `stations.yaml`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from collector.config import parse_duration

        try:
            return value if isinstance(value, float) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(
    short_help="Watch all of it at work on this machine.",
    epilog="Exit codes: 0 the balance holds, 1 it does not, or a part failed, 2 usage.",
)
@click.option(
    "--for", "seconds", type=_Duration(), metavar="30s", help="How long. [default: until Ctrl-C]"
)
@click.option(
    "--rate",
    default=200.0,
    show_default=True,
    type=click.FloatRange(0.1, 20_000),
    help="Messages a second, all sensors together.",
)
@click.option(
    "--outage",
    default="0s",
    type=_Duration(),
    metavar="10s",
    help="Take the local Zerobus away for so long, in the middle.",
)
@click.option(
    "--lake",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("lake"),
    show_default=True,
    help="Where the Delta tables lie.",
)
@click.option("--embedded", is_flag=True, help="Use the embedded broker though mosquitto is there.")
def command(seconds: float | None, rate: float, outage: float, lake: Path, embedded: bool) -> None:
    """Watch sensors, a broker, the collector and a local Zerobus work together.

    Needs nothing but this machine: a mosquitto on the PATH or an embedded broker, and
    `collector emulate` for Zerobus. Some messages are broken on purpose. At the end, and on Ctrl-C,
    it publishes no more, waits for the spool to drain, and counts.

    Example: collector demo --for 30s --outage 10s
    """
    if seconds is not None and outage >= seconds:
        raise click.UsageError("--outage must be shorter than --for.")
    try:
        from collector.demo import Demo, DemoOptions
        from collector.demo.view import make_view
    except ImportError as error:
        raise CollectorError(
            f"the demonstration is not installed: {error}", "pip install 'zerobus-collector[demo]'"
        ) from error

    options = DemoOptions(
        lake=lake.absolute(), seconds=seconds, rate=rate, outage_s=outage, embedded=embedded
    )
    with Demo(options, make_view()) as demo:
        click.echo(f"broker: {demo.broker}; logs and spool: {demo.folder}", err=True)
        balance = demo.run()
    _show(balance, lake)
    if balance.holds and not balance.spooled:
        demo.forget()
    else:
        click.echo(f"kept for a look: {demo.folder}", err=True)
    if not balance.holds:
        raise click.exceptions.Exit(1)


def _show(balance: "Balance", lake: Path) -> None:
    from collector.demo.balance import table_path
    from collector.demo.sensors import TABLES

    click.echo()
    click.echo(f"published             {balance.published:>12,}")
    click.echo(f"  delivered, distinct {balance.delivered:>12,}")
    click.echo(f"  dead letters        {balance.dead_letters:>12,}")
    click.echo(f"  still spooled       {balance.spooled:>12,}")
    click.echo(f"duplicates            {balance.duplicates:>12,}")
    verdict = "the balance holds" if balance.holds else "THE BALANCE DOES NOT HOLD"
    if not balance.spool_holds:
        verdict += ": see `collector spool stats`"
    click.echo(verdict)
    tables = [table_path(lake, name) for name in TABLES.values()]
    click.echo(f"the tables: {' '.join(map(str, tables))}; query one with")
    python = os.path.relpath(sys.executable) if _is_inside(sys.executable) else sys.executable
    click.echo(
        f'{python} -c "from deltalake import *; print(QueryBuilder().register('
        f"'t', DeltaTable('{tables[0]}')).execute('{_QUERY}').read_all())\""
    )


def _is_inside(path: str) -> bool:
    return Path(path).is_relative_to(Path.cwd())
