"""The schemas of the tables: `tables/NAME/schema.proto` → columns, Delta types, message class.

Knows nothing of stations, and of the service only what it takes for a schema. Nothing is generated
into the tree; the compiler runs at start and a schema that was stored needs none.
"""

from collector.tables.columns import columns_of
from collector.tables.schema import FILE_NAME, Schema, load_schema, load_schemas
from collector.tables.types import Column, DeltaType, parse_delta

__all__ = [
    "FILE_NAME",
    "Column",
    "DeltaType",
    "Schema",
    "columns_of",
    "load_schema",
    "load_schemas",
    "parse_delta",
]
