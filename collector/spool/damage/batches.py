"""Batches whose bytes are not what was written: taken out of a file that is sound else."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from collector.spool.damage.quarantine import keep_bytes
from collector.spool.damage.rows import Loss
from collector.spool.reader import Damaged, SpoolReader
from collector.spool.rows import Rows

_log = logging.getLogger(__name__)


class DamagedBatches:
    """Those that were found since the start: `found` has table and reason by id."""

    def __init__(
        self, reader: SpoolReader, transaction: Callable[[], AbstractContextManager[Rows]]
    ) -> None:
        self._reader = reader
        self._transaction = transaction
        self._taken_out: set[int] = set()
        self.found: dict[int, str] = {}

    def note(self, table: str, batch: Damaged) -> None:
        """Note a batch that a read found; it is not sent."""
        self.found[batch.id] = f"{table}: {batch.reason}"

    def take_out(self) -> None:
        """Keep the bytes of each in quarantine, delete it, and state its records as lost.

        Raises:
            SpoolError: they can't be kept; it is tried again.
        """
        for identity, reason in list(self.found.items()):
            if identity in self._taken_out:
                continue
            body = self._reader.body(identity)
            if body is not None:
                self._take_out(identity, reason, *body)
            self._taken_out.add(identity)

    def _take_out(
        self, identity: int, reason: str, table: str, first_seq: int, records: int, body: bytes
    ) -> None:
        file = keep_bytes(self._reader.path, identity, body)
        with self._transaction() as rows:
            if rows.delete([identity], "lost"):
                last = first_seq + records - 1
                rows.damage.keep_loss(Loss(file.name, table, first_seq, last, records, reason))
        _log.error("batch %d is damaged and kept as %s: %s", identity, file, reason)
