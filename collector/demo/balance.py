"""What came out: the numbers that were published, and where each is at the end.

The tables are read as any reader of Delta tables would, not by what the local Zerobus says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deltalake import DeltaTable, QueryBuilder

from collector.demo.sensors import NUMBER, TABLES
from collector.errors import CollectorError
from collector.spool import SpoolReader
from collector.spool.figures import holds, read_figures
from collector.spool.reader import Damaged
from collector.tables import Schema

_READ_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Balance:
    """Published = delivered + dead letters + still spooled; `rows` counts duplicates too.

    `delivered` is distinct, `spooled` leaves out what is delivered as well, and `spool_holds` says
    whether the spool's own two balances hold.
    """

    published: int
    rows: int
    delivered: int
    dead_letters: int
    spooled: int
    spool_holds: bool

    @property
    def duplicates(self) -> int:
        """Rows that are there once more than they should be."""
        return self.rows - self.delivered

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing came from nowhere."""
        return self.spool_holds and (
            self.published == self.delivered + self.dead_letters + self.spooled
        )


def take_balance(published: int, first_number: int, lake: Path, spool: Path) -> Balance:
    """Count what a run that began at `first_number` has left in the tables and in the spool."""
    figures = read_figures(spool)
    rows = delivered = spooled = 0
    for name in TABLES.values():
        found = _query(lake, name, f"count(*), count(distinct {NUMBER})", first_number)
        rows, delivered = rows + found[0], delivered + found[1]
        if figures["tables"].get(name, {}).get("records"):
            spooled += len(_spooled(spool, name) - _delivered(lake, name, first_number))
    dead_letters = figures["messages"].get("dead_lettered", 0)
    return Balance(published, rows, delivered, dead_letters, spooled, holds(figures))


def next_number(lake: Path) -> int:
    """Return a number above all that earlier runs have left in the lake."""
    return max(_query(lake, name, f"max({NUMBER})", 0)[0] or 0 for name in TABLES.values()) + 1


def table_path(lake: Path, name: str) -> Path:
    """Where a table lies."""
    return lake.joinpath(*name.split("."))


def _query(lake: Path, name: str, columns: str, first_number: int) -> list[Any]:
    """One row of aggregates over the numbers from the first on; zeros when there is no table."""
    result = _select(lake, name, columns, first_number)
    if result is None:
        return [0] * len(columns.split(","))
    return [result[at].to_pylist()[0] for at in range(result.num_columns)]


def _delivered(lake: Path, name: str, first_number: int) -> set[int]:
    result = _select(lake, name, NUMBER, first_number)
    return set() if result is None else set(result[0].to_pylist())


def _select(lake: Path, name: str, columns: str, first_number: int) -> Any:
    path = table_path(lake, name)
    if not path.exists():
        return None
    # Both parts are our own constants and numbers.
    query = f"select {columns} from rows where {NUMBER} >= {first_number}"  # noqa: S608
    try:
        table = DeltaTable(path)
        return QueryBuilder().register("rows", table).execute(query).read_all()
    except Exception as error:
        raise CollectorError(
            f"{path} can't be read: {error}", "Give the demonstration another --lake."
        ) from error


def _spooled(spool: Path, name: str) -> set[int]:
    """The numbers that are still in the spool."""
    reader = SpoolReader(spool)
    numbers: set[int] = set()
    after = 0
    while batches := list(reader.batches(name, after, _READ_AT_ONCE)):
        after = batches[-1].id
        for batch in batches:
            if isinstance(batch, Damaged):
                continue
            decode = Schema.from_stored(reader.schema(batch.fingerprint)).message.FromString
            numbers |= {getattr(decode(record), NUMBER) for record in batch.records}
    reader.close()
    return numbers
