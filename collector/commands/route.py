"""`collector route`: what becomes of one message, without storing anything."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._memories import remember
from collector.commands._options import config_option
from collector.commands._output import echo_json, json_option, printable

if TYPE_CHECKING:
    from collector.plan import Plan
    from collector.router import Offer

_CHUNK_BYTES = 64 * 1024 * 1024


@click.command(
    short_help="Show what becomes of a message.",
    epilog="Exit codes: 0 a station takes it, 1 no station fits or none makes a record of it,"
    " 2 usage, 78 configuration.",
)
@click.argument("topic")
@click.argument("payload", required=False)
@config_option
@json_option
def command(topic: str, payload: str | None, config: Path, as_json: bool) -> None:
    """Show which stations a message goes to, and which rows and records it becomes.

    PAYLOAD - reads stdin; without PAYLOAD only the stations are shown. Nothing is written.
    What a format keeps between messages, as Sparkplug its aliases, is read from the spool. A
    request over HTTP has the topic http/STATION unless it names another.

    Example: collector route sensors/station_one/d1 '{"device_name": "d1", "temp": 21}'
    """
    from collector.config import load
    from collector.plan import plan

    if not topic or set(topic) & set("+#\0"):
        raise click.UsageError("A message has a topic, not a filter: no +, no #, not empty.")
    body = _body(payload)
    compiled = plan(load(config, secrets=False))
    remember(compiled)
    offers = compiled.offers(topic)
    outcomes = [_outcome(compiled, offer, topic, body) for offer in offers]
    if as_json:
        echo_json({"topic": topic, "stations": outcomes})
    else:
        _show(outcomes)
    if not offers:
        click.echo(f"no station takes {printable(topic)}", err=True)
    if not offers or (body and not any(outcome["records"] for outcome in outcomes)):
        raise click.exceptions.Exit(1)


def _body(payload: str | None) -> bytes | None:
    if payload == "-":
        return sys.stdin.buffer.read(_CHUNK_BYTES)
    return None if payload is None else payload.encode(errors="surrogateescape")


def _outcome(plan: "Plan", offer: "Offer", topic: str, body: bytes | None) -> dict[str, Any]:
    """What one station makes of the message; `body` is None when only the way is asked for."""
    from collector.model import Message
    from collector.trying import Made, made_of

    station, made = plan.config.stations[offer.station], Made([], [], [])
    if body is not None:
        made = made_of(
            plan.mappings[offer.station],
            Message(topic.encode(), body),
            offer.captures,
            time.time_ns() // 1000,
            max_bytes=plan.config.mqtt.message_max_bytes,
        )
    return {
        "station": station.name,
        "table": station.table,
        "captures": offer.captures,
        "rows": made.rows,
        "records": [record.hex() for record in made.records],
        "faults": [
            {"kind": f.kind, "field": f.field, "reason": f.reason, "position": f.position}
            for f in made.faults
        ],
    }


def _show(outcomes: list[dict[str, Any]]) -> None:
    import json

    for outcome in outcomes:
        captures = ", ".join(f"{name}={value}" for name, value in outcome["captures"].items())
        way = f"{outcome['station']} -> {outcome['table']}"
        click.echo(printable(f"{way} ({captures})" if captures else way))
        for row, record in zip(outcome["rows"], outcome["records"], strict=True):
            click.echo(f"  row     {json.dumps(row)}")
            click.echo(f"  record  {record}")
        for fault in outcome["faults"]:
            where = "" if fault["position"] is None else f"record {fault['position']}: "
            click.echo(printable(f"  fault   {fault['kind']}: {where}{fault['reason']}"))
