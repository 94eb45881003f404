"""A record of the spool as commands show it."""

from collections.abc import Callable
from typing import Any

from collector.commands._output import iso
from collector.errors import SpoolError
from collector.rows import Rows
from collector.spool.contents import BrokenBatch, StoredRecord


def describer(
    stored_schema: Callable[[bytes], bytes],
) -> Callable[[StoredRecord | BrokenBatch], dict[str, Any]]:
    """Return what describes records, as JSON can say them; `row` has the columns."""
    rows = Rows(stored_schema)

    def describe(record: StoredRecord | BrokenBatch) -> dict[str, Any]:
        if isinstance(record, BrokenBatch):
            return {
                "batch": record.batch,
                "table": record.table,
                "records": record.records,
                "broken": record.reason,
            }
        described = {
            "seq": record.seq,
            "station": record.station,
            "table": record.table,
            "received": iso(record.received_us),
            "received_us": record.received_us,
            "batch": record.batch,
        }
        if record.suspect:
            described["suspect"] = True
        try:
            return {**described, "row": rows.row(record.fingerprint, record.body)}
        except (ValueError, SpoolError) as error:
            return {**described, "broken": str(error), "hex": record.body.hex()}

    return describe
