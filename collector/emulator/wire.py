"""The messages of the wire contract, compiled from the packaged .proto when the emulator starts.

No generated code lies in the tree. The classes live in a descriptor pool of their own, so that
the Zerobus SDK, which knows messages of the same names, can run in the same process.
"""

import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

METHOD: Final = "/databricks.zerobus.Zerobus/EphemeralStream"
PACKAGE: Final = "databricks.zerobus"


class Wire:
    """The message classes of one emulator."""

    def __init__(self) -> None:
        pool = descriptor_pool.DescriptorPool()
        for file in _compile().file:
            pool.AddSerializedFile(file.SerializeToString())

        def named(name: str) -> Any:
            return message_factory.GetMessageClass(
                pool.FindMessageTypeByName(f"{PACKAGE}.{name}"),
            )

        self.request = named("EphemeralStreamRequest")
        self.response = named("EphemeralStreamResponse")
        self.proto: int = (
            pool.FindEnumTypeByName(f"{PACKAGE}.RecordType").values_by_name["PROTO"].number
        )

    def opened(self, stream_id: str) -> bytes:
        """The answer to an open."""
        response = self.response()
        response.create_stream_response.stream_id = stream_id
        return bytes(response.SerializeToString())

    def ack(self, offset: int) -> bytes:
        """Everything up to `offset` is durable."""
        response = self.response()
        response.ingest_record_response.durability_ack_up_to_offset = offset
        return bytes(response.SerializeToString())

    def close_signal(self, seconds: float) -> bytes:
        """The stream ends in so many seconds."""
        response = self.response()
        duration = response.close_stream_signal.duration
        duration.seconds = int(seconds)
        duration.nanos = int(seconds % 1 * 1e9)
        return bytes(response.SerializeToString())


class Refusal(Exception):  # noqa: N818 - It is an answer, not a fault of the emulator.
    """An RPC that ends with a status other than OK."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = grpc.StatusCode[status]
        self.text = text


STATUSES: Final = frozenset(code.name for code in grpc.StatusCode) - {"OK"}


def _compile() -> descriptor_pb2.FileDescriptorSet:
    """Run the compiler on the packaged file."""
    with (
        as_file(files("collector.emulator") / "zerobus_service.proto") as source,
        as_file(files("grpc_tools") / "_proto") as includes,
        tempfile.TemporaryDirectory() as folder,
    ):
        out = Path(folder, "wire.binpb")
        arguments = ["protoc", f"-I{source.parent}", f"-I{includes}", "--include_imports"]
        code = protoc.main([*arguments, f"--descriptor_set_out={out}", source.name])
        if code != 0:
            raise RuntimeError(f"protoc refused {source.name} with exit code {code}")
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
