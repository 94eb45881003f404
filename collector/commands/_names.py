"""What a shell may complete: the names in the configuration and in the spool.

Runs at each press of the tab key: nothing heavy is imported, and what can't be read is left out.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.errors import CollectorError
from collector.model import KINDS

if TYPE_CHECKING:
    from collector.config.outline import Outline


def complete_table(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the tables that begin so."""
    file, outline = _places(ctx)
    return _fitting([*(outline.tables if outline else ()), *_spooled(file, "table:")], incomplete)


def complete_station(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the stations that begin so."""
    file, outline = _places(ctx)
    found = [*(outline.stations if outline else ()), *_spooled(file, "station:")]
    return _fitting(found, incomplete)


def complete_station_or_table(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:
    """Return the configured stations and tables that begin so."""
    _, outline = _places(ctx)
    return _fitting((*outline.stations, *outline.tables) if outline else (), incomplete)


def complete_kind(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the kinds of dead letters that begin so."""
    return _fitting(KINDS, incomplete)


def _places(ctx: click.Context) -> "tuple[Path, Outline | None]":
    """The spool to look into, and what the configuration names unless a file was given."""
    from collector.config.outline import outline

    if file := ctx.params.get("file"):
        return Path(file), None
    config = ctx.params.get("config") or os.environ.get("COLLECTOR_CONFIG") or "stations.yaml"
    found = outline(Path(config))
    return found.spool, found


def _spooled(file: Path, prefix: str) -> list[str]:
    """The names that the counters of a spool have: no table is read."""
    from collector.spool import SpoolReader

    try:
        reader = SpoolReader(file)
        try:
            scopes = {scope for scope, _ in reader.counters()}
        finally:
            reader.close()
    except (CollectorError, OSError):
        return []
    return [scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix)]


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete) and name.isprintable()})
