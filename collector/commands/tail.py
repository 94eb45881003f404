"""`collector tail`: the rows that live messages become, as they come; nothing is stored."""

import time
from collections.abc import Iterator
from itertools import count as numbers
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector.commands._memories import remember
from collector.commands._names import complete_station
from collector.commands._options import Duration, config_option
from collector.commands._output import as_json_text, lines_option, printable
from collector.errors import CollectorError

if TYPE_CHECKING:
    from collector.config import Station
    from collector.mapping import Mapping
    from collector.model import Message
    from collector.plan import Plan
    from collector.router import Router

_LOOK_S = 0.5


@click.command(
    short_help="Show the rows that messages become, as they come.",
    epilog="Exit codes: 0 ended by --count, --for or Ctrl-C, 1 the broker is away or"
    " feeds no station, 2 usage, 78 configuration.",
)
@click.argument("stations", nargs=-1, metavar="[STATION]...", shell_complete=complete_station)
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many rows.")
@click.option("--for", "for_s", type=Duration(), help="End after this time.")
@config_option
@lines_option
def command(
    stations: tuple[str, ...], count: int | None, for_s: float | None, config: Path, as_json: bool
) -> None:
    """Show the rows of all stations, or of those that are named, as they will be written.

    Directly from the broker, by a client of its own with QoS 0: nothing is stored, and a running
    collector is not disturbed. What gives no row is said on stderr, with its reason; with --json it
    stands among the rows. $seq is a running number here, from 1. Names of Sparkplug aliases come
    from the spool, if there is one.

    Example: collector tail station_one --count 3
    """
    from collector.config import load
    from collector.plan import plan
    from collector.subscriber.listener import Listener

    compiled = plan(load(config))
    remember(compiled)
    mqtt = compiled.config.mqtt
    tail = _Tail(_heard(compiled, stations), mqtt.message_max_bytes, count, as_json=as_json)
    until = None if for_s is None else time.monotonic() + for_s
    try:
        with Listener(mqtt, tail.subscriptions) as listener:
            for text, reason in listener.refused.items():
                click.echo(printable(f"the broker refused {text}: {reason}"), err=True)
            while not tail.is_done and (until is None or time.monotonic() < until):
                left_s = _LOOK_S if until is None else min(_LOOK_S, until - time.monotonic())
                came = listener.next(left_s)
                if came is not None:
                    tail.take(*came)
            if listener.missed:
                click.echo(f"{listener.missed:,} messages came too fast to be shown", err=True)
    except KeyboardInterrupt:
        return


def _wanted(plan: "Plan", names: tuple[str, ...]) -> "list[tuple[Station, Mapping]]":
    """The stations that are shown, with their mappings."""
    known = [station.name for station in plan.config.stations]
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"There is no station {unknown[0]}: there are {', '.join(known)}.")
    pairs = zip(plan.config.stations, plan.mappings, strict=True)
    return [(station, mapping) for station, mapping in pairs if station.name in (names or known)]


def _heard(plan: "Plan", names: tuple[str, ...]) -> "list[tuple[Station, Mapping]]":
    """The stations that are shown, of those that the broker feeds.

    Raises:
        CollectorError: it feeds none of them.
    """
    heard = [pair for pair in _wanted(plan, names) if pair[0].topics]
    if not heard:
        what = (
            "none of these stations has a topic" if plan.config.mqtt.url else "there is no broker"
        )
        raise CollectorError(
            f"{what}: what comes over HTTP can't be listened to",
            "`collector status --watch` counts it, `collector spool list` shows what waits.",
        )
    return heard


def _router(stations: "list[tuple[Station, Mapping]]") -> "Router":
    """A router for these stations alone.

    A shared subscription would take messages away from the collectors that share it: what it means
    is listened to by itself.
    """
    from collector.router import Router

    def plain(text: str) -> str:
        return text.split("/", 2)[2] if text.startswith("$share/") else text

    return Router(
        [(one.name, list(dict.fromkeys(map(plain, one.topics)))) for one, _ in stations],
        {one.name: one.excepts for one, _ in stations},
    )


class _Tail:
    """Maps messages and writes what they give; `is_done` when enough rows were written."""

    def __init__(
        self,
        stations: "list[tuple[Station, Mapping]]",
        limit_bytes: int,
        most: int | None,
        *,
        as_json: bool,
    ) -> None:
        from collector.intake.copies import Copies
        from collector.subscriber import Subscription

        self._stations = stations
        self._limit_bytes = limit_bytes
        self._left = most
        self._as_json = as_json
        self._router = _router(stations)
        self._copies = Copies()
        self._next_seq = numbers(1).__next__
        self.subscriptions = [
            Subscription(one.wire, one.identifier) for one in self._router.filters
        ]

    @property
    def is_done(self) -> bool:
        return self._left is not None and self._left <= 0

    def take(self, message: "Message", received_us: int) -> None:
        """Show what a message becomes."""
        try:
            resolution = self._router.resolve(message.topic, message.identifiers)
        except UnicodeDecodeError:
            return
        if resolution.copies > 1 and self._copies.is_repeat(message, resolution.copies):
            return
        for offer in resolution.offers:
            if message.retain and self._stations[offer.station][1].drops_retained:
                continue
            for document in self._documents(offer.station, message, offer.captures, received_us):
                if self.is_done:
                    return
                self._write(document)

    def _documents(
        self, place: int, message: "Message", captures: dict[str, str], received_us: int
    ) -> Iterator[dict[str, Any]]:
        from collector.trying import made_of

        station, mapping = self._stations[place]
        head = {"station": station.name, "table": station.table, "topic": message.topic.decode()}
        made = made_of(
            mapping, message, captures, received_us,
            max_bytes=self._limit_bytes, next_seq=self._next_seq,
        )  # fmt: skip
        for row in made.rows:
            yield {**head, "row": row}
        for fault in made.faults:
            where = {} if fault.position is None else {"record": fault.position}
            yield {**head, "dead_letter": {"kind": fault.kind, "reason": fault.reason, **where}}

    def _write(self, document: dict[str, Any]) -> None:
        letter = document.get("dead_letter")
        if letter is None and self._left is not None:
            self._left -= 1
        if self._as_json:
            click.echo(as_json_text(document))
        elif letter is None:
            click.echo(f"{document['station']}  {as_json_text(document['row'])}")
        else:
            said = f"{document['station']}  {letter['kind']}: {letter['reason']}"
            click.echo(printable(f"{said}  ({document['topic']})"), err=True)
