"""Which batches of a damaged file are lost, and between which numbers their records were.

A batch that can't be read does not say its numbers. Its id stands in the index beside its table,
and those before and behind it say where the numbers of the records went on.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from collector.spool.damage.wreck import Wreck

_IDS_MAX: Final = 100_000
"""More lost batches are not looked for one by one: no more is known of them than a count."""


@dataclass(frozen=True, slots=True)
class LostRange:
    """Lost batches of a table that stood in a row, and the numbers that their records are among.

    A number is None where what stood before, or behind, is not known.
    """

    table: str
    batches: int
    first_seq: int | None
    last_seq: int | None


def lost_ranges(wreck: Wreck) -> Iterator[LostRange]:
    """Yield what the index has, and neither SQLite nor the pages."""
    known = wreck.batch_ids()
    unread = (one for one in wreck.indexed() if one[0] not in known)
    missing = list(islice(unread, _IDS_MAX + 1))
    if not 0 < len(missing) <= _IDS_MAX:
        return
    for _ in wreck.batches_of_pages(0, known):
        pass  # What they have becomes known.
    lost = {identity: table for identity, table in sorted(missing) if identity not in known}
    for run in _runs(list(lost)):
        first, last = wreck.numbers_around(run[0], run[-1])
        tables = Counter(wreck.explained.names.get(lost[one], "") for one in run)
        for table, count in tables.items():
            yield LostRange(table, count, first, last)


def _runs(ids: list[int]) -> Iterator[list[int]]:
    """Ids in order, as runs without a gap."""
    for _, run in groupby(enumerate(ids), lambda at: at[1] - at[0]):
        yield [identity for _, identity in run]
