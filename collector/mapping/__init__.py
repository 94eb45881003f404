"""From a message to records: what a station's configuration says, compiled once.

`compile_mapping` reads sources and schema and says at start what can be said at start; the
`Mapping` it gives turns messages into records or into faults. Nothing here knows where a message
came from or where its records go.

A JSON object is a record, a list of objects is many, and anything else is `undecodable`; one bad
record costs only itself. A station without `columns` takes the payload's keys as its columns; a
captured topic level of a column's name is used where the payload has no value. A missing key and
null are both no value. Keys that no column takes are counted at the top of a record and ignored.

What a column takes, beside the value that is plainly of its type:

- whole numbers: 5.0, and text that is wholly a number; exact up to 64 bits
- FLOAT, DOUBLE: any finite number, and text that is wholly one
- STRING, VARCHAR: a number as it prints; no boolean
- BOOLEAN: 0 and 1, also as text, and the words true and false
- BINARY: base64 text of either alphabet, padded or not
- TIMESTAMP: ISO 8601 text with Z or an offset, or whole microseconds since 1970
- TIMESTAMP_NTZ: ISO 8601 text without an offset, or whole microseconds
- DATE: an ISO 8601 date, or whole days since 1970
- VARIANT: any value, kept as compact JSON text
- STRUCT, MAP: an object; ARRAY: a list; neither holds null where protobuf has no place for it
"""

from collector.mapping.compile import compile_mapping
from collector.mapping.faults import FAULTS_MAX
from collector.mapping.mapping import Mapping

__all__ = ["FAULTS_MAX", "Mapping", "compile_mapping"]
