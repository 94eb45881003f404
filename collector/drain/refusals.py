"""What a drain does when the service refuses records: search, set aside, try again, bury.

The order before the usual sending: a held table is probed, then suspects that are ripe are tried,
then the search goes on. Each sends one call alone and waits for its answer.
"""

import logging
from collections.abc import Callable
from typing import Final

from collector.drain.front import Front
from collector.drain.ledger import Call, Ledger, Part, compose
from collector.drain.search import Search, Suspects
from collector.model import Batch, Fault
from collector.spool import Spool
from collector.stream import CALL_MAX_BYTES, End, StreamError

_log = logging.getLogger(__name__)

_ALL_REFUSED_HINT: Final = (
    "every record is refused: compare tables/*/schema.proto with the table, and with what changed"
    " in it; nothing is buried while no record is accepted"
)

SendAlone = Callable[[Call], bool]
"""Sends a call with nothing else in flight; True when acknowledged, False when the line stops."""


class ReopenError(Exception):
    """The stream is over, and what follows from it is done: open the next one."""


class Refusals:
    """The suspects and the search of one table."""

    def __init__(self, table: str, spool: Spool, front: Front, may_bury: Callable[[], int]) -> None:
        self._table = table
        self._spool = spool
        self._front = front
        self._may_bury = may_bury
        self._search: Search | None = None
        self.suspects = Suspects(may_bury)
        self._loaded = False

    def load(self) -> None:
        """Learn of the suspects that an earlier run, or thread, has left in the spool."""
        if not self._loaded:
            for batch, fingerprint in self._spool.reader.suspects(self._table).items():
                self.suspects.add(batch, fingerprint)
            self._loaded = True

    def before_pump(self, send_alone: SendAlone, fingerprint: bytes, max_bytes: int) -> None:
        """Do on a fresh stream what has to be done alone: records of its schema, by small calls.

        Raises:
            ReopenError: a suspect was buried, which ended the stream.
            StreamError: the stream ended.
        """
        if self.suspects.all_refused() and not self._probe(send_alone, fingerprint):
            return
        for suspect in self.suspects.ripe(fingerprint):
            if not self._try_suspect(send_alone, suspect):
                return
        while self._search is not None:
            if not self._search_on(send_alone, self._search, fingerprint, max_bytes):
                return

    def is_ripe(self, fingerprint: bytes) -> bool:
        """Say whether a suspect of this schema may be tried again, on a fresh stream."""
        return bool(self.suspects.ripe(fingerprint))

    def settle(self, error: StreamError, ledger: Ledger) -> None:
        """Decide what follows from a refusal.

        Raises:
            ReopenError: narrowed down, or set aside: go on with another stream.
            StreamError: this was no refusal, or so many that the table is held.
        """
        first = ledger.first()
        if error.end is not End.REFUSED or first is None:
            raise error
        if self._search is None:
            self._search = Search(ledger.batches())
            if len(ledger) > 1:
                raise ReopenError from error
        if self._search.refused(len(first.records)):
            if (alone := self._named_by_operator(first.parts[0].batch)) is not None:
                self._bury(alone, error)
                raise ReopenError from error
            suspect = self._spool.set_aside(first.parts[0].batch)
            self.suspects.add(suspect, first.fingerprint)
            if self.suspects.all_refused():
                raise StreamError(End.HELD, error.reason, _ALL_REFUSED_HINT) from error
        raise ReopenError from error

    def waiting(self, *, held: bool) -> Batch | None:
        """Return a suspect that is worth a stream of its own, when nothing else waits."""
        worth = self.suspects.ripe() or (list(self.suspects) if held else [])
        for suspect in worth:
            batch = self._read(suspect)
            if batch is not None:
                return batch
        return None

    def _probe(self, send_alone: SendAlone, fingerprint: bytes) -> bool:
        """Ask a service that refused everything once more, with one record; buries nothing."""
        self._front.rewind()
        waiting = self._front.batches(1)
        batch = waiting[0] if waiting else self.waiting(held=True)
        call = compose([batch] if batch else [], 1, CALL_MAX_BYTES)
        if batch is None or call is None or batch.fingerprint != fingerprint:
            return True
        try:
            if not send_alone(call):
                return False
        except StreamError as error:
            if error.end is End.REFUSED:
                raise StreamError(End.HELD, error.reason, _ALL_REFUSED_HINT) from error
            raise
        if batch.suspect:
            self.suspects.remove(batch.id)
            self.suspects.accepted(batch.fingerprint)
        return True

    def _try_suspect(self, send_alone: SendAlone, suspect: int) -> bool:
        """Send a suspect alone on a fresh stream: it is accepted, or buried."""
        batch = self._read(suspect)
        if batch is None:
            self.suspects.remove(suspect)
            return True
        part = Part(batch.id, 1, whole=True)
        try:
            answered = send_alone(Call(batch.records, [part], batch.fingerprint, batch.size_bytes))
        except StreamError as error:
            if error.end is not End.REFUSED:
                raise
            self.suspects.remove(suspect)
            self._bury(batch, error)
            raise ReopenError from error
        if answered:
            self.suspects.remove(suspect)
        return answered

    def _named_by_operator(self, batch: int) -> Batch | None:
        """Return a batch of which an operator said that what is refused may be buried."""
        return self._read(batch) if batch <= self._may_bury() else None

    def _bury(self, batch: Batch, error: StreamError) -> None:
        """Make a dead letter of the first record of a batch."""
        self._spool.bury(batch, Fault("refused", error.reason))
        # What an operator wants buried may be a million records: the operation says how many.
        level = logging.DEBUG if self._may_bury() else logging.ERROR
        text = "%s: record %d is buried: %s"
        _log.log(level, text, self._table, batch.seqs[0], error.reason)

    def _search_on(
        self, send_alone: SendAlone, search: Search, fingerprint: bytes, max_bytes: int
    ) -> bool:
        """One step of the search: the oldest records as one call."""
        waiting = self._front.these(search.batches)
        call = compose(waiting, search.call_records(), max_bytes)
        if call is None or call.fingerprint != fingerprint:
            self._search = None
            return True
        if not send_alone(call):
            return False
        search.accepted(len(call.records))
        return True

    def _read(self, identity: int) -> Batch | None:
        batches = self._spool.read(self._table, identity - 1, 1)
        return batches[0] if batches and batches[0].id == identity else None
