"""From a message's descriptor to its columns, with the rules that the service has for it.

Reads descriptors, not files: lines and comments come in from `schema.py`. A descriptor alone, as
the service gets it, has the default Delta type of each field (`columns_of`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from collector.tables.types import KEYS, SCALARS, Column, DeltaType, parse_delta

MAX_COLUMNS: Final = 2_000
"""The service takes no wider table."""
MAX_UNFOLDED: Final = 10_000
"""Columns and members of structs in all: a message that is used twice counts twice, and messages
in messages could be more than fits anywhere."""

Place = tuple[int, ...]
"""Where an element stands in a descriptor, as protobuf's source info counts it."""

# The numbers of these parts in a descriptor.
_FIELD, _NESTED, _ENUM, _RANGE, _EXTENSION, _ONEOF = 2, 3, 4, 5, 6, 8


@dataclass(frozen=True, slots=True)
class Comments:
    """What a descriptor does not say itself of an element: Delta type, line, and words."""

    delta: Mapping[Place, str] = field(default_factory=dict)
    words: Mapping[Place, str] = field(default_factory=dict)
    lines: Mapping[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """The columns of a message, and the Delta types that its descriptor alone does not give."""

    columns: tuple[Column, ...]
    stated: Mapping[Place, str]


def columns_of(descriptor: DescriptorProto) -> tuple[Column, ...]:
    """The columns of a message that comes without a file; raises ValueError with all faults."""
    faults: list[str] = []
    reading = read_columns(descriptor, Comments(), lambda _, text: faults.append(text))
    if faults:
        raise ValueError("; ".join(faults))
    return reading.columns


def read_columns(
    descriptor: DescriptorProto,
    comments: Comments,
    refuse: Callable[[Place, str], None],
    package: str = "",
) -> Reading:
    """Read a message; `refuse` is told, with its place, all that the service would not take."""
    return _Reader(descriptor, comments, refuse, package).read()


class _Reader:
    """Reads one message and those nested in it; a type that is used twice is read once."""

    def __init__(
        self,
        root: DescriptorProto,
        comments: Comments,
        refuse: Callable[[Place, str], None],
        package: str,
    ) -> None:
        self._root = root
        self._comments = comments
        self._refuse = refuse
        self._prefix = f".{package}." if package else "."
        self._messages = dict(_messages(root, root.name, ()))
        self._read: dict[str, tuple[Column, ...]] = {}
        self._open: list[str] = []
        self._stated: dict[Place, str] = {}
        self._unfolded: dict[str, int] = {}

    def read(self) -> Reading:
        columns = self._message(self._root.name)
        for name, (message, path) in self._messages.items():
            if not message.options.map_entry:
                self._check(message, path)
                self._message(name)
        if len(columns) > MAX_COLUMNS:
            text = f"has {len(columns)} columns: Zerobus takes {MAX_COLUMNS}"
            self._refuse((_FIELD, MAX_COLUMNS), text)
        if self._unfolded[self._root.name] > MAX_UNFOLDED:
            text = f"has more than {MAX_UNFOLDED} columns and members of structs in all"
            self._refuse((), text)
        return Reading(columns, self._stated)

    def _message(self, name: str) -> tuple[Column, ...]:
        if name not in self._read:
            message, path = self._messages[name]
            self._open.append(name)
            columns = tuple(
                self._column(one, (*path, _FIELD, index)) for index, one in enumerate(message.field)
            )
            self._read[name] = columns
            used = (self._resolve(one.type_name) for one in message.field if one.type_name)
            self._unfolded[name] = len(columns) + sum(
                self._unfolded.get(one or "", 0) for one in used
            )
            self._open.pop()
        return self._read[name]

    def _column(self, one: Field, path: Place) -> Column:
        delta = self._type(one, path)
        nullable = one.label != Field.LABEL_REQUIRED
        line = self._comments.lines.get(path, 0)
        words = self._comments.words.get(path, "")
        return Column(one.name, delta, nullable, one.number, line, words)

    def _type(self, one: Field, path: Place) -> DeltaType:
        default = self._default(one, path)
        text = self._comments.delta.get(path)
        if text is None or default.name == "VOID":
            return default
        try:
            stated = parse_delta(text)
        except ValueError as error:
            self._refuse(path, f"{one.name}: {error}")
            return default
        if not self._fits(one, stated):
            self._refuse(path, f"{one.name}: {self._unfit(one, stated, default)}")
            return default
        if stated != default:
            self._stated[path] = str(stated)
        return stated

    def _default(self, one: Field, path: Place) -> DeltaType:
        if one.type == Field.TYPE_MESSAGE:
            element = self._nested(one, path)
        elif one.type in SCALARS:
            element = DeltaType(SCALARS[one.type][0])
        else:
            kind = Field.Type.Name(one.type).removeprefix("TYPE_").lower()
            self._refuse(path, f"{one.name}: {kind} is no type that Zerobus takes")
            element = DeltaType("VOID")
        if one.label != Field.LABEL_REPEATED or element.name in {"MAP", "VOID"}:
            return element
        return DeltaType("ARRAY", element=element)

    def _nested(self, one: Field, path: Place) -> DeltaType:
        name = self._resolve(one.type_name)
        if name is None:
            self._refuse(path, f"{one.name}: {one.type_name} is not nested in {self._root.name}")
            return DeltaType("VOID")
        if name in self._open:
            self._refuse(path, f"{one.name}: a message can't contain itself")
            return DeltaType("VOID")
        message, _ = self._messages[name]
        if message.options.map_entry and len(message.field) == 2:
            return self._map(one, message, path)
        return DeltaType("STRUCT", fields=self._message(name))

    def _map(self, one: Field, entry: DescriptorProto, path: Place) -> DeltaType:
        key, value = entry.field
        names = SCALARS.get(key.type, ("",))
        if names[0] not in KEYS or value.type not in SCALARS:
            text = "a map goes from int32, int64, bool or string to a scalar that Zerobus takes"
            self._refuse(path, f"{one.name}: {text}")
            return DeltaType("VOID")
        element = DeltaType(SCALARS[value.type][0])
        return DeltaType("MAP", key=DeltaType(names[0]), element=element)

    def _resolve(self, type_name: str) -> str | None:
        """The nested message that a full name means; without a file the package is not known."""
        if self._prefix != ".":
            name = type_name.removeprefix(self._prefix)
            return name if name in self._messages else None
        parts = type_name.lstrip(".").split(".")
        suffixes = (".".join(parts[start:]) for start in range(len(parts)))
        return next((name for name in suffixes if name in self._messages), None)

    def _fits(self, one: Field, stated: DeltaType) -> bool:
        if one.type == Field.TYPE_MESSAGE:
            name = self._resolve(one.type_name)
            message = self._messages[name][0] if name else None
            if message is None or not message.options.map_entry:
                return False
            key, value = message.field
            return (
                stated.key is not None
                and stated.element is not None
                and stated.key.name in KEYS
                and stated.key.name in SCALARS.get(key.type, ())
                and stated.element.name in SCALARS.get(value.type, ())
            )
        if one.label == Field.LABEL_REPEATED:
            inner = stated.element if stated.name == "ARRAY" else None
            return inner is not None and inner.name in SCALARS[one.type]
        return stated.name in SCALARS[one.type]

    def _unfit(self, one: Field, stated: DeltaType, default: DeltaType) -> str:
        kind = Field.Type.Name(one.type).removeprefix("TYPE_").lower()
        if default.name == "STRUCT" or (default.element and default.element.name == "STRUCT"):
            return f"{stated} can't be given to a message: give types to its fields"
        if default.name == "MAP":
            return f"{stated} does not fit the map, which is {default} or a type like it"
        names = ", ".join(SCALARS[one.type])
        form = "a repeated field is ARRAY<…> of " if default.name == "ARRAY" else ""
        return f"{stated} does not fit {kind}: {form}{names}"

    def _check(self, message: DescriptorProto, path: Place) -> None:
        """The rules of the service that are not about types."""
        for index, _ in enumerate(message.oneof_decl):
            self._refuse(
                (*path, _ONEOF, index), "oneof is nothing that Zerobus takes: use optional"
            )
        for index, one in enumerate(message.enum_type):
            self._refuse(
                (*path, _ENUM, index), f"{one.name}: an enum is no type that Zerobus takes"
            )
        if message.extension or message.extension_range:
            place = _EXTENSION if message.extension else _RANGE
            self._refuse((*path, place, 0), "extensions are nothing that Zerobus takes")
        self._check_fields(message, path)

    def _check_fields(self, message: DescriptorProto, path: Place) -> None:
        count = len(message.field)
        if not count:
            self._refuse(path, f"{message.name} has no fields")
        # Protobuf keeps 19000 to 19999 for itself.
        highest = count if count < 19_000 else count + 1_000
        names: dict[str, str] = {}
        for index, one in enumerate(message.field):
            where = (*path, _FIELD, index)
            if one.number > highest:
                text = (
                    f"{one.name}: number {one.number}: those of {count} fields are 1 to {highest}"
                )
                self._refuse(where, text)
            if one.HasField("default_value"):
                self._refuse(
                    where, f"{one.name}: a default is not applied: what is missing is NULL"
                )
            if (other := names.setdefault(one.name.lower(), one.name)) != one.name:
                self._refuse(where, f"{one.name} and {other} are the same column to Delta")


def _messages(
    message: DescriptorProto, name: str, path: Place
) -> Iterator[tuple[str, tuple[DescriptorProto, Place]]]:
    yield name, (message, path)
    for index, nested in enumerate(message.nested_type):
        yield from _messages(nested, f"{name}.{nested.name}", (*path, _NESTED, index))
