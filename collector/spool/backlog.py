"""What a station has in the spool at some moment, to be seen leaving it."""

import json
import time
from typing import Final

from collector.spool.reader import SpoolReader
from collector.spool.spool import Spool

COUNTED_MAX: Final = 100_000
"""Batches that are counted to say how much is left."""
_UNDELIVERED: Final = ("buried", "expired", "dropped", "purged", "lost")
_OF_STATION: Final = """
SELECT records FROM batches WHERE table_id = (SELECT id FROM names WHERE name = ?)
AND station_id = (SELECT id FROM names WHERE name = ?)
AND id NOT IN (SELECT value FROM json_each(?))
"""
_LEFT: Final = f"""
SELECT coalesce(sum(records), 0) FROM ({_OF_STATION} AND suspect = 0 AND id <= ?
UNION ALL {_OF_STATION} AND suspect = 1 AND received_us <= ? LIMIT ?)
"""  # noqa: S608 - both parts stand here.


class Backlog:
    """That of one moment; asks the disk, by a reader of its own so that nobody waits for it."""

    def __init__(self, spool: Spool, reader: SpoolReader, station: str, table: str) -> None:
        self._spool = spool
        self._reader = reader
        self._place = (table, station)
        # Counted first: what leaves after that is of this backlog, or of what comes behind it.
        self._gone_before = self._gone()
        # What is set aside later gets a later batch, but had arrived before.
        self._last_batch, self._before_us = reader.last_batch(), time.time_ns() // 1000

    def is_left(self) -> bool:
        """Whether Zerobus has still to acknowledge some of it."""
        return self._left(1) > 0

    def left(self) -> int:
        """Return how many of its records Zerobus has not acknowledged."""
        return self._left(COUNTED_MAX)

    def undelivered(self) -> int:
        """Return how many records of the table left since then without being delivered.

        That is at least those of the station: a table may have several.
        """
        return self._gone() - self._gone_before

    def _gone(self) -> int:
        counters = self._reader.counters()
        scope = f"table:{self._place[0]}"
        return sum(counters.get((scope, name), 0) for name in _UNDELIVERED)

    def _left(self, at_most: int) -> int:
        # Copied before the read: what is deleted meanwhile is in neither.
        among = (*self._place, json.dumps(self._spool.taken.acknowledged()))
        ((records,),) = self._reader.rows(
            _LEFT, *among, self._last_batch, *among, self._before_us, at_most
        )
        return int(records)
