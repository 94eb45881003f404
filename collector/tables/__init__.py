"""The schemas of the tables: `tables/NAME/schema.proto` → columns, Delta types, message class.

Knows nothing of stations, and of the service only what it takes for a schema. Nothing is generated
into the tree; the compiler runs at start and a schema that was stored needs none.
"""

from collector.tables.anew import encode_anew
from collector.tables.columns import columns_of
from collector.tables.described import Described, described
from collector.tables.differences import Difference, differences
from collector.tables.protoc import compile_files
from collector.tables.schema import FILE_NAME, Schema, load_schema, load_schemas
from collector.tables.types import Column, DeltaType, parse_delta

__all__ = [
    "FILE_NAME",
    "Column",
    "DeltaType",
    "Described",
    "Difference",
    "Schema",
    "columns_of",
    "compile_files",
    "described",
    "differences",
    "encode_anew",
    "load_schema",
    "load_schemas",
    "parse_delta",
]
