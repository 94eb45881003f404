"""A dead letter as commands show it."""

import base64
from typing import Any

from collector.commands._output import iso, shown_payload
from collector.spool.letters import StoredLetter


def described(letter: StoredLetter) -> dict[str, Any]:
    """Return a letter as JSON can say it; the payload is under `text` or `hex`."""
    way, payload = shown_payload(letter.payload)
    if letter.seq is not None:  # Protobuf, even where it happens to be text.
        way, payload = "hex", letter.payload.hex()
    return {**_head(letter), "received_us": letter.received_us, way: payload}


def exported(letter: StoredLetter) -> dict[str, Any]:
    """Return a letter for programs: `encoding` says whether the payload is text or base64."""
    encoding, payload = shown_payload(letter.payload)
    if encoding == "hex" or letter.seq is not None:
        encoding, payload = "base64", base64.b64encode(letter.payload).decode()
    return {**_head(letter), "encoding": encoding, "payload": payload}


def _head(letter: StoredLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "received": iso(letter.received_us),
        "station": letter.station,
        "table": letter.table,
        "topic": letter.topic,
        "kind": letter.kind,
        "reason": letter.reason,
        "field": letter.field,
        "position": letter.position,
        "seq": letter.seq,
    }
