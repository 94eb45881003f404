"""`tables/NAME/schema.proto` as the schema of a table, compiled at start, with nothing generated.

The file holds one self-contained proto2 message, as Zerobus takes it. A comment behind a field,
`// delta: TIMESTAMP`, gives the Delta type where protobuf can't say it. All that Zerobus would
refuse is refused here, with file and line, for all files at once.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from collector.errors import ConfigError, Problem
from collector.tables.columns import Comments, Place, read_columns
from collector.tables.protoc import Compiled, compile_files
from collector.tables.types import Column

FILE_NAME: Final = "schema.proto"
MAX_BYTES: Final = 1024 * 1024

_DELTA = re.compile(r"^\s*delta\s*:\s*(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_DELTA_ALONE = re.compile(r"\s*(?://+|/\*+)\s*delta\s*:", re.IGNORECASE)
_MISPLACED: Final = "`delta:` must stand behind a field, on the line where the field ends"
_PROTO2: Final = ("", "proto2")
# The numbers of these parts in a file's descriptor, and of two in a message's.
_IMPORT, _MESSAGE, _ENUM, _SERVICE, _EXTENSION, _SYNTAX = 3, 4, 5, 6, 7, 12
_FIELD, _NESTED = 2, 3


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table and its protobuf message.

    `descriptor` is what the service is sent, `file_descriptor` what its SDK takes, `message` the
    class that encodes a record. `stored` is all that `from_stored` needs to give the same schema
    back without the compiler; two schemas are equal when their `stored` is. `fingerprint` stands
    for the descriptor and the Delta types. `comment` is what the file says of the message; it is
    not stored, and neither are the comments of the columns.
    """

    stored: bytes
    file_descriptor: bytes = field(compare=False)
    descriptor: bytes = field(compare=False)
    fingerprint: bytes = field(compare=False)
    columns: tuple[Column, ...] = field(compare=False)
    message: type[Message] = field(compare=False)
    comment: str = field(default="", compare=False)

    def __repr__(self) -> str:
        name = self.message.DESCRIPTOR.full_name
        return f"Schema({name}, {len(self.columns)} columns, {self.fingerprint.hex()[:8]})"

    @classmethod
    def from_stored(cls, stored: bytes) -> "Schema":
        """The schema that was kept; raises ValueError when the bytes are none."""
        try:
            file = FileDescriptorProto.FromString(stored)
            # What was stored was checked once; a rule that came later must not lock it away.
            return _schema(file, Comments(delta=_stated(file)), lambda _place, _text: None)
        except (DecodeError, TypeError, LookupError, ValueError) as error:
            raise ValueError("the stored schema is damaged") from error


def load_schema(folder: Path) -> Schema:
    """The schema in a folder; raises `ConfigError` with all that is wrong in it."""
    return load_schemas([folder])[folder]


def load_schemas(folders: Iterable[Path]) -> dict[Path, Schema]:
    """The schemas of all folders by one run of the compiler, or the problems of all."""
    problems: list[Problem] = []
    texts: dict[Path, str] = {}
    wanted = list(dict.fromkeys(folders))
    for folder in wanted:
        try:
            texts[folder / FILE_NAME] = _text(folder / FILE_NAME)
        except ValueError as error:
            problems.append(Problem(folder / FILE_NAME, 1, str(error)))
    compiled = compile_files(texts) if texts else Compiled()
    problems += compiled.problems
    schemas = {}
    for file, descriptor in compiled.files.items():
        problems += _file_faults(file, descriptor, texts[file])
        if descriptor.message_type and descriptor.syntax in _PROTO2:
            comments = _comments(descriptor)
            refuse = _refusal(problems, file, comments)
            schemas[file.parent] = _schema(descriptor, comments, refuse)
    if problems:
        raise ConfigError(sorted(problems, key=lambda one: (one.file, one.line)))
    return {folder: schemas[folder] for folder in wanted}


def _refusal(
    problems: list[Problem], file: Path, comments: Comments
) -> Callable[[Place, str], None]:
    def refuse(place: Place, text: str) -> None:
        problems.append(Problem(file, comments.lines.get(place, 1), text))

    return refuse


def _text(file: Path) -> str:
    """The text of a schema file; raises ValueError with what is wrong with it."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError("there is no such file: each station's table needs one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"can't be read as UTF-8 text: {error}") from error
    if len(raw) > MAX_BYTES:
        raise ValueError("is larger than 1 MiB")
    return text


def _file_faults(file: Path, descriptor: FileDescriptorProto, text: str) -> Iterator[Problem]:
    """What is wrong with the file around its message."""
    lines = _lines(descriptor)
    if descriptor.syntax not in _PROTO2:
        text_of_fault = f'{descriptor.syntax} is not supported: write syntax = "proto2";'
        yield Problem(file, lines.get((_SYNTAX,), 1), text_of_fault)
    for parts, place, words in (
        (descriptor.dependency, _IMPORT, "an import: Zerobus is sent this one message only"),
        (descriptor.message_type[1:], _MESSAGE, "a second message: nest it in the first"),
        (descriptor.enum_type, _ENUM, "an enum: no type that Zerobus takes"),
        (descriptor.service, _SERVICE, "a service: a schema is a message only"),
        (descriptor.extension, _EXTENSION, "an extension: nothing that Zerobus takes"),
    ):
        skipped = 1 if place == _MESSAGE else 0
        for index, _ in enumerate(parts, skipped):
            yield Problem(file, lines.get((place, index), 1), f"holds {words}")
    if not descriptor.message_type:
        yield Problem(file, 1, "holds no message")
    for number, line in enumerate(text.splitlines(), 1):
        if _DELTA_ALONE.match(line):
            yield Problem(file, number, _MISPLACED)
    for location in descriptor.source_code_info.location:
        if _DELTA.search(location.trailing_comments) and not _is_field(location.path):
            yield Problem(file, location.span[0] + 1, _MISPLACED)


def _schema(
    file: FileDescriptorProto, comments: Comments, refuse: Callable[[Place, str], None]
) -> Schema:
    message = file.message_type[0]
    reading = read_columns(message, comments, refuse, file.package)
    plain = _plain(file)
    descriptor = plain.message_type[0].SerializeToString(deterministic=True)
    digest = hashlib.blake2b(descriptor, digest_size=16)
    kept = FileDescriptorProto()
    kept.CopyFrom(plain)
    for place, delta in sorted(reading.stated.items()):
        digest.update(f"\n{place} {delta}".encode())
        kept.source_code_info.location.add(
            path=(_MESSAGE, 0, *place), trailing_comments=f" delta: {delta}"
        )
    return Schema(
        stored=kept.SerializeToString(deterministic=True),
        file_descriptor=plain.SerializeToString(deterministic=True),
        descriptor=descriptor,
        fingerprint=digest.digest(),
        columns=reading.columns,
        message=_message_class(plain),
        comment=comments.words.get((), ""),
    )


def _plain(file: FileDescriptorProto) -> FileDescriptorProto:
    """The file without what says nothing about records: the same bytes whatever the comments."""
    plain = FileDescriptorProto(name=FILE_NAME, package=file.package)
    plain.message_type.add().CopyFrom(file.message_type[0])
    pending = [plain.message_type[0]]
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        for one in message.field:
            one.ClearField("json_name")
    return plain


def _message_class(plain: FileDescriptorProto) -> type[Message]:
    """A pool of its own: two tables may call their messages the same."""
    pool = DescriptorPool()
    pool.AddSerializedFile(plain.SerializeToString())
    name = plain.message_type[0].name
    full_name = f"{plain.package}.{name}" if plain.package else name
    return GetMessageClass(pool.FindMessageTypeByName(full_name))


def _comments(file: FileDescriptorProto) -> Comments:
    lines = {place[2:]: line for place, line in _lines(file).items() if place[:2] == (_MESSAGE, 0)}
    return Comments(_stated(file), _words(file), lines)


def _lines(file: FileDescriptorProto) -> dict[Place, int]:
    return {
        tuple(location.path): location.span[0] + 1 for location in file.source_code_info.location
    }


def _stated(file: FileDescriptorProto) -> dict[Place, str]:
    """The Delta types that stand in comments behind fields, by place in the message."""
    return {
        tuple(location.path[2:]): match[1]
        for location in file.source_code_info.location
        if _is_field(location.path) and (match := _DELTA.search(location.trailing_comments))
    }


def _words(file: FileDescriptorProto) -> dict[Place, str]:
    """The comments above and behind the fields, and above the message, without Delta types."""
    words: dict[Place, str] = {}
    for location in file.source_code_info.location:
        path = tuple(location.path)
        texts = [location.leading_comments]
        if _is_field(path):
            texts.append(_DELTA.sub("", location.trailing_comments))
        elif path != (_MESSAGE, 0):
            continue
        # A comment of several lines is one text that was wrapped.
        if text := " ".join(" ".join(texts).split()):
            words[path[2:]] = text
    return words


def _is_field(path: Sequence[int]) -> bool:
    """Whether a place in the file is a field of its first message, or of one nested in that."""
    inner = list(path[2:])
    while len(inner) > 2 and inner[0] == _NESTED:
        inner = inner[2:]
    return list(path[:2]) == [_MESSAGE, 0] and len(inner) == 2 and inner[0] == _FIELD
