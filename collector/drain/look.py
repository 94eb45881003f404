"""What a look at the table adds to the hint of a hold: which columns differ, and how to mend it.

A table may be altered under a running daemon; the service then says only that it refuses.
"""

from typing import Final

from collector.catalog import Catalog, CatalogError
from collector.tables import Schema, described, differences

SHOWN_MAX: Final = 3


def look_at(catalog: Catalog, table: str, schema: Schema) -> str:
    """Compare a table with its schema; what goes wrong with that is said, and not raised."""
    try:
        # Once: the drain has a back-off, and looks again after it.
        real = described(catalog.table(table, tries=1))
    except CatalogError as error:
        return f"what differs is not known: {error.args[0]}"
    except ValueError as error:
        return f"what differs is not known: {table}: {error}"
    found = [one for one in differences(table, schema.columns, real.columns) if one.matters]
    if real.unfit:
        return f"{table} {real.unfit}"
    if not found:
        return "Unity Catalog shows the table as schema.proto says"
    said = [f"column {one.column} {one.what}" for one in found[:SHOWN_MAX]]
    if len(found) > SHOWN_MAX:
        said.append(f"{len(found) - SHOWN_MAX} more columns differ")
    command = f"`collector tables diff {table}` says what mends it, and a restart applies it"
    return "; ".join([*said, command])
