"""Which batches, or which dead letters: the filters of every command that lists or changes them.

Builds the conditions of a WHERE clause, with the table aliases of the queries: `b` is batches, `t`
and `s` are the names of table and station; `d` is dead_letters.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Selection:
    """All that it names must fit; what is empty or None fits everything.

    Times are arrivals in microseconds since the epoch, `until_us` not included. `reason` is a kind
    of dead letters, or a part of their reason. `ids` are batches, or dead letters.
    """

    tables: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    reason: str = ""
    ids: tuple[int, ...] = ()

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves anything out."""
        return self != Selection()

    def of_batches(self) -> tuple[str, list[Any]]:
        """Return the condition for batches, and its parameters."""
        return self._condition("t.name", "s.name", "b.received_us", "b.id", "")

    def of_dead_letters(self) -> tuple[str, list[Any]]:
        """Return the condition for dead letters, and its parameters."""
        return self._condition("d.table_name", "d.station", "d.received_us", "d.id", self.reason)

    def _condition(
        self, table: str, station: str, received: str, identity: str, reason: str
    ) -> tuple[str, list[Any]]:
        parts, parameters = ["1"], list[Any]()
        for column, values in ((table, self.tables), (station, self.stations)):
            if values:
                parts.append(f"{column} IN ({', '.join('?' * len(values))})")
                parameters += values
        if self.ids:
            # As JSON: SQLite bounds the number of parameters.
            parts.append(f"{identity} IN (SELECT value FROM json_each(?))")  # noqa: S608 - ours.
            parameters.append("[" + ",".join(map(str, self.ids)) + "]")
        for sign, at in ((">=", self.since_us), ("<", self.until_us)):
            if at is not None:
                parts.append(f"{received} {sign} ?")
                parameters.append(at)
        if reason:
            parts.append("(d.kind = ? OR instr(d.reason, ?) > 0)")
            parameters += [reason, reason]
        return " AND ".join(parts), parameters

    def as_json(self) -> dict[str, Any]:
        """Return what `of_json` reads, for the daemon's socket."""
        return asdict(self)

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Self:
        """Return the selection that `as_json` gave."""
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**known)
