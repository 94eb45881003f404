"""The dead letters that are kept, by kind: how many, and the newest as a sample.

Read from the spool only when their counters changed, and so seldom that it takes little of a core:
there may be a hundred thousand. A sample is cut; nothing of it is trusted.
"""

import codecs
import json
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from collector.errors import SpoolError
from collector.rows import Rows
from collector.spool.reader import SpoolReader

SAMPLE_BYTES: Final = 1024
_HEX_BYTES: Final = 128
_REASON_CHARS: Final = 500
_REST_TIMES: Final = 20.0
_KINDS: Final = """
SELECT kind, count(*), max(id) FROM dead_letters GROUP BY kind ORDER BY max(id) DESC
"""
# A record is needed whole, to be decoded.
_SAMPLE: Final = """
SELECT d.id, d.kind, d.received_us, d.station, d.table_name AS "table", d.topic, d.reason, d.field,
       d.seq, d.fingerprint, length(p.body) AS size,
       CASE WHEN d.seq IS NULL THEN substr(p.body, 1, ?) ELSE p.body END AS body
FROM dead_letters d JOIN payloads p ON p.id = d.payload_id WHERE d.id = ?
"""
_NAMES: Final = (
    "id", "kind", "received_us", "station", "table", "topic", "reason", "field", "seq",
    "fingerprint", "size", "body",
)  # fmt: skip


class Letters:
    """Used by one thread at a time."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._counted: object = None
        self._next_at = 0.0
        self._kinds: list[dict[str, Any]] = []

    def look(self, messages: Mapping[str, int]) -> list[dict[str, Any]]:
        """Return the kinds, the one with the newest letter first.

        `messages` are the counters of the whole line.

        Raises:
            SpoolError: the spool can't be read.
        """
        counted = [(name, count) for name, count in messages.items() if name.startswith("dead")]
        began = time.monotonic()
        if counted != self._counted and began >= self._next_at:
            with closing(SpoolReader(self._spool)) as reader:
                self._kinds = _kinds(reader)
            self._counted = counted
            now = time.monotonic()
            self._next_at = now + _REST_TIMES * (now - began)
        return self._kinds


def _kinds(reader: SpoolReader) -> list[dict[str, Any]]:
    found = []
    for kind, count, newest in reader.rows(_KINDS):
        # It may be gone meanwhile: replayed, or purged.
        for row in reader.rows(_SAMPLE, SAMPLE_BYTES, newest):
            letter = dict(zip(_NAMES, row, strict=True))
            body, fingerprint = letter.pop("body"), letter.pop("fingerprint")
            if letter.pop("seq") is None:
                sample = _shown(body, letter["size"])
            else:
                sample = _record(reader, fingerprint, body)
            # Of a traceback the last line says what it was.
            letter["reason"] = letter["reason"].rstrip().split("\n")[-1][:_REASON_CHARS]
            found.append({**letter, **sample, "kind": kind, "count": count})
    return found


def _shown(begin: bytes, size: int) -> dict[str, Any]:
    r"""Return the begin of a payload: as text if it is UTF-8, which the cut may split; or as hex.

    >>> _shown(b"21.5 \xc2", 7)
    {'way': 'text', 'text': '21.5 …', 'is_cut': True}
    >>> _shown(b"\xff\x00", 2)
    {'way': 'hex', 'text': 'ff 00', 'is_cut': False}
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return _sample("text", decoder.decode(begin, final=size <= len(begin)), size > len(begin))
    except UnicodeDecodeError:
        return _sample("hex", begin[:_HEX_BYTES].hex(" "), size > _HEX_BYTES)


def _record(reader: SpoolReader, fingerprint: bytes, record: bytes) -> dict[str, Any]:
    """Return a record by the columns of its table, or as hex where they are not known."""
    try:
        row = Rows(reader.schema).row(fingerprint, record)
    except (ValueError, SpoolError):
        return _sample("hex", record[:_HEX_BYTES].hex(" "), len(record) > _HEX_BYTES)
    text = json.dumps(row, ensure_ascii=False)
    return _sample("columns", text[:SAMPLE_BYTES], len(text) > SAMPLE_BYTES)


def _sample(way: str, text: str, is_cut: bool) -> dict[str, Any]:
    return {"way": way, "text": text + "…" * is_cut, "is_cut": is_cut}
