"""SQL for a table: its statement, its grants, and the view that has each record once."""

from collections.abc import Iterable, Sequence
from typing import Final

from collector.tables.naming import in_backticks, literal, quoted, quoted_table
from collector.tables.types import Column, DeltaType

PROPERTIES: Final = {
    "delta.autoOptimize.optimizeWrite": "true",
    "delta.autoOptimize.autoCompact": "true",
    "delta.enableRowTracking": "false",
}
VIEW_SUFFIX: Final = "_distinct"


def sql_type(delta: DeltaType) -> str:
    """A type as SQL writes it, with the comments and the NOT NULL of its members."""
    if delta.name == "ARRAY" and delta.element is not None:
        return f"ARRAY<{sql_type(delta.element)}>"
    if delta.name == "MAP" and delta.key is not None and delta.element is not None:
        return f"MAP<{sql_type(delta.key)}, {sql_type(delta.element)}>"
    if delta.name == "STRUCT":
        members = (_column(quoted(one.name) + ":", one) for one in delta.fields)
        return f"STRUCT<{', '.join(members)}>"
    return str(delta)


def sql_column(column: Column) -> str:
    """A column as `CREATE TABLE` has it."""
    return _column(quoted(column.name), column)


def create_table(table: str, columns: Iterable[Column], comment: str = "") -> str:
    """The statement that makes a table as Zerobus wants it."""
    lines = [f"CREATE TABLE IF NOT EXISTS {quoted_table(table)} ("]
    lines.append(",\n".join(f"  {sql_column(one)}" for one in columns))
    lines.append(")")
    if comment:
        lines.append(f"COMMENT {literal(comment)}")
    pairs = (f"{literal(key)} = {literal(value)}" for key, value in PROPERTIES.items())
    lines += ["TBLPROPERTIES (", ",\n".join(f"  {pair}" for pair in pairs), ");"]
    return "\n".join(lines)


def grants(tables: Sequence[str], principal: str) -> list[str]:
    """What a principal needs to write into tables; the last two on each table itself."""
    to = f"TO {in_backticks(principal)};"
    parts = [[quoted(part) for part in table.split(".")] for table in tables]
    catalogs = dict.fromkeys(catalog for catalog, _, _ in parts)
    schemas = dict.fromkeys(f"{catalog}.{schema}" for catalog, schema, _ in parts)
    return [
        *(f"GRANT USE CATALOG ON CATALOG {catalog} {to}" for catalog in catalogs),
        *(f"GRANT USE SCHEMA ON SCHEMA {schema} {to}" for schema in schemas),
        *(
            f"GRANT {right} ON TABLE {quoted_table(table)} {to}"
            for table in tables
            for right in ("SELECT", "MODIFY")
        ),
    ]


def distinct_view(table: str, gateway: str, seq: str) -> str:
    """A view that has each record once, and keeps rows that carry no number."""
    one, other = quoted(gateway), quoted(seq)
    return "\n".join(
        [
            f"CREATE OR REPLACE VIEW {quoted_table(table + VIEW_SUFFIX)} AS",
            f"SELECT * FROM {quoted_table(table)}",  # noqa: S608 - Quoted, and only shown.
            f"QUALIFY {one} IS NULL OR {other} IS NULL",
            f"  OR ROW_NUMBER() OVER (PARTITION BY {one}, {other} ORDER BY {other}) = 1;",
        ]
    )


def _column(name: str, column: Column) -> str:
    nullable = "" if column.nullable else " NOT NULL"
    comment = f" COMMENT {literal(column.comment)}" if column.comment else ""
    return f"{name} {sql_type(column.delta)}{nullable}{comment}"
