"""Compiles a station: what feeds each column, and all that can be said to be wrong at start."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path as File
from typing import Final

from collector import formats
from collector.config import Station
from collector.errors import ConfigError, Problem
from collector.mapping.coerce import coercion
from collector.mapping.fast import FastJson, Field, can_read
from collector.mapping.mapping import Mapping
from collector.mapping.misfit import MisfitError
from collector.mapping.plan import Feed, Given, Plan
from collector.mapping.sources import KNOWN, TYPES, Dollar, Known, Path, parse_source
from collector.tables import Column, Schema

_FILE: Final = File("stations.yaml")
_NESTED: Final = ("ARRAY", "MAP", "STRUCT")


def compile_mapping(
    station: Station,
    schema: Schema,
    captures: Sequence[str],
    gateway: str,
    *,
    file: File = _FILE,
) -> Mapping:
    """Build the mapping of a station; raises `ConfigError` with all that is wrong with it.

    `captures` are the names that each of the station's filters captures; `file` is the one to name
    in a problem.
    """
    return _Compiler(station, schema, frozenset(captures), gateway, file).compile()


class _Compiler:
    """Gathers what feeds the columns of one station, and the problems."""

    def __init__(
        self, station: Station, schema: Schema, captures: frozenset[str], gateway: str, file: File
    ) -> None:
        self._station = station
        self._schema = schema
        self._captures = captures
        self._gateway = gateway
        self._file = file
        self._problems: list[Problem] = []
        self._feeds: list[tuple[Column, Feed]] = []
        self._known: list[tuple[str, Known]] = []
        self._seq_columns: list[str] = []

    def compile(self) -> Mapping:
        decode: formats.Decode | None = None
        try:
            decode = formats.load(self._station.format)({})
        except ValueError as error:
            self._refuse("format", str(error))
        if self._station.columns is None:
            self._feed_by_name()
        else:
            self._feed_by_sources(dict(self._station.columns))
        if self._problems or decode is None:
            raise ConfigError(self._problems)
        return Mapping(self._plan(decode))

    def _plan(self, decode: formats.Decode) -> Plan:
        paths = [feed.path for _, feed in self._feeds if feed.path is not None]
        positional = any(Path(path, absolute=True).positional for path in paths)
        if self._station.columns is None:
            positional = False
        takes_all = () in paths
        return Plan(
            station=self._station.name,
            schema=self._schema,
            decode=decode,
            fast=None if positional else self._fast(paths),
            feeds=tuple(feed for _, feed in self._feeds),
            known=tuple(self._known),
            seq_columns=tuple(self._seq_columns),
            used_keys=None if takes_all else frozenset(path[0] for path in paths),
            positional=positional,
        )

    def _fast(self, paths: list[tuple[str, ...]]) -> FastJson | None:
        if self._station.format != "json" or not can_read(paths):
            return None
        return FastJson(
            [
                # What the topic gives makes up for a missing key, so it is not insisted on here.
                Field(column, feed.path, required=not column.nullable and feed.given is None)
                for column, feed in self._feeds
                if feed.path is not None
            ]
        )

    def _feed_by_name(self) -> None:
        """Without `columns`: the payload's keys are the columns, then the captures."""
        for column in self._schema.columns:
            given = _capture(column.name) if column.name in self._captures else None
            self._feed(column, (column.name,), given)

    def _feed_by_sources(self, columns: dict[str, str]) -> None:
        for column in self._schema.columns:
            source = columns.pop(column.name, None)
            if source is not None:
                self._feed_by_source(column, source)
            elif not column.nullable:
                text = f"nothing feeds {column.name}, which is {column.delta} NOT NULL"
                self._refuse("columns", text, f"add a line such as {column.name}: /{column.name}")
        names = [column.name for column in self._schema.columns]
        for unknown in columns:
            near = get_close_matches(unknown, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            self._refuse(f"columns.{unknown}", "the table has no such column", hint)

    def _feed_by_source(self, column: Column, text: str) -> None:
        try:
            source = parse_source(text)
        except ValueError as error:
            self._refuse(f"columns.{column.name}", str(error))
            return
        if isinstance(source, Path):
            self._feed(column, source.parts, None)
        else:
            self._feed_by_dollar(column, source)

    def _feed_by_dollar(self, column: Column, source: Dollar) -> None:
        """A capture, or what is known of a message; the latter has the name where both have it."""
        name = source.name
        key = f"columns.{column.name}"
        if name not in TYPES:
            if name not in self._captures:
                self._refuse(key, *self._uncaptured(name))
            elif column.delta.name in _NESTED:
                self._refuse(key, f"${name} is text and can't become {column.delta}")
            else:
                self._feed(column, None, _capture(name))
        elif name in self._captures:
            text = f"${name} has a meaning of its own: call the captured level something else"
            self._refuse(key, text)
        elif column.delta.name not in TYPES[name]:
            types = ", ".join(TYPES[name])
            self._refuse(key, f"${name} can't become {column.delta}", f"it fits {types}")
        elif name == "seq":
            self._seq_columns.append(column.name)
        elif name in KNOWN:
            self._known.append((column.name, KNOWN[name][column.delta.name]))
        elif name == "topic":
            self._feed(column, None, lambda _, topic: topic)
        else:
            self._feed_gateway(column, key)

    def _feed_gateway(self, column: Column, key: str) -> None:
        try:
            coercion(column.delta)(self._gateway)
        except MisfitError as misfit:
            self._refuse(key, f"the name of the gateway, {self._gateway}: {misfit}")
        self._feed(column, None, lambda _captures, _topic: self._gateway)

    def _uncaptured(self, name: str) -> tuple[str, str]:
        known = sorted({*self._captures, *TYPES})
        near = get_close_matches(name, known, 1)
        hint = f"did you mean ${near[0]}?" if near else f"there are ${', $'.join(known)}"
        return f"${name} is not captured by every topic filter of the station", hint

    def _feed(self, column: Column, path: tuple[str, ...] | None, given: Given | None) -> None:
        feed = Feed(column.name, column.nullable, coercion(column.delta), path, given)
        self._feeds.append((column, feed))

    def _refuse(self, key: str, text: str, hint: str = "") -> None:
        key = f"stations.{self._station.name}.{key}"
        self._problems.append(Problem(self._file, self._station.line, text, key, hint))


def _capture(name: str) -> Given:
    return lambda captures, _: captures.get(name)
