"""The OpenAPI document: every endpoint, and for each station the body that it takes.

A column that a plain path feeds is described by its type; what is more than that, such as a value
with steps, may be anything.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector.http.document.shapes import example_of, shape_of
from collector.http.ingest.answers import KEY_MAX_CHARS, KEY_PATTERN
from collector.http.ingest.payloads import media_types_of
from collector.http.ingest.target import Target
from collector.http.query import TIMEOUT_MAX_S
from collector.router import parse_filter

_FLAG: Final = {"type": "boolean", "default": False}
_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TIMEOUT: Final = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": TIMEOUT_MAX_S},
        {"type": "string", "pattern": "^([0-9]{1,5}ms|[0-9]{1,2}s|[0-9]min)$"},
    ],
    "example": "30s",
}
_HOW_LONG: Final = "How long to wait: such as 500ms, 30s or 2min; a number is seconds."
_SOME_TEXT: Final = "[^+#\\u0000]*"
_NAMED: Final = re.compile(r"\(\?P<\w+>")
_JSON: Final = "application/json"
_STORED: Final = {
    "type": "object",
    "required": ["status", "station", "table", "seq", "last_seq", "count", "acknowledged"],
    "properties": {
        "status": {"type": "string", "enum": ["stored", "acknowledged", "undelivered", "ignored"]},
        "station": _TEXT,
        "table": _TEXT,
        "seq": {"type": ["integer", "null"], "description": "The number of the first record."},
        "last_seq": {"type": ["integer", "null"], "description": "That of the last."},
        "count": _COUNT,
        "acknowledged": {"type": "boolean", "description": "Whether Zerobus has it all."},
        "wait_for_ack": {"type": "boolean"},
        "message": _TEXT,
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/BadRecord"}},
        "bad": {**_COUNT, "description": "How many records are bad, if not all are told."},
        "repeated": {"type": "boolean", "description": "It came before: nothing is stored again."},
    },
}
_BAD_RECORD: Final = {
    "type": "object",
    "required": ["position", "field", "value", "kind", "reason"],
    "properties": {
        "position": {"type": ["integer", "null"], "description": "Counted from 0."},
        "field": {"type": ["string", "null"]},
        "value": {"description": "What stood there, as far as it can be shown."},
        "kind": _TEXT,
        "reason": _TEXT,
    },
}
_REFUSED: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": _TEXT,
        "hint": _TEXT,
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/BadRecord"}},
        "bad": {**_COUNT, "description": "How many records are bad, if not all are told."},
    },
}
_FLUSHED: Final = {
    "type": "object",
    "required": ["status", "station", "table", "flushed", "left", "undelivered"],
    "properties": {
        "status": {"type": "string", "enum": ["flushed", "pending", "incomplete"]},
        "station": _TEXT,
        "table": _TEXT,
        "flushed": {"type": "boolean"},
        "left": _COUNT,
        "undelivered": {**_COUNT, "description": "Left meanwhile, and not to Zerobus."},
        "message": _TEXT,
    },
}
_REFUSALS: Final = {
    "400": "It can't be read, or a record does not fit: nothing of it is stored.",
    "401": "The token is missing or wrong.",
    "403": "A web page of another origin asks.",
    "408": "The body did not come in time.",
    "409": "The station takes messages by MQTT only.",
    "413": "The body is over http.body_max_bytes.",
    "415": "The Content-Type or Content-Encoding is not what the station takes.",
    "421": "Asked by a name that is not this box's own.",
    "422": "The Idempotency-Key came before with something else.",
    "429": "Too much waits for the disk: Retry-After says when to try again.",
    "500": "The collector failed; its log says how.",
    "503": "Nothing can be stored: Retry-After says when to try again.",
}


def document_of(base: dict[str, Any], targets: Mapping[str, Target]) -> dict[str, Any]:
    """Return the document; `base` is that of the endpoints which are not of a station."""
    paths = dict(base["paths"])
    for name, target in targets.items():
        if not target.why_not:
            paths[f"/ingest/{name}"] = {"post": _ingest(name, target)}
        paths[f"/flush/{name}"] = {"post": _flush(name, target)}
        paths[f"/health/{name}"] = {"get": _health(name)}
    schemas = {"Stored": _STORED, "BadRecord": _BAD_RECORD, "Refused": _REFUSED}
    components = {
        "schemas": {**schemas, "Flushed": _FLUSHED},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    # Without http.token nobody needs one.
    return {**base, "paths": paths, "components": components, "security": [{}, {"token": []}]}


def _ingest(name: str, target: Target) -> dict[str, Any]:
    return {
        "summary": f"Store records of {name}",
        "description": f"For {target.station.table}. 202: on this box's disk. 200: Zerobus has it.",
        "operationId": f"ingest_{name}",
        "tags": ["ingest"],
        "parameters": [
            _parameter("wait_for_ack", _FLAG, "Answer when Zerobus has acknowledged it."),
            _parameter("timeout", _TIMEOUT, _HOW_LONG),
            _parameter("partial", _FLAG, "Take the good records when others are bad."),
            _parameter("topic", _topic(target), "As if it had come by MQTT: gives the captures."),
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "pattern": KEY_PATTERN, "maxLength": KEY_MAX_CHARS},
                "description": "The same key within http.idempotency_window stores once.",
            },
        ],
        "requestBody": {"required": True, "content": _content(target)},
        "responses": {
            "202": _answer("On this box's disk.", "Stored"),
            "200": _answer("Zerobus has acknowledged it.", "Stored"),
            **_refusals(_REFUSALS),
        },
    }


def _content(target: Target) -> dict[str, Any]:
    mapping, station = target.records.mapping, target.station
    content: dict[str, Any] = {}
    for media_type in media_types_of(station.format):
        if media_type == _JSON and station.format == "json":
            one = shape_of(station, mapping)
            content[media_type] = {"schema": {"anyOf": [one, {"type": "array", "items": one}]}}
            if (example := example_of(station, mapping)) is not None:
                content[media_type]["example"] = example
        else:
            content[media_type] = {"schema": {"type": "string", "minLength": 1}}
    return content


def _topic(target: Target) -> dict[str, Any]:
    filters = target.station.topics
    if not filters:
        return {"type": "string", "pattern": f"^{_SOME_TEXT}$", "description": "Any."}
    own = re.escape(f"http/{target.station.name}")
    ways = "|".join([own, *(_plain(parse_filter(one).pattern.expression) for one in filters)])
    text = f"One that fits {', '.join(filters)}: what it captures need not be in the body."
    return {"type": "string", "pattern": f"^({ways})?$", "description": text}


def _plain(expression: re.Pattern[str]) -> str:
    """Write an expression for topics in the words that JSON Schema has, which are fewer."""
    text = _NAMED.sub("(", expression.pattern).replace("(?>", "(?:")
    for wide in (".*", ".+"):
        text = text.replace(wide, _SOME_TEXT)
    return text.replace("[^/]", "[^/+#\\u0000]")


def _flush(name: str, target: Target) -> dict[str, Any]:
    return {
        "summary": f"Wait until what {name} has spooled is acknowledged",
        "description": f"All that was spooled for {target.station.table} before the call.",
        "operationId": f"flush_{name}",
        "tags": ["flush"],
        "parameters": [_parameter("timeout", _TIMEOUT, _HOW_LONG)],
        "responses": {
            "200": _answer("Acknowledged.", "Flushed"),
            "202": _answer("Some is left, or left without being delivered.", "Flushed"),
            **_refusals(["400", "401", "403", "421", "500", "503"]),
        },
    }


def _health(name: str) -> dict[str, Any]:
    said = {"description": "How it is.", "content": {_JSON: {"schema": {"type": "object"}}}}
    return {
        "summary": f"The stream, the backlog and the last error of {name}",
        "operationId": f"health_{name}",
        "tags": ["health"],
        "responses": {"200": said, "503": said, **_refusals(["401", "421"])},
    }


def _parameter(name: str, schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _answer(text: str, schema: str) -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": text, "content": content}


def _refusals(codes: Iterable[str]) -> dict[str, Any]:
    return {code: _answer(_REFUSALS[code], "Refused") for code in codes}
