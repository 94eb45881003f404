"""Which table of ours a row belongs to, told by its columns alone, for rows of damaged files.

A batch tells by its checksum that it is whole. The other tables have none: a row counts where its
columns can be nothing else.
"""

from dataclasses import dataclass

from collector.model import KINDS
from collector.spool import blob as batch_blob
from collector.spool.damage.pages import Row

FINGERPRINT_BYTES = 16
_LETTER_COLUMNS = (12, 15)
"""Of version 1, also of its rows in a file that was migrated, and of version 2."""


@dataclass(frozen=True, slots=True)
class FoundBatch:
    """A row of the table of batches, as it was found; `is_whole` is what its checksum says."""

    id: int
    table_id: int
    station_id: int
    schema_id: int
    first_seq: int
    records: int
    received_us: int
    suspect: int
    checksum: int
    blob: bytes

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are what was written."""
        return batch_blob.checksum(self.blob) == self.checksum


@dataclass(frozen=True, slots=True)
class FoundLetter:
    """A row of the table of dead letters, as it was found, without its payload."""

    id: int
    received_us: int
    station: str
    table: str
    topic: str
    kind: str
    reason: str
    field: str
    position: int | None
    seq: int | None
    fingerprint: bytes
    payload_id: int
    flags: int = 1
    properties: bytes = b""
    more: str = ""


def as_batch(row: Row) -> FoundBatch | None:
    """Return the whole batch that a row is, or None."""
    identity, values = row
    if len(values) != 10 or values[0] is not None or not isinstance(values[9], bytes):
        return None
    if not all(isinstance(value, int) for value in values[1:9]):
        return None
    found = FoundBatch(identity, *values[1:])
    return found if found.is_whole else None


def as_letter(row: Row) -> FoundLetter | None:
    """Return the dead letter that a row is, or None."""
    identity, values = row
    if len(values) not in _LETTER_COLUMNS or values[0] is not None or values[5] not in KINDS:
        return None
    texts, numbers = (
        (values[2], values[3], values[4], values[6], values[7]),
        (values[1], values[11]),
    )
    if not all(isinstance(text, str) for text in texts):
        return None
    if not all(isinstance(number, int) for number in numbers):
        return None
    return FoundLetter(identity, *values[1:])


def is_payload(row: Row) -> bool:
    """Say whether a row is the payload of dead letters."""
    _, values = row
    return len(values) == 2 and values[0] is None and isinstance(values[1], bytes)


def as_name(row: Row) -> tuple[int, str] | None:
    """Return the id and the name of a table or station that a row is, or None."""
    identity, values = row
    is_one = len(values) == 2 and values[0] is None and isinstance(values[1], str)
    return (identity, values[1]) if is_one else None


def as_counter(row: Row) -> tuple[tuple[str, str], int] | None:
    """Return scope, name and value of a counter that a row is, or None."""
    _, values = row
    if len(values) != 3:
        return None
    scope, name, value = values
    if not (isinstance(scope, str) and isinstance(name, str) and isinstance(value, int)):
        return None
    return (scope, name), value


def as_schema(row: Row) -> tuple[int, tuple[bytes, bytes]] | None:
    """Return the id, the fingerprint and the stored bytes of a schema that a row is, or None."""
    identity, values = row
    if len(values) != 3 or values[0] is not None:
        return None
    fingerprint, stored = values[1:]
    if not (isinstance(fingerprint, bytes) and isinstance(stored, bytes)):
        return None
    # Retained copies have two blobs as well; the second of theirs is as long as a fingerprint.
    if len(fingerprint) != FINGERPRINT_BYTES or len(stored) == FINGERPRINT_BYTES:
        return None
    return identity, (fingerprint, stored)
