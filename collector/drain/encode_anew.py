"""Batches of an older schema, encoded for the table as it is configured now (decision 4).

What can't be encoded anew is left as it is, and must not keep what can from being sent.
"""

import logging
from typing import Final

from collector.drain.front import Front
from collector.drain.shared import Shared
from collector.errors import SpoolError
from collector.model import Batch, Fault
from collector.spool import Spool
from collector.tables import Schema, encode_anew

_log = logging.getLogger(__name__)

_STUCK_HINT: Final = (
    "mend the schema, or let `collector dead bury {table}` make dead letters of what does not fit"
)


class Outdated:
    """The batches of a table whose schema the service does not open, and what becomes of them.

    `stuck` says why some of them can't be encoded for the configured schema. Those are set aside
    until nothing else is left, and then tried again at the back-off: the table may be altered back.
    """

    def __init__(self, table: str, shared: Shared, front: Front) -> None:
        self._table = table
        self._shared = shared
        self._front = front
        self.stuck = ""

    def after_refusal(self) -> bool:
        """Do what can be done when the service has refused an open; say whether to go on."""
        schema = self._shared.schemas.get(self._table)
        try:
            self._front.rewind()
            waiting = self._front.batches(1)
            if schema is None or not waiting or waiting[0].fingerprint == schema.fingerprint:
                return False
            changed, why = encode_table_anew(
                self._shared.spool, self._table, schema, self._shared.may_bury(self._table)
            )
            self.stuck = f"{why}: {_STUCK_HINT.format(table=self._table)}" if why else ""
            if why:
                self._front.set_aside(waiting[0].fingerprint)
            return changed or bool(self._front.batches(1))
        except SpoolError as error:
            self.stuck = str(error)
            return False

    def take_up(self) -> None:
        """Let what was set aside be tried again."""
        self._front.set_aside(None)
        self.stuck = ""


def encode_table_anew(
    spool: Spool, table: str, schema: Schema, may_bury: int = 0
) -> tuple[bool, str]:
    """Encode the batches of other schemas anew.

    Returns whether at least one was, and why others could not be.

    A batch with a value that the new schema has no place for, or without one that it requires,
    is left as it is: it stays held. Up to the batch `may_bury` an operator has said that such
    records are to be buried, and the others go on.
    """
    changed, position, stuck = 0, 0, ""
    while batches := spool.read(table, position):
        for batch in batches:
            position = batch.id
            if batch.fingerprint == schema.fingerprint:
                continue
            old = Schema.from_stored(spool.reader.schema(batch.fingerprint))
            records = [_encoded(record, old, schema) for record in batch.records]
            faults = [one for one in records if isinstance(one, Fault)]
            if faults and batch.id > may_bury:
                stuck = faults[0].reason
                continue
            spool.encode_anew(batch, schema.fingerprint, records)
            _say_buried(batch, faults)
            changed += 1
    if changed:
        _log.info("%s: %d batches are encoded anew for the changed schema", table, changed)
    if stuck:
        _log.error("%s: some batches do not fit the changed schema: %s", table, stuck)
    return changed > 0, stuck


def _encoded(record: bytes, old: Schema, schema: Schema) -> bytes | Fault:
    try:
        return encode_anew(record, old, schema)
    except ValueError as error:
        return Fault("schema", str(error))


def _say_buried(batch: Batch, faults: list[Fault]) -> None:
    if faults:
        text = "%s: %d records of batch %d are buried: %s"
        _log.error(text, batch.table, len(faults), batch.id, faults[0].reason)
