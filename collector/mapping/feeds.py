"""What feeds a column: the words of its line in the configuration, compiled.

Says at start what can be said of a line: a name that nothing captures, a word that does not go with
the type, a source that can't be.
"""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

from collector.config.vocabulary import Words
from collector.mapping.coerce import coercion
from collector.mapping.conversion import (
    Defaults,
    chained,
    conversion,
    default_of,
    steps_of,
)
from collector.mapping.known import NAMES
from collector.mapping.misfit import MisfitError
from collector.mapping.names import STEPS, Names, SourceError, capture
from collector.mapping.plan import Feed
from collector.mapping.sources import (
    Dollar,
    Frame,
    Get,
    Path,
    getter,
    parse_source,
    reach,
)
from collector.mapping.steps import printed
from collector.tables import Column, DeltaType


class Feeder:
    """Makes the feeds of a station's columns, and notes what they need.

    `top_keys` and `element_keys` are the first keys of paths, None among them for a path to the
    whole. `keys` are those that a record may have, if the format fixes them. `is_general` says that
    some source is more than a plain path or what the topic gives.
    """

    def __init__(self, names: Names, defaults: Defaults) -> None:
        self._names = names
        self._defaults = defaults
        self.keys: frozenset[str] | None = None
        self.top_keys: set[str | None] = set()
        self.element_keys: set[str | None] = set()
        self.is_general = False
        self.is_positional = False
        self.takes_scalars = False

    def by_name(self, column: Column) -> Feed:
        """Feed a column from the key of its name, and from the capture of its name."""
        words = Words.of_key(column.name)
        given = capture(column.name) if column.name in self._names.captures else None
        path = Path((column.name,), absolute=False)
        self._note(path)
        convert = conversion(words, column.delta, self._defaults)
        get = getter(path)
        return Feed(
            column.name, column.nullable, convert, get, given, None, path.parts,
            is_stepped=self._defaults != Defaults(),
        )  # fmt: skip

    def by_words(self, column: Column, words: Words) -> Feed | None:
        """Feed a column as its line says; None when `known` or `seq_columns` has it."""
        source = words.sources[0] if len(words.sources) == 1 else None
        parsed = parse_source(source) if isinstance(source, str) else None
        if isinstance(parsed, Dollar) and self._names.is_known(column, words, parsed.name):
            return None
        convert = conversion(words, column.delta, self._defaults)
        default = default_of(words, column.delta, self._defaults)
        feed = partial(Feed, column.name, column.nullable, convert, default=default)
        if isinstance(parsed, Path):
            self._note(parsed)
            self._check_key(parsed)
            if "*" in parsed.parts and column.delta.name not in ("ARRAY", "VARIANT"):
                raise SourceError(f"{source}: * gives a list, and that can't become {column.delta}")
            # Within `each` a path has a frame to start from, which the fast way has not.
            is_plain = not (parsed.up or "*" in parsed.parts)
            self.is_general |= not is_plain
            is_stepped = any(map(words.says, STEPS)) or self._defaults != Defaults()
            return feed(
                get=getter(parsed),
                path=parsed.parts if is_plain else None,
                is_stepped=is_stepped or default is not None,
            )
        if words.says("value"):
            constant = words.value
            self._check_constant(column, constant, convert)
            return feed(given=lambda _captures, _topic: constant)
        if isinstance(parsed, Dollar) and (given := self._names.given(column.delta, parsed.name)):
            return feed(given=given)
        self.is_general = True
        return feed(get=self._get(words, column.delta))

    def _check_constant(self, column: Column, value: Any, convert: Callable[[Any], Any]) -> None:
        """Raise SourceError where a constant could only make dead letters."""
        try:
            kept = None if value is None else convert(value)
        except MisfitError as misfit:
            raise SourceError(f"value: {misfit}") from None
        if kept is None and not column.nullable:
            raise SourceError(f"value: {column.name} is NOT NULL")

    def rest(self, column: Column) -> Feed:
        """Feed the column that takes what no other does."""
        return Feed(column.name, column.nullable, coercion(column.delta))

    def finder(self, source: str) -> Get:
        """What reads a source as it came; `NOTHING` where there is nothing, not even null."""
        parsed = parse_source(source)
        if isinstance(parsed, Path):
            if "*" in parsed.parts:
                raise SourceError("a condition looks at one value, and * gives a list")
            self.is_positional |= parsed.positional
            self._check_key(parsed)
            return getter(parsed, find=reach)
        return self._names.getter(parsed.name, parsed.up)

    # -- sources that are more than a path -----------------------------------------------------

    def _get(self, words: Words, delta: DeltaType) -> Get:
        if words.join:
            return _joined([self._one(text, delta) for text in words.join])
        if words.says("value"):
            return lambda _: words.value
        gets = [self._one(one, delta) for one in words.sources]
        return gets[0] if len(gets) == 1 else _first(gets)

    def _one(self, source: str | Words, delta: DeltaType) -> Get:
        """One of several sources, which may have steps of its own before those of the column."""
        if isinstance(source, str):
            parsed = parse_source(source)
            if isinstance(parsed, Dollar):
                return self._names.getter(parsed.name, parsed.up)
            self._note(parsed)
            self._check_key(parsed)
            return getter(parsed)
        get = self._get(source, delta)
        convert = chained(
            steps_of(source, delta, self._defaults, inner=True), lenient=source.lenient
        )
        default = source.default

        def stepped(frame: Frame) -> Any:
            value = get(frame)
            if value is not None:
                value = convert(value)
            return default if value is None else value

        return stepped

    def _check_key(self, path: Path) -> None:
        """Raise SourceError for a key that no record of the format has."""
        if self.keys is None or path.up or (self._names.depth and not path.absolute):
            return
        key = path.parts[0] if path.parts else "*"
        if key == "*" or key in self.keys:
            return
        if not self.keys:
            raise SourceError(f"{key}: a payload of this format has no keys", "`.` is all of it")
        near = get_close_matches(key, self.keys, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self.keys))}"
        raise SourceError(f"{key}: records of this format have no such key", hint)

    def _note(self, path: Path) -> None:
        """Note what a path takes, of the top or of an element."""
        for part in path.parts:
            if part.startswith("$") and part[1:] in self._names.captures | NAMES:
                raise SourceError(f"{part} can't stand in a path: as a source it stands alone")
        if path.up:
            self._names.check_up(path.up)
            return
        first = path.parts[0] if path.parts and path.parts[0] != "*" else None
        keys = self.top_keys if path.absolute else self.element_keys
        keys.add(first)
        if not self._names.depth:
            # Without `each` the message is the one element.
            self.top_keys.add(first)
        self.is_positional |= path.positional
        self.takes_scalars |= not path.parts


def _first(gets: list[Get]) -> Get:
    def first(frame: Frame) -> Any:
        for get in gets:
            value = get(frame)
            if value is not None:
                return value
        return None

    return first


def _joined(gets: list[Get]) -> Callable[[Frame], str | None]:
    """Texts joined by a blank; NULL as soon as one of them is missing."""

    def join(frame: Frame) -> str | None:
        texts = []
        for get in gets:
            value = get(frame)
            if value is None:
                return None
            texts.append(value if isinstance(value, str) else printed(value))
        return " ".join(texts)

    return join
