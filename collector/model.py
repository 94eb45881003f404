"""The values that travel along the line; see `docs/glossary.md` for the words."""

import dataclasses
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


class Arrival(NamedTuple):
    """What a payload may need beside itself to be read.

    `received_us` is the time of its arrival in microseconds since the epoch; `dup` says that the
    broker has sent the message before, to this client or to one that was here before it,
    `unprotected` that it came with QoS 0, and `replayed` that it is a dead letter of some time ago.
    """

    topic: str
    received_us: int
    dup: bool = False
    unprotected: bool = False
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message, or one record of it, can't be delivered.

    `kind` is one of `KINDS`; `field` names the column, or is empty; `position` counts the records
    of the payload from 0, or is None when the whole message is meant. `more` are the positions of
    other records that this fault stands for as well; `value` is what did not
    fit, where there is one.
    """

    kind: str
    reason: str
    field: str = ""
    position: int | None = None
    more: tuple[int, ...] = ()
    value: object = dataclasses.field(default=None, compare=False)


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
        "dropped",
    }
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message or a record that can't be delivered, with its reason.

    `payload` is what the broker delivered (for kind `too_large` its beginning), or the record's
    protobuf bytes for a record that Zerobus refused (then `seq` is its number and `fingerprint`
    that of its schema). `received_us` is the arrival in microseconds since the epoch. `flags` are
    those of the message as `flags_of` packs them, `properties` its MQTT 5 properties.
    """

    fault: Fault
    topic: str
    payload: bytes
    received_us: int
    station: str = ""
    table: str = ""
    seq: int | None = None
    fingerprint: bytes = b""
    flags: int = 1
    properties: bytes = b""


def flags_of(message: Message) -> int:
    """Return QoS (bits 0 and 1), retain (2), dup (3) and oversize (4: only its beginning is kept).

    >>> flags_of(Message(b"t", b"", qos=1, retain=True))
    5
    """
    oversize = message.oversize > 0
    return message.qos | message.retain << 2 | message.dup << 3 | oversize << 4


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

    def letter(self, place: int, fault: Fault) -> DeadLetter:
        """Return the dead letter of its record at a place."""
        return DeadLetter(
            fault=fault,
            topic="",
            payload=self.records[place],
            received_us=self.received_us,
            station=self.station,
            table=self.table,
            seq=self.seqs[place],
            fingerprint=self.fingerprint,
        )
