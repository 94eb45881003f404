"""The values that travel along the line; see `docs/glossary.md` for the words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

BATCH_MAX_RECORDS: Final = 2_000
BATCH_MAX_BYTES: Final = 256 * 1024
"""A batch never holds more, so that it is never more than one call and passes a slow link."""


class Message(NamedTuple):
    """What the broker delivered.

    `topic` is raw because bytes are the router's cache key; `properties` is the raw MQTT 5
    property block without its length; `identifiers` are the subscription identifiers in it.
    `oversize` is 0, or the payload's full length when it was over `mqtt.message_max_bytes`; then
    `payload` holds only its beginning.
    """

    topic: bytes
    payload: bytes
    qos: int = 1
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    identifiers: tuple[int, ...] = ()
    properties: bytes = b""
    oversize: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message, or one record of it, can't be delivered.

    `kind` is one of `KINDS`; `field` names the column, or is empty; `position` counts the records
    of the payload from 0, or is None when the whole message is meant.
    """

    kind: str
    reason: str
    field: str = ""
    position: int | None = None


class DecodeError(Exception):
    """The payload is not valid in the station's format: a dead letter of kind `undecodable`."""


KINDS: Final = frozenset(
    {
        "undecodable",
        "missing_required",
        "bad_value",
        "out_of_range",
        "unknown_alias",
        "too_large",
        "internal",
        "refused",
        "schema",
        "expired",
    }
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message or a record that can't be delivered, with its reason.

    `payload` is what the broker delivered (for kind `too_large` its beginning), or the record's
    protobuf bytes for a record that Zerobus refused (then `seq` is its number and `fingerprint`
    that of its schema). `received_us` is the arrival in microseconds since the epoch.
    """

    fault: Fault
    topic: str
    payload: bytes
    received_us: int
    station: str = ""
    table: str = ""
    seq: int | None = None
    fingerprint: bytes = b""


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Records of one station for one table, as one commit stores them: one row of the spool.

    `seqs` are the numbers of the records, as many and in the same order.
    """

    table: str
    station: str
    fingerprint: bytes
    seqs: Sequence[int]
    received_us: int
    records: list[bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the spool holds it. `suspect` marks a record that was refused alone before."""

    id: int
    table: str
    station: str
    fingerprint: bytes
    seqs: Sequence[int]
    received_us: int
    records: list[bytes]
    suspect: bool
    size_bytes: int
