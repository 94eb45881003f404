"""From a message to records: what a station's configuration says, compiled once.

`compile_mapping` reads sources and schema and says at start what can be said at start; the
`Mapping` it gives turns messages into records or into faults, by the rules of `docs/mapping.md`.
Nothing here knows where a message came from or where its records go.

A station without `columns` takes the payload's keys as its columns; a captured topic level of a
column's name is used where the payload gives no value. A JSON object is a record, a list of objects
is many, and anything else is `undecodable`.
"""

from collector.mapping.compile import compile_mapping
from collector.mapping.mapping import FAULTS_MAX, Mapping

__all__ = ["FAULTS_MAX", "Mapping", "compile_mapping"]
