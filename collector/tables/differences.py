"""What differs between a schema and the table that is really there, and what mends it.

A schema that is stricter or poorer than its table does no harm; one that promises what the table
does not have is refused by Zerobus, or would write something else than it says. The order of the
columns is of no matter: Zerobus goes by their names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from collector.tables.limits import untakable
from collector.tables.naming import quoted, quoted_table
from collector.tables.proto_text import field_line
from collector.tables.sql import sql_type
from collector.tables.types import Column, DeltaType

# Types that hold all values of another one, which a table may be altered to.
_WIDENINGS: Final = {
    "TINYINT": ("SMALLINT", "INT"),
    "SMALLINT": ("INT",),
    "VARCHAR": ("STRING",),
}
_WIDER_IN_THE_TABLE: Final = {
    **_WIDENINGS,
    "INT": ("BIGINT",),
    "FLOAT": ("DOUBLE",),
    "DATE": ("TIMESTAMP_NTZ",),
}
_WIDENING: Final = "-- needs the table property 'delta.enableTypeWidening' = 'true'"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs; `column` is a path such as `place.latitude`.

    `schema` is a change of schema.proto at `line` (0: a new line), `sql` one of the table: either
    mends it. Both are empty when neither can. What does not `matter` may stay.
    """

    column: str
    what: str
    matters: bool
    schema: str = ""
    sql: str = ""
    line: int = 0


def differences(table: str, schema: Sequence[Column], real: Sequence[Column]) -> list[Difference]:
    """Compare the columns of a schema with those of its table; those that matter come first."""
    found = list(_compare(_Place(quoted_table(table)), schema, real))
    return sorted(found, key=lambda one: not one.matters)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where columns are compared: a table, or a STRUCT in it."""

    table: str
    path: tuple[str, ...] = ()

    def name(self, column: str) -> str:
        return ".".join((*(one for one in self.path if one != "element"), column))

    def sql(self, column: str) -> str:
        return ".".join(map(quoted, (*self.path, column)))

    def alter(self, column: str, change: str) -> str:
        return f"ALTER TABLE {self.table} ALTER COLUMN {self.sql(column)} {change};"


def _compare(
    place: _Place, schema: Sequence[Column], real: Sequence[Column]
) -> Iterator[Difference]:
    # Delta takes `Temp` and `temp` for the same column; Zerobus is given the name as it is written.
    known = {one.name: one for one in real}
    number = max((one.number for one in schema), default=0) + 1
    for column in schema:
        if column.name in known:
            yield from _same_name(place, column, known[column.name])
        else:
            yield _unknown(place, column, known)
    names = {one.name.lower() for one in schema}
    lacking = [one for one in real if one.name.lower() not in names]
    # What matters gets the next number, so that it may be added alone.
    for column in sorted(lacking, key=lambda one: one.nullable):
        yield _lacking(place, column, number)
        number += 1


def _unknown(place: _Place, column: Column, known: dict[str, Column]) -> Difference:
    other = next((name for name in known if name.lower() == column.name.lower()), None)
    name = place.name(column.name)
    if other is not None:
        return Difference(
            name,
            f"is {other} in the table: names must be the same in each letter",
            matters=True,
            schema=field_line(known[other], column.number) if _is_takable(known[other]) else "",
            line=column.line,
        )
    sql = f"{place.sql(column.name)} {sql_type(column.delta)}"
    return Difference(
        name,
        "is not in the table: Zerobus refuses the whole schema",
        matters=True,
        schema=f"remove {column.name}, and number the others 1 to n",
        # Delta adds no NOT NULL column to a table; a schema may require what its table does not.
        sql=f"ALTER TABLE {place.table} ADD COLUMN {sql};",
        line=column.line,
    )


def _lacking(place: _Place, column: Column, number: int) -> Difference:
    name = place.name(column.name)
    line = f"add {field_line(column, number)}" if _is_takable(column) else ""
    reason = "" if line else f"; and Zerobus can't write it: it {_why(column)}"
    if column.nullable:
        what = f"is not in schema.proto: it will be NULL{reason}"
        return Difference(name, what, matters=False, schema=line)
    what = f"is NOT NULL in the table and not in schema.proto: every record is refused{reason}"
    sql = place.alter(column.name, "DROP NOT NULL")
    return Difference(name, what, matters=True, schema=line, sql=sql)


def _same_name(place: _Place, column: Column, real: Column) -> Iterator[Difference]:
    inner = _structs(column.delta, real.delta)
    if inner is not None:
        within = ("element",) if column.delta.name == "ARRAY" else ()
        deeper = _Place(place.table, (*place.path, column.name, *within))
        yield from _compare(deeper, *inner)
    elif column.delta != real.delta:
        yield _other_type(place, column, real)
    if column.nullable == real.nullable:
        return
    name = place.name(column.name)
    if real.nullable:
        yield Difference(
            name,
            "is required by schema.proto and may be NULL in the table",
            matters=False,
            sql=place.alter(column.name, "SET NOT NULL"),
            schema=_line(Column(column.name, column.delta, True, 0), column),
            line=column.line,
        )
        return
    yield Difference(
        name,
        "is NOT NULL in the table and optional in schema.proto: records without it are refused",
        matters=True,
        sql=place.alter(column.name, "DROP NOT NULL"),
        schema=_line(Column(column.name, column.delta, False, 0), column),
        line=column.line,
    )


def _other_type(place: _Place, column: Column, real: Column) -> Difference:
    one, other = column.delta, real.delta
    harmless = one.name != other.name and other.name in _WIDENINGS.get(one.name, ())
    longer = one.name == other.name == "VARCHAR" and (one.length or 0) < (other.length or 0)
    takable = _is_takable(real)
    what = f"is {one} in schema.proto and {other} in the table"
    if not takable:
        what += f": it {_why(real)}"
    sql = ""
    if one.name in _WIDER_IN_THE_TABLE.get(other.name, ()):
        sql = f"{place.alter(column.name, f'TYPE {sql_type(one)}')} {_WIDENING}"
    return Difference(
        place.name(column.name),
        what,
        matters=not (harmless or longer),
        schema=_line(real, column) if takable else "",
        sql=sql,
        line=column.line,
    )


def _structs(
    one: DeltaType, other: DeltaType
) -> tuple[tuple[Column, ...], tuple[Column, ...]] | None:
    """The members of two STRUCTs, or of two ARRAYs of them."""
    if one.name == other.name == "STRUCT":
        return one.fields, other.fields
    if one.name == other.name == "ARRAY" and one.element is not None and other.element is not None:
        return _structs(one.element, other.element) if one.element.name == "STRUCT" else None
    return None


def _line(wanted: Column, column: Column) -> str:
    """The line of a column as it should be, in its place."""
    if (wanted.delta.element or wanted.delta).name == "STRUCT":
        label = "optional" if wanted.nullable else "required"
        return f"write {label} before {column.name}"
    return field_line(wanted, column.number)


def _is_takable(column: Column) -> bool:
    return not any(untakable([column]))


def _why(column: Column) -> str:
    return next(f"{why}" for _, why in untakable([column]))
