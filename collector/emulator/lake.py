"""The tables: Delta files under LAKE/catalog/schema/table, and which tables exist.

The only file that imports deltalake. Everything here blocks and belongs in a worker thread; one
table is written by one thread at a time. What an append returned from is in the Delta log, so it
survives a kill of the process; nothing is fsynced beyond what deltalake does, so it does not
promise to survive a power cut.
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable, Schema, TableFeatures, write_deltalake
from google.protobuf.descriptor_pb2 import DescriptorProto
from google.protobuf.message import DecodeError

from collector.emulator.columns import from_arrow, from_descriptor, from_folder, misfit
from collector.emulator.options import OptionsError
from collector.emulator.rows import RowReader, narrow
from collector.emulator.types import Column, described
from collector.emulator.wire import Refusal
from collector.errors import CollectorError

_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_READERS_MAX: Final = 64
"""Descriptors remembered per table; at the limit they are all forgotten and built again."""

IDENTITY: Final = ("gateway", "seq")
"""The columns whose pair tells one record from another; see `/stats`."""


class Table:
    """One Delta table: its columns, what it holds, and the descriptors that write it."""

    def __init__(self, name: str, delta: DeltaTable, columns: tuple[Column, ...]) -> None:
        self.name = name
        self.columns = columns
        self.narrow = narrow(columns)
        self._delta = delta
        self._readers: dict[bytes, RowReader] = {}
        self.records = 0
        self.seen: Seen | None = None
        self._count()

    def reader(self, descriptor: bytes) -> RowReader:
        """What reads a descriptor's records; raises Refusal if it does not fit the table."""
        if descriptor not in self._readers:
            required = [one.name for one in self.columns if not one.nullable]
            reader = _build(descriptor, required)
            why = misfit(self.columns, reader.descriptor)
            if why:
                raise Refusal("INVALID_ARGUMENT", f"Schema of {self.name} does not fit: {why}")
            if len(self._readers) >= _READERS_MAX:
                self._readers.clear()
            self._readers[descriptor] = reader
        return self._readers[descriptor]

    def append(self, rows: Iterable[pa.RecordBatch]) -> None:
        """Commit rows; when it returns they are in the Delta log."""
        batches = list(rows)
        write_deltalake(self._delta, pa.Table.from_batches(batches), mode="append")
        for batch in batches:
            self.records += batch.num_rows
            if self.seen is not None:
                self.seen.add(batch)

    def alter(self, columns: tuple[Column, ...], fills: Mapping[str, Any]) -> None:
        """Give the table other columns, and its rows what fits of the old ones.

        A column that is new has its fill in them, or NULL. Raises ValueError if a row has no such
        value. Reads the whole table; not while something is appended.
        """
        old = self._delta.to_pyarrow_table()
        arrays = [_moved(old, one, fills.get(one.name)) for one in columns]
        rows = pa.Table.from_arrays(arrays, schema=pa.schema([one.field for one in columns]))
        _allow(self._delta, columns)
        write_deltalake(self._delta, rows, mode="overwrite", schema_mode="overwrite")
        self._delta.update_incremental()
        self.columns, self.narrow = columns, narrow(columns)
        self._readers.clear()
        self._count()

    def described(self) -> dict[str, Any]:
        """The table as Unity Catalog describes it."""
        catalog, schema, name = self.name.split(".")
        columns = [described(one, place) for place, one in enumerate(self.columns)]
        return {
            "catalog_name": catalog,
            "schema_name": schema,
            "name": name,
            "full_name": self.name,
            "table_type": "MANAGED",
            "data_source_format": "DELTA",
            "columns": columns,
        }

    def _count(self) -> None:
        """Count what lies there."""
        actions = pa.table(self._delta.get_add_actions(flatten=True))
        self.records = sum(actions["num_records"].to_pylist()) if actions.num_rows else 0
        self.seen = Seen() if set(IDENTITY) <= {one.name for one in self.columns} else None
        if self.seen is not None and self.records:
            for batch in self._delta.to_pyarrow_dataset().to_batches(columns=list(IDENTITY)):
                self.seen.add(batch)


class Seen:
    """The (gateway, seq) pairs of a table: 64 neighbouring numbers share one integer of bits."""

    def __init__(self) -> None:
        self.distinct = 0
        self.records = 0
        self._bits: dict[tuple[Any, int], int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the pairs of a batch; a row without both is not counted."""
        gateways, numbers = (batch.column(name).to_pylist() for name in IDENTITY)
        bits = self._bits
        for gateway, number in zip(gateways, numbers, strict=True):
            if gateway is None or not isinstance(number, int):
                continue
            self.records += 1
            key, bit = (gateway, number >> 6), 1 << (number & 63)
            mask = bits.get(key, 0)
            if not mask & bit:
                bits[key] = mask | bit
                self.distinct += 1


class Lake:
    """The tables that exist: those that are declared, or all that lie there and any other."""

    def __init__(self, root: Path, folders: Mapping[str, Path] | None) -> None:
        """Open what lies in the lake; make what is declared and does not lie there."""
        self._root = root
        self._open_any = folders is None
        self._lock = threading.Lock()
        self.tables: dict[str, Table] = {}
        root.mkdir(parents=True, exist_ok=True)
        if folders is None:
            for log in sorted(root.glob("*/*/*/_delta_log")):
                name = ".".join(log.parent.relative_to(root).parts)
                self.tables[name] = self._table(name, None)
        for name, folder in (folders or {}).items():
            if not _is_name(name):
                raise OptionsError(f"{name!r} is no table", "Write catalog.schema.table.")
            self.tables[name] = self._table(name, from_folder(folder))

    def table(self, name: str, descriptor: bytes) -> Table:
        """The table of an open; raises Refusal if there is none, or none can be made."""
        with self._lock:
            table = self.tables.get(name)
            if table is None:
                if not self._open_any:
                    raise Refusal("NOT_FOUND", f"Table {name} does not exist")
                if not _is_name(name):
                    raise Refusal("INVALID_ARGUMENT", f"{name!r} is not catalog.schema.table")
                try:
                    columns = from_descriptor(_build(descriptor, ()).descriptor)
                except ValueError as error:
                    raise Refusal("INVALID_ARGUMENT", str(error)) from error
                table = self.tables[name] = self._table(name, columns)
            return table

    def define(self, name: str, columns: tuple[Column, ...], fills: Mapping[str, Any]) -> None:
        """Make a table, or alter the one that is there; raises ValueError if that can't be."""
        if not _is_name(name):
            raise ValueError(f"{name!r} is not catalog.schema.table")
        with self._lock:
            if name not in self.tables:
                self.tables[name] = self._table(name, columns)
                return
        self.tables[name].alter(columns, fills)

    def _table(self, name: str, columns: tuple[Column, ...] | None) -> Table:
        """A table that lies in the lake or is made; `columns` are those that it should have."""
        path = self._root.joinpath(*name.split("."))
        if not DeltaTable.is_deltatable(str(path)):
            path.mkdir(parents=True, exist_ok=True)
            return Table(name, _create(path, name, columns or ()), columns or ())
        delta = DeltaTable(str(path))
        lying = from_arrow(pa.schema(delta.schema().to_arrow()))
        if columns is not None and not _same(lying, columns):
            raise CollectorError(
                f"{path} has other columns than the schema.proto of {name}",
                "Move the folder away, or give the lake another place.",
            )
        return Table(name, delta, columns or lying)


def _create(path: Path, name: str, columns: Sequence[Column]) -> DeltaTable:
    """Make a Delta table."""
    schema = pa.schema([one.field for one in columns])
    if not _has_local_times(columns):
        return DeltaTable.create(str(path), schema=Schema.from_arrow(schema), name=name)
    first = pa.schema([pa.field("made", pa.bool_())])
    delta = DeltaTable.create(str(path), schema=Schema.from_arrow(first), name=name)
    _allow(delta, columns)
    write_deltalake(delta, schema.empty_table(), mode="overwrite", schema_mode="overwrite")
    return delta


def _allow(delta: DeltaTable, columns: Sequence[Column]) -> None:
    """Let a table have TIMESTAMP_NTZ: deltalake does it by itself, but not for one in a map."""
    features = delta.protocol().reader_features or ()
    if _has_local_times(columns) and "timestampNtz" not in features:
        feature = TableFeatures.TimestampWithoutTimezone
        delta.alter.add_feature(feature, allow_protocol_versions_increase=True)


def _has_local_times(columns: Sequence[Column]) -> bool:
    return any("timestamp_ntz" in one.text for one in columns)


def _moved(old: pa.Table, column: Column, fill: object) -> pa.Array:
    """What the rows of a table have in a column after it was altered."""
    moved = pa.array([fill] * old.num_rows, column.type)
    if column.name in old.column_names:
        moved = old[column.name].combine_chunks()
        try:
            if str(moved.type) != str(column.type) or fill is not None:
                values = (fill if one is None else one for one in moved.to_pylist())
                moved = pa.array(values, column.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"column {column.name}: rows have other values: {error}") from error
    if not column.nullable and moved.null_count:
        raise ValueError(f"column {column.name}: rows have no value for it: give a `fill`")
    return moved


def _is_name(name: str) -> bool:
    """Whether it is a name that the service takes: it becomes a path."""
    parts = name.split(".")
    return len(parts) == 3 and all(map(_NAME.fullmatch, parts))


def _build(descriptor: bytes, not_null: Sequence[str]) -> RowReader:
    """What reads a descriptor's records; raises Refusal if it is none."""
    try:
        return RowReader(DescriptorProto.FromString(descriptor), not_null)
    except (ValueError, DecodeError) as error:
        raise Refusal("INVALID_ARGUMENT", f"Bad descriptor: {error}") from error


def _same(lying: Sequence[Column], declared: Sequence[Column]) -> bool:
    """Whether a table that lies in the lake has the declared columns."""
    return [(one.name, one.type, one.nullable) for one in lying] == [
        (one.name, one.type, one.nullable) for one in declared
    ]
