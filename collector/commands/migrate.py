"""`collector migrate`: from a Zerobus Station to a collector."""

from pathlib import Path

import click

from collector.commands._output import echo_json, json_option, printable, problem_document


@click.command(
    short_help="Make stations.yaml of a Zerobus Station's config.json.",
    epilog="Exit codes: 0 written, 1 another file is there already or can't be written, 2 usage,"
    " 78 config.json or a schema has mistakes.",
)
@click.argument("config_json", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write. Default: that of CONFIG_JSON.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@json_option
def command(config_json: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Take over config.json, tables/*/schema.proto and .env of a Zerobus Station.

    Writes stations.yaml, with a station for each table, and a schema.proto of the fields where
    there is none. What is different, left out or to be done is said on stderr. Secrets stay in
    .env, which is neither shown nor copied. Nothing is connected to.

    Example: collector migrate /srv/station/config.json --output /etc/collector
    """
    from collector.migrate import migrate, write

    into = config_json.parent if output is None else output
    migration = migrate(config_json, into)
    written = write(migration.files, into, force=force)
    if as_json:
        echo_json(
            {
                "files": [str(path) for path in written],
                "stations": list(migration.stations),
                "remarks": [problem_document(remark) for remark in migration.remarks],
            }
        )
        return
    for path in written:
        click.echo(path)
    for remark in migration.remarks:
        click.echo(printable(f"warning: {remark}"), err=True)
    file = into / "stations.yaml"
    count = len(migration.stations)
    click.echo(f"{count} stations; read {file}, then:", err=True)
    click.echo(f"  collector check -c {file}\n  collector run -c {file}", err=True)
