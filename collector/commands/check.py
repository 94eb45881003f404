"""`collector check`: says all that is wrong with a configuration, and what it means."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._options import config_option
from collector.commands._output import echo_columns, echo_json, json_option, problem_document
from collector.errors import ConfigError

if TYPE_CHECKING:
    from collector.plan import Plan


@click.command(
    short_help="Check the configuration and the tables.",
    epilog="Exit codes: 0 nothing is wrong, 2 usage, 78 the configuration has mistakes,"
    " or this box can't run the Zerobus SDK.",
)
@config_option
@click.option(
    "--samples/--no-samples",
    "with_samples",
    default=True,
    show_default=True,
    help="Whether samples are mapped: `collector run` starts whatever they say.",
)
@json_option
def command(config: Path, with_samples: bool, as_json: bool) -> None:
    """Check configuration and tables, and print the compiled routes.

    Nothing is connected to and nothing is written. Every mistake is reported, with file and line.
    The samples in tables/NAME/samples/*.yaml are mapped, and must become what they expect.

    Example: collector check --config /etc/collector/stations.yaml
    """
    from collector.plan import load_with_schemas, plan
    from collector.supported import check_sdk

    check_sdk()
    try:
        compiled = plan(load_with_schemas(config))
        samples = _check_samples(compiled) if with_samples else 0
    except ConfigError as error:
        if as_json:
            echo_json({"problems": [problem_document(problem) for problem in error.problems]})
            raise click.exceptions.Exit(error.exit_code) from error
        raise
    routes = _routes(compiled)
    warnings = [*compiled.config.warnings, *_overlaps(compiled)]
    if as_json:
        echo_json(
            {
                "gateway": compiled.config.gateway,
                "stations": routes,
                "warnings": warnings,
                "samples": samples,
            }
        )
        return
    _show(routes)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    as_expected = f", {samples} samples as expected" if samples else ""
    click.echo(f"{config}: {len(routes)} stations{as_expected}, nothing is wrong", err=True)


def _check_samples(plan: "Plan") -> int:
    """Return how many samples there are, all of them as they expect."""
    from collector.samples import Samples

    samples = Samples(plan)
    samples.run()
    if samples.problems:
        raise ConfigError(samples.problems)
    return samples.checked


def _routes(plan: "Plan") -> list[dict[str, Any]]:
    from collector.router import parse_filter

    return [
        {
            "station": station.name,
            "filters": list(station.topics),
            "table": station.table,
            "format": station.format,
            "captures": sorted({n for t in station.topics for n in parse_filter(t).pattern.names}),
            "columns": [
                {"name": column.name, "type": str(column.delta), "nullable": column.nullable}
                for column in mapping.schema.columns
            ],
        }
        for station, mapping in zip(plan.config.stations, plan.mappings, strict=True)
    ]


def _overlaps(plan: "Plan") -> list[str]:
    """What a broker without subscription identifiers may send twice."""
    return [
        f"filters {one} and {other} overlap: under MQTT 3.1.1 some brokers send such messages twice"
        for one, other in plan.router.overlapping()
    ]


def _show(routes: list[dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = [("STATION", "FILTER", "TABLE", "CAPTURES")]
    for route in routes:
        captures = ", ".join(route["captures"]) or "-"
        for number, text in enumerate(route["filters"] or ["-"]):
            first = (route["station"], text, route["table"], captures)
            rows.append(first if number == 0 else ("", text, "", ""))
    echo_columns(rows)
    click.echo()
    columns: list[tuple[str, ...]] = [("STATION", "COLUMN", "TYPE", "")]
    for route in routes:
        columns += [
            (
                route["station"] if number == 0 else "",
                column["name"],
                column["type"],
                "" if column["nullable"] else "NOT NULL",
            )
            for number, column in enumerate(route["columns"])
        ]
    echo_columns(columns)
