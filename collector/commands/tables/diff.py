"""`collector tables diff`: what differs between the schemas and the tables that are there."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._options import config_option
from collector.commands._output import echo_json, json_option, printable
from collector.commands.tables._chosen import choose, names_argument

if TYPE_CHECKING:
    from collector.catalog import Catalog
    from collector.commands.tables._chosen import Chosen
    from collector.tables import Difference


@click.command(
    short_help="Compare the schemas with the tables.",
    epilog="Exit codes: 0 nothing differs that matters, 1 something does, or there is no such"
    " table, 2 usage, 4 the workspace can't be asked, 78 configuration.",
)
@names_argument
@json_option
@config_option
def command(names: tuple[str, ...], as_json: bool, config: Path) -> None:
    """Compare each schema.proto with its table in Unity Catalog.

    Says of each difference whether it matters, and what mends it: a line of schema.proto or a
    statement of SQL. Their order does not matter, and comments are not compared.

    Example: collector tables diff station_one
    """
    from collector.catalog import Catalog
    from collector.config import load

    loaded = load(config)
    catalog = Catalog(loaded.zerobus)
    reports = [_report(catalog, one) for one in choose(loaded, names)]
    if as_json:
        echo_json({"tables": reports})
    else:
        for report in reports:
            _show(report)
    # What could not be asked weighs more: the others are no proof that all is well.
    codes = {"unknown": 4, "different": 1, "no table": 1, "same": 0, "harmless": 0}
    raise click.exceptions.Exit(max(codes[report["result"]] for report in reports))


def _report(catalog: "Catalog", chosen: "Chosen") -> dict[str, Any]:
    from collector.catalog import CatalogError, NoTableError
    from collector.tables import described, differences

    report: dict[str, Any] = {
        "table": chosen.name,
        "stations": [station.name for station in chosen.stations],
        "schema": str(chosen.file),
        "differences": [],
    }
    try:
        real = described(catalog.table(chosen.name))
    except NoTableError as error:
        return {**report, "result": "no table", "error": str(error)}
    except (CatalogError, ValueError) as error:
        return {**report, "result": "unknown", "error": str(error)}
    found = differences(chosen.name, chosen.schema.columns, real.columns)
    if real.unfit:
        report["error"] = f"it {real.unfit}"
        return {**report, "result": "different", "differences": list(map(_difference, found))}
    result = "different" if any(one.matters for one in found) else "harmless" if found else "same"
    return {**report, "result": result, "differences": list(map(_difference, found))}


def _difference(one: "Difference") -> dict[str, Any]:
    left_out = {"schema": "", "sql": "", "line": 0}
    return {key: value for key, value in asdict(one).items() if value != left_out.get(key)}


def _show(report: dict[str, Any]) -> None:
    words = {
        "same": "the same",
        "harmless": "nothing that matters",
        "different": "different",
        "no table": "there is no such table",
        "unknown": "can't be read",
    }
    click.echo(f"{report['table']}: {words[report['result']]}")
    for line in report.get("error", "").splitlines():
        click.echo(f"  {printable(line)}")
    for one in report["differences"]:
        click.echo(f"  {'!' if one['matters'] else '-'} {printable(one['column'])} {one['what']}")
        if "schema" in one:
            line = f":{one['line']}" if "line" in one else ""
            click.echo(f"      {report['schema']}{line}: {one['schema']}")
        if "sql" in one:
            click.echo(f"      {'or ' if 'schema' in one else ''}SQL: {one['sql']}")
