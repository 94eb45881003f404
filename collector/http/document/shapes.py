"""The body of a station's requests as JSON Schema, and an example that it takes."""

from typing import Any, Final

from collector.config import Station
from collector.http.document.stepped import Stepped
from collector.mapping import Mapping
from collector.mapping.plan import PlainPath
from collector.tables import Column, DeltaType

_WHOLE: Final = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}
_FLOAT_MAX: Final = 3.4e38
_TIMES: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "TIMESTAMP": ({"format": "date-time"}, {"description": "Microseconds since 1970."}),
    "TIMESTAMP_NTZ": (
        {"description": "ISO 8601 without an offset."},
        {"description": "Microseconds since 1970."},
    ),
    "DATE": (
        {"format": "date"},
        {"description": "Days since 1970.", "minimum": -719_162, "maximum": 2_932_896},
    ),
}
"""A time is text or a whole number."""
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
            inner["properties"][path.parts[-1]] = _at(path, station)
            if path.is_required:
                _require(shape, path.parts)
    return shape


def example_of(station: Station, mapping: Mapping) -> dict[str, Any] | None:
    """Return a record that is taken; None where nobody can know what one looks like."""
    if station.each is not None:
        return None
    example: dict[str, Any] = {}
    for path in mapping.paths():
        inner = example
        for part in path.parts[:-1]:
            found = inner.setdefault(part, {})
            if not isinstance(found, dict):
                break
            inner = found
        else:
            value = _example_at(path, station)
            if value is not None:
                inner.setdefault(path.parts[-1], value)
            elif path.is_required:
                return None
    return example


def _require(shape: dict[str, Any], parts: tuple[str, ...]) -> None:
    for part in parts:
        shape["required"] = sorted({*shape.get("required", ()), part})
        shape = shape["properties"][part]


def _at(path: PlainPath, station: Station) -> dict[str, Any]:
    stepped = Stepped.of(path.column, station)
    if path.is_plain or not stepped.is_changed:
        return _type(path.column)
    return _or_null(stepped.shape()) if path.column.nullable else stepped.shape()


def _example_at(path: PlainPath, station: Station) -> Any:
    stepped = Stepped.of(path.column, station)
    if stepped.is_changed:
        return stepped.example()
    return _example(path.column.name, path.column.delta)


def _type(column: Column) -> dict[str, Any]:
    shape = _shape(column.delta)
    if column.nullable:
        shape = _or_null(shape)
    return {**shape, **({"description": column.comment} if column.comment else {})}


def _or_null(shape: dict[str, Any]) -> dict[str, Any]:
    if "enum" in shape:
        return {**shape, "enum": [*shape["enum"], None]}
    if "anyOf" in shape:
        return {**shape, "anyOf": [*shape["anyOf"], {"type": "null"}]}
    return {**shape, "type": [shape["type"], "null"]} if "type" in shape else shape


def _shape(delta: DeltaType) -> dict[str, Any]:
    name = delta.name
    if name in _WHOLE:
        limit = 1 << _WHOLE[name]
        return {"type": "integer", "minimum": -limit, "maximum": limit - 1}
    if name in _TIMES:
        text, number = _TIMES[name]
        return {"anyOf": [{"type": "string", **text}, {"type": "integer", **number}]}
    match name:
        case "FLOAT":
            return {"type": "number", "minimum": -_FLOAT_MAX, "maximum": _FLOAT_MAX}
        case "DOUBLE":
            return {"type": "number"}
        case "BOOLEAN":
            return {"type": "boolean"}
        case "BINARY":
            return {"type": "string", "contentEncoding": "base64"}
        case "STRING" | "VARCHAR":
            bound = {"maxLength": delta.length} if delta.length else {}
            return {"type": "string", **bound}
    return _nested(delta)


def _nested(delta: DeltaType) -> dict[str, Any]:
    if delta.name == "STRUCT":
        required = sorted(one.name for one in delta.fields if not one.nullable)
        shape = {"type": "object", "properties": {one.name: _type(one) for one in delta.fields}}
        return {**shape, **({"required": required} if required else {})}
    if delta.name == "ARRAY" and delta.element is not None:
        return {"type": "array", "items": _shape(delta.element)}
    if delta.name == "MAP" and delta.element is not None:
        return {"type": "object", "additionalProperties": _shape(delta.element)}
    return {"description": str(delta)}  # A VARIANT takes anything.


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
