"""The bytes of a batch: a protobuf message that any protobuf tool can decode.

    message Batch { repeated bytes records = 1; repeated uint64 seqs = 2 [packed = true]; }

`seqs` stands there only when the numbers of the records are not in one run; otherwise the row's
`first_seq` says them all. The checksum is the CRC-32 of the bytes.
"""

import zlib
from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_FIELD = descriptor_pb2.FieldDescriptorProto


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="collector/spool.proto", package="collector", syntax="proto2"
    )
    message = file.message_type.add(name="Batch")
    message.field.add(name="records", number=1, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED)
    seqs = message.field.add(
        name="seqs", number=2, type=_FIELD.TYPE_UINT64, label=_FIELD.LABEL_REPEATED
    )
    seqs.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("collector.Batch"))


_Batch: Any = _message_class()


def pack(records: Sequence[bytes], seqs: Sequence[int]) -> bytes:
    """Return the bytes of a batch."""
    in_one_run = seqs[-1] - seqs[0] == len(seqs) - 1
    batch = _Batch(records=records) if in_one_run else _Batch(records=records, seqs=seqs)
    packed: bytes = batch.SerializeToString()
    return packed


def unpack(blob: bytes, first_seq: int) -> tuple[list[bytes], Sequence[int]]:
    """Return records and their numbers; raises ValueError for bytes that are no batch."""
    try:
        batch = _Batch.FromString(blob)
    except Exception as error:
        raise ValueError(f"not a batch: {error}") from error
    records = list(batch.records)
    return records, list(batch.seqs) or range(first_seq, first_seq + len(records))


def names(blob: bytes, seq: int) -> bool:
    """Say whether a number stands in these bytes: never in those of one run, nor in no batch."""
    try:
        return seq in _Batch.FromString(blob).seqs
    except DecodeError:
        return False


def checksum(blob: bytes) -> int:
    """Return the checksum that a row keeps beside its bytes."""
    return zlib.crc32(blob)
