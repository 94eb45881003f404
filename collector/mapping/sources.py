"""Where a column's value comes from, as the configuration says it.

`/a/b/0` is a path from the top of the message, `a/b` one into the current element of `each`, `../a`
one further out, `.` the element itself. `$name` is a captured topic level, or something that is
known about the message or the element. What a value must be is the column's business.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from collector.formats import Bad
from collector.mapping.misfit import bad, shown
from collector.model import Message


@dataclass(frozen=True, slots=True)
class Path:
    """A way into the message: from its top, or from the element `up` levels further out.

    `parts` are keys and positions; a `*` among them gives a list of all that stands there.
    """

    parts: tuple[str, ...]
    absolute: bool
    up: int = 0

    @property
    def positional(self) -> bool:
        """Whether it takes a payload that is a list for one thing."""
        if not self.absolute:
            return False
        return not self.parts or self.parts[0] == "*" or is_index(self.parts[0])


@dataclass(frozen=True, slots=True)
class Dollar:
    """A captured topic level, or one of the names in `known.py`.

    `$key` and `$index` are those of the element `up` levels further out.
    """

    name: str
    up: int = 0


Source = Path | Dollar


class Context(NamedTuple):
    """What is known of a message beside its payload."""

    message: Message
    captures: Mapping[str, str]
    topic: str
    received_us: int
    is_replay: bool = False


@dataclass(slots=True)
class Frame:
    """An element: what `each` stands at, and what it stands in.

    `key` is its key in an object or its place in a list, `index` its place in either.
    """

    context: Context
    top: Any
    element: Any
    outer: "Frame | None" = None
    key: str | int | None = None
    index: int = 0


Get = Callable[[Frame], Any]
Walk = Callable[[Frame], Iterator[Frame | Bad]]
"""Yields the elements of `each`; a `Bad` where it needs a list or an object and finds neither."""


class Nothing:
    """What stands at a path where there is nothing, not even null."""


NOTHING: Final = Nothing()


def parse_source(text: str) -> Source:
    """Read a source; raises ValueError that says why it can't be one."""
    if text.startswith("$"):
        if len(text) == 1:
            raise ValueError("a name is missing after $")
        return Dollar(text[1:])
    if text in (".", "/"):
        return Path((), absolute=text == "/")
    absolute = text.startswith("/")
    parts = text.removeprefix("/").split("/")
    if not all(parts):
        raise ValueError(f"the path {text!r} has an empty part")
    up = 0
    while not absolute and parts and parts[0] == "..":
        parts = parts[1:]
        up += 1
    if ".." in parts:
        raise ValueError(f"the path {text!r}: .. can stand at the beginning only")
    if up and parts in (["$key"], ["$index"]):
        return Dollar(parts[0][1:], up)
    unescaped = (part.replace("~1", "/").replace("~0", "~") for part in parts)
    return Path(tuple(unescaped), absolute, up)


def is_index(part: str) -> bool:
    """Whether a part of a path may count the members of a list."""
    return part.isascii() and part.isdigit() and (part == "0" or part[0] != "0") and len(part) < 7


def follow(parts: tuple[str, ...], value: Any) -> Any:
    """What stands at a path; None when it leads nowhere.

    With a `*` a list of what stands there in each member, None when there is nothing to walk.
    """
    found = reach(parts, value)
    return None if found is NOTHING else found


def reach(parts: tuple[str, ...], value: Any) -> Any:
    """As `follow`, but `NOTHING` when it leads nowhere: null is something."""
    for index, part in enumerate(parts):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and is_index(part) and int(part) < len(value):
            value = value[int(part)]
        elif part == "*" and isinstance(value, list | dict):
            rest = parts[index + 1 :]
            members = value.values() if isinstance(value, dict) else value
            return [follow(rest, member) for member in members]
        elif part == "*" and value is not None:
            raise bad(value, "a list or an object, which * could walk")
        else:
            return NOTHING
    return value


def getter(path: Path, *, find: Callable[[tuple[str, ...], Any], Any] = follow) -> Get:
    """What reads a path in an element; `find` is `follow` or `reach`."""
    parts, up = path.parts, path.up
    if path.absolute:
        return lambda frame: find(parts, frame.top)
    if up:
        return lambda frame: find(parts, outer(frame, up).element)
    if len(parts) == 1 and find is follow and not is_index(parts[0]) and parts[0] != "*":
        (name,) = parts
        return lambda frame: frame.element.get(name) if isinstance(frame.element, dict) else None
    return lambda frame: find(parts, frame.element)


def outer(frame: Frame, up: int) -> Frame:
    """The element so many levels further out; how many there are is known at start."""
    for _ in range(up):
        assert frame.outer is not None  # noqa: S101 - asked for at start.
        frame = frame.outer
    return frame


def walker(path: Path) -> Walk:
    """What finds the elements of `each` in a message; raises ValueError where it can't walk."""
    ways: list[tuple[str, ...]] = [()]
    for part in path.parts:
        if part == "*":
            ways.append(())
        else:
            ways[-1] = (*ways[-1], part)
    if len(ways) == 1:
        raise ValueError("names no elements: it needs a *, as in /list/*")
    *steps, last = ways

    def walk(frame: Frame) -> Iterator[Frame | Bad]:
        frames: Iterator[Frame | Bad] = iter((frame,))
        for step in steps:
            frames = _members(frames, step)
        for found in frames:
            if last and isinstance(found, Frame):
                # The member itself is one element further out.
                element = follow(last, found.element)
                yield Frame(found.context, found.top, element, found, found.key, found.index)
            else:
                yield found

    return walk


def depth_of(path: Path) -> int:
    """How many `..` lead out of an element of `each`: to the top of the message at most."""
    stars = path.parts.count("*")
    return stars if path.parts[-1] == "*" else stars + 1


def _members(frames: Iterator[Frame | Bad], step: tuple[str, ...]) -> Iterator[Frame | Bad]:
    for frame in frames:
        if isinstance(frame, Bad):
            yield frame
            continue
        value = follow(step, frame.element)
        if isinstance(value, list):
            for index, member in enumerate(value):
                yield Frame(frame.context, frame.top, member, frame, index, index)
        elif isinstance(value, dict):
            for index, (key, member) in enumerate(value.items()):
                yield Frame(frame.context, frame.top, member, frame, key, index)
        elif value is not None:
            path = "/" + "/".join(step)
            yield Bad("bad_value", f"each: {path} is {shown(value)}: neither a list nor an object")
