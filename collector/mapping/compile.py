"""Compiles a station: what feeds each column, and all that can be said to be wrong at start."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from difflib import get_close_matches
from functools import partial
from pathlib import Path as File
from typing import Final

from collector import formats
from collector.clock import Clock
from collector.config import Station
from collector.config.vocabulary import Words
from collector.errors import ConfigError, Problem
from collector.mapping.conditions import Holds, condition
from collector.mapping.conversion import Defaults
from collector.mapping.fast import FastJson, Field, can_read
from collector.mapping.feeds import Feeder
from collector.mapping.mapping import Mapping
from collector.mapping.names import NESTED, Names, SourceError
from collector.mapping.plan import Feed, Plan
from collector.mapping.sources import Get, Path, Walk, depth_of, parse_source, walker
from collector.mapping.window import Window
from collector.tables import Column, Schema

_FILE: Final = File("stations.yaml")


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
        self._file = file
        self._problems: list[Problem] = []
        self._columns: list[Column] = []
        self._feeds: list[Feed] = []
        self._defaults = defaults = Defaults(station.zone, station.decimal, station.null_if)
        self._each = self._read_each()
        depth = depth_of(self._each) if self._each and self._each.parts else int(bool(station.each))
        self._names = Names(captures, gateway, defaults, depth=depth)
        self._feeder = Feeder(self._names, defaults)

    def compile(self) -> Mapping:
        station = self._station
        decoder: formats.Decoder | None = None
        try:
            decoder = formats.compile(station.format, station.options, self._schema)
        except ValueError as error:
            self._refuse("format", str(error))
        else:
            self._feeder.keys = decoder.keys
        walk = self._walker()
        holds = self._condition()
        rest = self._rest()
        if station.columns is None:
            self._feed_by_name()
        else:
            self._feed_by_words(dict(station.columns))
        if self._problems or decoder is None:
            raise ConfigError(self._problems)
        return Mapping(self._plan(decoder, walk, holds, rest))

    def _plan(
        self,
        decoder: formats.Decoder,
        walk: Walk | None,
        holds: Holds | None,
        rest: Feed | None,
    ) -> Plan:
        station, feeder = self._station, self._feeder
        keys = feeder.top_keys if walk is None else feeder.element_keys
        is_whole = feeder.is_positional and station.columns is not None
        is_plain = not (walk or holds or rest or is_whole or feeder.is_general)
        return Plan(
            station=station.name,
            schema=self._schema,
            decoder=decoder,
            fast=self._fast() if is_plain else None,
            feeds=tuple(self._feeds),
            known=tuple(self._names.known),
            seq_columns=tuple(self._names.seq_columns),
            walk=walk,
            holds=holds,
            # Where another column has all of the element, there are still keys for `rest`.
            used_keys=frozenset(key for key in keys if key is not None)
            if rest is not None or None not in keys
            else None,
            rest=rest,
            window=self._window(),
            is_whole=is_whole,
            drops_retained=station.retained == "drop",
            wants_keys=walk is not None and bool(feeder.element_keys) and None not in keys,
            takes_scalars=feeder.takes_scalars or station.format == "text",
        )

    def _fast(self) -> FastJson | None:
        paths = [feed.path for feed in self._feeds if feed.path is not None]
        # In a list or an object the core's numbers are looked at by nobody.
        nested = any(
            feed.is_stepped and column.delta.name in NESTED
            for column, feed in zip(self._columns, self._feeds, strict=True)
        )
        if self._station.format != "json" or nested or not can_read(paths):
            return None
        return FastJson(
            [
                # What the topic gives makes up for a missing key, so it is not insisted on here.
                Field(
                    column,
                    feed.path,
                    required=not column.nullable and feed.given is None and feed.default is None,
                    convert=feed.convert if feed.is_stepped else None,
                    default=feed.default,
                )
                for column, feed in zip(self._columns, self._feeds, strict=True)
                if feed.path is not None
            ]
        )

    # -- the words of the station --------------------------------------------------------------

    def _read_each(self) -> Path | None:
        if self._station.each is None:
            return None
        try:
            path = parse_source(self._station.each)
        except ValueError as error:
            self._refuse("each", str(error))
            return None
        if isinstance(path, Path) and path.absolute:
            return path
        self._refuse("each", "must be a path from the top of the message, such as /list/*")
        return None

    def _walker(self) -> Walk | None:
        if self._each is None:
            return None
        try:
            return walker(self._each)
        except ValueError as error:
            self._refuse("each", str(error))
            return None

    def _condition(self) -> Holds | None:
        if not self._station.when:
            return None
        getters: dict[str, Get] = {}
        for source in self._station.when:
            try:
                getters[source] = self._feeder.finder(source)
            except ValueError as error:
                self._refuse(f"when.{source}", *_said(error))
        if len(getters) < len(self._station.when):
            return None
        return condition(
            self._station.when, getters.__getitem__, comma=self._station.decimal == ","
        )

    def _rest(self) -> Feed | None:
        name = self._station.rest
        if name is None:
            return None
        column = next((one for one in self._schema.columns if one.name == name), None)
        if column is None or column.delta.name != "VARIANT":
            self._refuse("rest", f"{name} is no VARIANT column of the table")
            return None
        if self._station.columns is not None and name in self._station.columns:
            self._refuse("rest", f"{name} has a source of its own in `columns`")
            return None
        return self._feeder.rest(column)

    def _window(self) -> Window | None:
        if self._station.time_window is None:
            return None
        own = {name for name, _ in self._names.known}
        columns = [
            (one.name, one.delta.name, self._zone(one.name))
            for one in self._schema.columns
            if one.name not in own
        ]
        return Window(self._station.time_window, columns, Clock().is_synchronised)

    def _zone(self, column: str) -> tzinfo | None:
        return self._defaults.place((self._station.columns or {}).get(column))

    # -- the columns ---------------------------------------------------------------------------

    def _feed_by_name(self) -> None:
        """Without `columns`: the payload's keys are the columns, then the captures."""
        for column in self._schema.columns:
            if column.name != self._station.rest:
                self._add(column, partial(self._feeder.by_name, column))

    def _feed_by_words(self, columns: dict[str, Words]) -> None:
        for column in self._schema.columns:
            words = columns.pop(column.name, None)
            if words is not None:
                self._add(column, partial(self._feeder.by_words, column, words))
            elif not column.nullable and column.name != self._station.rest:
                text = f"nothing feeds {column.name}, which is {column.delta} NOT NULL"
                self._refuse("columns", text, f"add a line such as {column.name}: /{column.name}")
        names = [column.name for column in self._schema.columns]
        for unknown in columns:
            near = get_close_matches(unknown, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            self._refuse(f"columns.{unknown}", "the table has no such column", hint)

    def _add(self, column: Column, feed: Callable[[], Feed | None]) -> None:
        try:
            found = feed()
        except ValueError as error:
            self._refuse(f"columns.{column.name}", *_said(error))
        else:
            if found is not None:
                self._columns.append(column)
                self._feeds.append(found)

    def _refuse(self, key: str, text: str, hint: str = "") -> None:
        lines, near = self._station.lines, key
        while near and near not in lines:
            near = near.rpartition(".")[0]
        line = lines.get(near, self._station.line)
        key = f"stations.{self._station.name}.{key}"
        self._problems.append(Problem(self._file, line, text, key, hint))


def _said(error: ValueError) -> tuple[str, str]:
    return str(error), error.hint if isinstance(error, SourceError) else ""
