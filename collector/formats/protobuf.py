r"""Protobuf: a message that a .proto file describes, or the table's own message.

The record is a dict of the fields that are present; a zero that is present is zero. A field without
presence (proto3, not `optional`) can't tell zero from absent: it is always there. Bytes are bytes,
enums are their names (a number without a name is the number), repeated fields lists, maps dicts
with texts as keys, messages dicts; of a `oneof` the member that was sent is there. Fields that the
file does not know are ignored, and so are extensions. A `required` field may be missing here: the
table says what must not be.

Refused are a message that is cut off or not well-formed, text that is not UTF-8, more than 100
levels, and more than 16 MiB. The file may hold several messages, in proto2, proto3 or an edition;
it imports nothing, so that a well-known type such as Timestamp has to be written out in it.

>>> from tempfile import TemporaryDirectory
>>> with TemporaryDirectory() as folder:
...     file = Path(folder) / "payload.proto"
...     text = 'syntax = "proto3"; message Reading { string id = 1; optional double temp = 2; }'
...     _ = file.write_text(text)
...     decode = compile(Options(schema=file), None).decode
>>> decode(b"\x0a\x03a-7\x11\x00\x00\x00\x00\x00\x80\x35\x40", Arrival("t", 0))
{'id': 'a-7', 'temp': 21.5}
"""

from pathlib import Path
from typing import Final, Self

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from pydantic import Field, ValidationInfo, field_validator, model_validator

from collector.formats import Decoder, FormatOptions
from collector.formats.shared.messages import names_of, reader_of
from collector.formats.shared.plain import check_size
from collector.model import Arrival
from collector.tables import Schema, compile_files

FILE_BYTES_MAX: Final = 1024 * 1024

_NO_IMPORT: Final = (
    "what a payload is must stand in this one file; write out a type of Google's as a message, "
    "such as Timestamp { int64 seconds = 1; int32 nanos = 2; }"
)

MEDIA_TYPES: Final[tuple[str, ...]] = ("application/x-protobuf", "application/protobuf")


class Options(FormatOptions):
    """Which message the payloads are.

    `schema` is the name of a .proto file in the table's folder, which the validation's context
    gives as "folder"; without a context it is a path. `message` is the name of the message in it,
    with or without its package.
    """

    file: Path | None = Field(None, alias="schema")
    message: str | None = Field(None, min_length=1)

    @field_validator("file")
    @classmethod
    def _is_there(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        if file is None or folder is None:
            return file
        if file.name != str(file) or file.suffix != ".proto":
            raise ValueError("must be the name of a .proto file beside the table's schema.proto")
        found = Path(folder, file).absolute()
        if not found.is_file():
            raise ValueError(f"there is no file {Path(folder, file)}")
        return found

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.message is not None and self.file is None:
            raise ValueError("message names one in the file that schema names: give both")
        return self


def compile(options: Options, schema: Schema | None) -> Decoder:  # noqa: A001
    """Return the decoder; raises ValueError when there is no such message."""
    if options.file is not None:
        file = _compiled(options.file)
    elif schema is not None:
        file = FileDescriptorProto.FromString(schema.file_descriptor)
    else:
        raise ValueError("there is no schema that says what the payloads are")
    read = reader_of(file, _name(file, options))

    def decode(payload: bytes, _arrival: Arrival) -> dict[str, object]:
        check_size(payload)
        return read(payload)

    return Decoder(decode)


def _compiled(path: Path) -> FileDescriptorProto:
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} can't be read as UTF-8 text: {error}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than 1 MiB")
    compiled = compile_files({path: text}, _NO_IMPORT)
    if compiled.problems:
        lines = [f"{one.file}:{one.line}: {one.text}" for one in compiled.problems]
        raise ValueError("\n".join(lines))
    return compiled.files[path]


def _name(file: FileDescriptorProto, options: Options) -> str:
    """The full name of the message that is meant."""
    names = names_of(file)
    if options.message is None:
        if len(file.message_type) == 1:
            return names[0]
        known = ", ".join(names) or "none"
        raise ValueError(f"{options.file} holds {known}: say which one by message")
    wanted = options.message
    fitting = [name for name in names if name == wanted]
    fitting = fitting or [name for name in names if name.endswith(f".{wanted}")]
    if len(fitting) == 1:
        return fitting[0]
    many = f"several messages {wanted}" if fitting else f"no message {wanted}"
    raise ValueError(f"{options.file} holds {many}; there are {', '.join(names) or 'none'}")
