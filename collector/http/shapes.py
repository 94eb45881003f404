"""The body of a station's requests as JSON Schema, and an example that it takes."""

from typing import Any, Final

from collector.config import Station
from collector.mapping import Mapping
from collector.tables import Column, DeltaType

_WHOLE: Final = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}
_TEXTS: Final = {
    "TIMESTAMP": "2026-01-31T12:00:00Z",
    "TIMESTAMP_NTZ": "2026-01-31T12:00:00",
    "DATE": "2026-01-31",
    "BINARY": "AAEC",
}
_EXAMPLES: Final = {"FLOAT": 21.5, "DOUBLE": 21.5, "BOOLEAN": True, "VARIANT": {"any": "value"}}


def shape_of(station: Station, mapping: Mapping) -> dict[str, Any]:
    """Return what a record may be; further keys are counted, and no error."""
    if station.each is not None:
        return {"type": "object", "description": f"Its records are at {station.each}."}
    shape: dict[str, Any] = {"type": "object", "properties": {}}
    for path in mapping.paths():
        inner = shape
        for part in path.parts[:-1]:
            inner = inner["properties"].setdefault(part, {"type": "object", "properties": {}})
            if "properties" not in inner:
                break
        else:
            inner["properties"][path.parts[-1]] = _type(path.column) if path.is_plain else {}
            if path.is_required:
                inner["required"] = sorted({*inner.get("required", ()), path.parts[-1]})
    return shape


def example_of(station: Station, mapping: Mapping) -> dict[str, Any]:
    """Return a record for people; one whose values have steps it can only guess."""
    example: dict[str, Any] = {}
    for path in mapping.paths() if station.each is None else ():
        inner = example
        for part in path.parts[:-1]:
            found = inner.setdefault(part, {})
            if not isinstance(found, dict):
                break
            inner = found
        else:
            inner.setdefault(path.parts[-1], _example(path.column.name, path.column.delta))
    return example


def _type(column: Column) -> dict[str, Any]:
    shape = _shape(column.delta)
    if column.nullable and "type" in shape:
        shape["type"] = [shape["type"], "null"]
    return {**shape, **({"description": column.comment} if column.comment else {})}


def _shape(delta: DeltaType) -> dict[str, Any]:
    name = delta.name
    if name in _WHOLE:
        limit = 1 << _WHOLE[name]
        return {"type": "integer", "minimum": -limit, "maximum": limit - 1}
    if name in ("FLOAT", "DOUBLE"):
        return {"type": "number"}
    if name == "BOOLEAN":
        return {"type": "boolean"}
    if name in ("STRING", "VARCHAR"):
        bound = {"maxLength": delta.length} if delta.length else {}
        return {"type": "string", **bound}
    if name == "STRUCT":
        return {"type": "object", "properties": {one.name: _type(one) for one in delta.fields}}
    if name == "ARRAY" and delta.element is not None:
        return {"type": "array", "items": _shape(delta.element)}
    if name == "MAP" and delta.element is not None:
        return {"type": "object", "additionalProperties": _shape(delta.element)}
    # A time may be text or a number, a VARIANT anything.
    return {"description": str(delta)}


def _example(name: str, delta: DeltaType) -> Any:
    if delta.name in _WHOLE:
        return 21
    if delta.name == "STRUCT":
        return {one.name: _example(one.name, one.delta) for one in delta.fields}
    if delta.name == "ARRAY" and delta.element is not None:
        return [_example(name, delta.element)]
    if delta.name == "MAP" and delta.element is not None:
        return {"1": _example(name, delta.element)}
    return _EXAMPLES.get(delta.name) or _TEXTS.get(delta.name) or name[: delta.length or None]
