"""What is intact in a damaged spool file, brought over into the one that is in use.

Batches keep their numbers and arrival and get new ids; they may repeat what was delivered and not
yet deleted when the file broke. How far it is stands in the fresh file and moves by the same
commits that store what was saved, so that an interrupted salvage goes on and saves nothing twice.
`salvaged` counts all that the old file is known to have held, `lost` what of that is unreadable.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from collector.errors import SpoolError, SpoolFullError
from collector.model import DeadLetter, Fault, NewBatch
from collector.spool import blob as batch_blob
from collector.spool.damage.lost import LostRange, lost_ranges
from collector.spool.damage.quarantine import DONE, SPOOL, reason_of, waiting
from collector.spool.damage.rows import Loss
from collector.spool.damage.shapes import FoundBatch, FoundLetter
from collector.spool.damage.told import progress
from collector.spool.damage.wreck import Wreck
from collector.spool.database import disk_error
from collector.spool.rows import Rows
from collector.spool.spool import Spool

_log = logging.getLogger(__name__)

_BATCHES_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 2 * 1024 * 1024
_LETTERS_AT_ONCE: Final = 200
_BETWEEN_S: Final = 0.02
_AGAIN_S: Final = 5.0
_RANGES_MAX: Final = 50


class Salvage:
    """Saves one folder of quarantine; its steps are transactions, between them it can be left.

    It goes through five states: `rows` and `pages` save batches, `letters` and `letter pages` save
    dead letters, `losses` states what is lost.
    """

    def __init__(self, spool: Spool, folder: Path) -> None:
        self._spool = spool
        self._folder = folder
        with spool.transaction() as rows:
            rows.damage.register_salvage(folder.name, reason_of(folder))
        state, position, note = progress(spool.reader, folder.name)
        self._state, self._position = state, position
        self._tables: Counter[str] = Counter(note.get("tables", {}))
        self._broken: list[list[Any]] = note.get("broken", [])
        self._letters: int = note.get("letters", 0)

    def steps(self) -> Iterator[dict[str, Any]]:
        """Yield what was saved, after each transaction.

        Raises:
            SpoolError: the spool in use can't be written; it may be tried again.
        """
        with closing(Wreck(self._folder / SPOOL)) as wreck:
            if self._state == "rows":
                yield from self._save_rows(wreck)
            if self._state == "pages":
                yield from self._save_pages(wreck)
            if self._state == "letters":
                yield from self._save_letters(wreck)
            if self._state == "letter pages":
                yield from self._save_letters_of_pages(wreck)
            if self._state == "losses":
                yield self._finish(wreck)
        text = json.dumps(self._summary(), indent=2) + "\n"
        try:
            (self._folder / DONE).write_text(text)
        except OSError as error:
            raise disk_error(error, self._folder) from error

    def _save_rows(self, wreck: Wreck) -> Iterator[dict[str, Any]]:
        for chunk in _chunks(wreck.batches(self._position)):
            yield self._store(wreck, chunk, chunk[-1].id)
        yield self._enter("pages")

    def _save_pages(self, wreck: Wreck) -> Iterator[dict[str, Any]]:
        known = wreck.batch_ids()
        for number, found in wreck.batches_of_pages(self._position, known):
            if found:
                yield self._store(wreck, found, number)
        yield self._enter("letters")

    def _save_letters(self, wreck: Wreck) -> Iterator[dict[str, Any]]:
        letters = wreck.letters(self._position)
        while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
            yield self._bury(chunk, chunk[-1][0].id)
        yield self._enter("letter pages")

    def _save_letters_of_pages(self, wreck: Wreck) -> Iterator[dict[str, Any]]:
        known = wreck.letter_ids()
        for number, found in wreck.letters_of_pages(self._position, known):
            if found:
                yield self._bury(found, number)
        yield self._enter("losses")

    def _store(self, wreck: Wreck, found: list[FoundBatch], position: int) -> dict[str, Any]:
        """Store the batches that are whole; what is wrong with the others is noted."""
        self._spool.room.check_to_salvage()
        tables: set[str] = set()
        with self._spool.transaction() as rows:
            for one in found:
                batch, why = _as_new(wreck, one)
                if batch is None:
                    table = wreck.explained.names.get(one.table_id, "")
                    self._broken.append([table, one.first_seq, one.records, why])
                    continue
                rows.add_schema(batch.fingerprint, wreck.explained.schemas[one.schema_id][1])
                rows.insert(batch, counted="salvaged")
                self._tables[batch.table] += len(batch.records)
                tables.add(batch.table)
            self._keep(rows, self._state, position)
        self._spool.stored(tables, ())
        return self._summary()

    def _bury(self, letters: list[tuple[FoundLetter, bytes]], position: int) -> dict[str, Any]:
        self._spool.room.check_to_salvage()
        # A payload that several share stands once: the writer knows it by its being the same.
        bodies: dict[int, bytes] = {}
        with self._spool.transaction() as rows:
            rows.bury(
                _as_letter(letter, bodies.setdefault(letter.payload_id, payload))
                for letter, payload in letters
            )
            self._letters += len(letters)
            self._keep(rows, self._state, position)
        return self._summary()

    def _finish(self, wreck: Wreck) -> dict[str, Any]:
        """State what is lost: by the old counters where they can be read, else by what is known."""
        counters = wreck.counters()
        held = {
            scope[6:]: value for (scope, name), value in counters.items()
            if name == "spooled" and scope.startswith("table:")
        }  # fmt: skip
        known = Counter[str]()
        for table, _, records, _ in self._broken:
            known[table] += records
        lost = {
            table: max(held.get(table, 0) - self._tables[table], known[table])
            for table in {*held, *known}
        }
        lost_letters = max(counters.get(("", "dead"), 0) - self._letters, 0)
        ranges = list(lost_ranges(wreck))
        with self._spool.transaction() as rows:
            for table, first_seq, records, why in self._broken:
                last = first_seq + records - 1
                rows.damage.keep_loss(Loss(self._folder.name, table, first_seq, last, records, why))
            for table, count in lost.items():
                if count > known[table]:
                    self._lose(rows, table, count - known[table], ranges)
                name = table or "?"
                rows.count({(f"table:{name}", "salvaged"): count, (f"table:{name}", "lost"): count})
            if not counters:
                self._lose_unknown(rows, "how much was in damaged pages is not known")
            if wreck.wal_is_broken:
                self._lose_unknown(rows, "what a damaged part of the WAL held is not known")
            rows.count({("", "dead_lost"): lost_letters})
            self._keep(rows, "done", 0)
        self._state = "done"
        for table, count in lost.items():
            if count:
                _log.error("%s: %d records of %s are lost", self._folder, count, table or "?")
        if lost_letters:
            _log.error("%s: %d dead letters are lost", self._folder, lost_letters)
        _log.warning("%s is salvaged: %s", self._folder, json.dumps(self._summary()))
        return self._summary()

    def _lose(self, rows: Rows, table: str, records: int, ranges: list[LostRange]) -> None:
        """Note the records of a table that are in no page: in ranges, if these are known."""
        source, why = self._folder.name, "the pages can't be read"
        among = [one for one in ranges if one.table == table]
        if len(among) == 1:
            first, last = among[0].first_seq, among[0].last_seq
            rows.damage.keep_loss(Loss(source, table, first, last, records, why))
            return
        rows.damage.keep_loss(Loss(source, table, None, None, records, why))
        for one in among[:_RANGES_MAX]:
            why = f"{one.batches} batches, which are counted above: the pages can't be read"
            rows.damage.keep_loss(Loss(source, table, one.first_seq, one.last_seq, None, why))

    def _lose_unknown(self, rows: Rows, why: str) -> None:
        rows.damage.keep_loss(Loss(self._folder.name, "", None, None, None, why))

    def _enter(self, state: str) -> dict[str, Any]:
        with self._spool.transaction() as rows:
            self._keep(rows, state, 0)
        self._state, self._position = state, 0
        return self._summary()

    def _keep(self, rows: Rows, state: str, position: int) -> None:
        note = {
            "tables": self._tables,
            "broken": self._broken,
            "letters": self._letters,
        }
        rows.damage.keep_salvage(self._folder.name, state, position, json.dumps(note))

    def _summary(self) -> dict[str, Any]:
        return {
            "records": sum(self._tables.values()),
            "letters": self._letters,
            "tables": dict(self._tables),
        }


class SalvageThread(threading.Thread):
    """Salvages what waits in quarantine, beside the line; does nothing when nothing waits."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(name="salvage", daemon=True)
        self._spool = spool
        self._stopping = threading.Event()

    def run(self) -> None:
        """Salvage folder by folder; trouble with the spool in use is waited out."""
        for folder in waiting(self._spool.path):
            waits = False
            while not self._stopping.is_set():
                try:
                    for _ in Salvage(self._spool, folder).steps():
                        waits = False
                        if self._stopping.wait(_BETWEEN_S):
                            return
                    break
                except SpoolFullError as error:
                    if not waits:
                        _log.warning("the salvage of %s waits for room: %s", folder, error)
                    waits = True
                except SpoolError as error:
                    _log.error("the salvage of %s is tried again: %s", folder, error)
                except Exception:  # noqa: BLE001 - The top of the thread.
                    # A wreck must not end the daemon: at the next start it is begun again.
                    _log.exception("the salvage of %s is left: `collector spool repair`", folder)
                    break
                self._stopping.wait(_AGAIN_S)

    def stop(self, deadline: float) -> None:
        """End between two transactions."""
        self._stopping.set()
        if self.is_alive():
            self.join(max(0.0, deadline - time.monotonic()))


def _chunks(batches: Iterable[FoundBatch]) -> Iterator[list[FoundBatch]]:
    chunk: list[FoundBatch] = []
    size = 0
    for one in batches:
        chunk.append(one)
        size += len(one.blob)
        if len(chunk) >= _BATCHES_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _as_new(wreck: Wreck, found: FoundBatch) -> tuple[NewBatch | None, str]:
    """Return what is to be stored, or why it can't be."""
    if not found.is_whole:
        return None, "its checksum does not fit its bytes"
    names, schemas = wreck.explained
    table, station = names.get(found.table_id), names.get(found.station_id)
    schema = schemas.get(found.schema_id)
    if table is None or schema is None:
        return None, "its table or its schema can't be read"
    try:
        records, seqs = batch_blob.unpack(found.blob, found.first_seq)
    except ValueError as error:
        return None, str(error)
    return NewBatch(table, station or "", schema[0], seqs, found.received_us, records), ""


def _as_letter(found: FoundLetter, payload: bytes) -> DeadLetter:
    more = tuple(int(place) for place in found.more.split(",") if place)
    fault = Fault(found.kind, found.reason, found.field, found.position, more)
    return DeadLetter(
        fault=fault,
        topic=found.topic,
        payload=payload,
        received_us=found.received_us,
        station=found.station,
        table=found.table,
        seq=found.seq,
        fingerprint=found.fingerprint,
        flags=found.flags,
        properties=found.properties,
    )
