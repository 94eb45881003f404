"""`collector discover`: listens on the broker and drafts stations and tables for review."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from collector.commands._broker import DEFAULT_URL, broker_of, read_if_there
from collector.commands._listening import Picture
from collector.commands._options import Duration, config_option
from collector.commands._output import echo_columns, echo_json, json_option, printable

if TYPE_CHECKING:
    from collector.config import Config, Mqtt
    from collector.discover.discovery import Report
    from collector.discover.heard import Heard

_PATIENCE_S: Final = 0.2
_REASONS: Final = 3
_NAMED: Final = 5


@click.command(
    short_help="Draft stations and tables from live messages.",
    epilog="Exit codes: 0 a folder was written, 1 nothing was heard or recognised, or the broker is"
    " away, 2 usage, 78 configuration.",
)
@click.option(
    "--topic", "topics", multiple=True, default=("#",), show_default=True, help="What to listen to."
)
@click.option(
    "--for", "for_s", type=Duration(), default="60s", show_default=True, help="How long to listen."
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("discovered"),
    show_default=True,
    help="The folder to write; it must not hold anything yet.",
)
@click.option("--url", help=f"The broker, without -c. Default: {DEFAULT_URL}.")
@click.option(
    "--catalog", default="main.iot", show_default=True, help="CATALOG.SCHEMA of the tables."
)
@config_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    topics: tuple[str, ...],
    for_s: float,
    into: Path,
    url: str | None,
    catalog: str,
    config: Path,
    as_json: bool,
) -> None:
    """Listen on the broker, and write stations, schemas, samples and SQL of what is heard.

    A client of its own with QoS 0: nothing is stored, and a running collector is not disturbed.
    Retained messages count too. Ctrl-C ends listening and writes. What the configuration collects
    already is left out; its mqtt section says which broker, and who one is to it.

    Samples hold real messages. Nothing is ever overwritten.

    Example: collector discover --topic 'plant/#' --for 30s --into discovered
    """
    from collector.discover.discovery import Aim, discover
    from collector.discover.writing import check_free

    _check(topics, catalog, for_s)
    check_free(into)
    loaded = read_if_there(ctx, config)
    broker = broker_of(loaded, url)
    heard, known = _heard_of(loaded)
    took_s = _listen(broker, topics, for_s, heard)
    aim = Aim(
        folder=into,
        schema=catalog,
        mqtt=tuple(_mqtt_lines(config if loaded else None, broker, is_given=bool(url))),
        during=f"{took_s:.0f} s",
        known=tuple((text, list(heard.known)) for text in known),
    )
    report = discover(heard, aim)
    if as_json:
        echo_json(_document(report, heard, into))
    else:
        _show(report, heard, into)
    if not report.drafts:
        raise click.exceptions.Exit(1)


def _check(topics: tuple[str, ...], catalog: str, for_s: float) -> None:
    from collector.config.fields import TABLE
    from collector.router import parse_filter

    if not TABLE.fullmatch(f"{catalog}.x"):
        raise click.UsageError("--catalog is CATALOG.SCHEMA, such as main.iot.")
    if not 0.1 <= for_s <= 86_400:
        raise click.UsageError("--for is from 100ms to 1d.")
    for text in topics:
        try:
            parse_filter(text)
        except ValueError as error:
            raise click.UsageError(f"--topic: {error}") from error


def _heard_of(config: "Config | None") -> "tuple[Heard, list[str]]":
    """What will be heard, without what the configuration collects, and the filters of that."""
    from collector.discover.heard import Heard
    from collector.router import Router

    if config is None:
        return Heard(), []
    router = Router(
        [(station.name, station.topics) for station in config.stations],
        {station.name: station.excepts for station in config.stations},
    )
    filters = [text for station in config.stations for text in station.topics]
    return Heard(lambda topic: bool(router.resolve(topic.encode(), ()).offers)), filters


def _mqtt_lines(config: Path | None, broker: "Mqtt", *, is_given: bool) -> list[str]:
    from collector.discover.broker_section import lines

    return lines(config, broker.url, is_given=is_given)


def _listen(broker: "Mqtt", topics: tuple[str, ...], for_s: float, heard: "Heard") -> float:
    """Listen until the time is over, or Ctrl-C; returns how long that was."""
    from collector.discover.overview import Overview
    from collector.router import Router
    from collector.subscriber import Subscription
    from collector.subscriber.listener import Listener

    filters = Router([("discover", topics)]).uncovered()
    wanted = [Subscription(one.wire, one.identifier) for one in filters]
    overview, picture = Overview(heard), Picture()
    with Listener(broker, wanted) as listener:
        started = time.monotonic()
        try:
            click.echo(f"listening on {broker.host}:{broker.port} for {for_s:.0f} s", err=True)
            with picture.shown():
                next_s = started + (0 if picture.is_live else picture.every_s)
                while (left_s := started + for_s - time.monotonic()) > 0:
                    heard.take_next(listener, min(left_s, _PATIENCE_S))
                    if time.monotonic() >= next_s:
                        picture.show(left_s, heard.messages, overview.lines())
                        next_s = time.monotonic() + picture.every_s
        except KeyboardInterrupt:
            click.echo("listening was ended", err=True)
            # What is here already was heard.
            until_s = time.monotonic() + _PATIENCE_S
            while (left_s := until_s - time.monotonic()) > 0:
                heard.take_next(listener, left_s)
        if listener.missed:
            heard.let_go["messages that came too fast"] += listener.missed
        return time.monotonic() - started


# -- what is said at the end -----------------------------------------------------------------------


def _show(report: "Report", heard: "Heard", into: Path) -> None:
    for line in _talk(report, heard):
        click.echo(line, err=True)
    if report.drafts:
        rows: list[tuple[Any, ...]] = [
            ("STATION", "FORMAT", "TOPICS", "MESSAGES", "GIVE ROWS", "COLUMNS", "TOPIC")
        ]
        for one in report.drafts:
            proof = report.proofs[one.name]
            rows.append(
                (
                    one.name,
                    one.group.form.format,
                    one.topics,
                    proof.messages,
                    proof.with_rows,
                    len(one.layout.columns),
                    one.group.filter,
                )
            )
        echo_columns(rows)
    for line in _shortfalls(report):
        click.echo(printable(line))
    if report.drafts:
        file = into / "stations.yaml"
        click.echo(f"\nwritten to {into}; read {file}, then:", err=True)
        click.echo(f"  collector check -c {file}\n  collector run -c {file}", err=True)


def _talk(report: "Report", heard: "Heard") -> list[str]:
    found = [f"{heard.messages:,} messages of {len(heard.topics):,} topics were heard"]
    if heard.known:
        found[0] += f", {heard.known.total():,} that are collected already"
    if heard.empty:
        found[0] += f", {heard.empty:,} without a payload"
    if report.drafts:
        found.append(f"{report.with_rows:,} of {heard.kept:,} that were looked at give rows")
    return [*found, *(f"not looked at: {n:,} {what}" for what, n in heard.let_go.items())]


def _shortfalls(report: "Report") -> list[str]:
    """What gives no rows, and why."""
    found = []
    for name, proof in report.proofs.items():
        for reason, count in proof.reasons.most_common(_REASONS):
            found += [f"{name}: {count:,} of {proof.messages:,} messages:", f"  {reason}"]
        if proof.without:
            text = "  nothing to make rows of, such as an empty list or a death"
            found += [f"{name}: {proof.without:,} of {proof.messages:,} messages:", text]
    for one in report.unwritten:
        shown = ", ".join(one.topics[:_NAMED])
        more = f" and {len(one.topics) - _NAMED:,} more" if len(one.topics) > _NAMED else ""
        found += [f"no station for {shown}{more}, {one.messages:,} messages:", f"  {one.reason}"]
    return found


def _document(report: "Report", heard: "Heard", into: Path) -> dict[str, Any]:
    return {
        "folder": str(into) if report.drafts else None,
        "messages": heard.messages,
        "topics": len(heard.topics),
        "already_collected": heard.known.total(),
        "without_payload": heard.empty,
        "looked_at": heard.kept,
        "messages_with_rows": report.with_rows,
        "not_looked_at": dict(heard.let_go),
        "stations": [
            {
                "station": one.name,
                "table": one.table,
                "topic": one.group.filter,
                "except": one.group.excepts,
                "format": one.group.form.format,
                "topics": one.topics,
                "columns": {column.name: str(column.delta) for column in one.layout.columns},
                "messages": report.proofs[one.name].messages,
                "messages_with_rows": report.proofs[one.name].with_rows,
                "rows": report.proofs[one.name].rows,
                "messages_without_rows": report.proofs[one.name].without,
                "dead_letters": dict(report.proofs[one.name].reasons),
            }
            for one in report.drafts
        ],
        "not_written": [
            {"topics": list(one.topics), "messages": one.messages, "reason": one.reason}
            for one in report.unwritten
        ],
    }
