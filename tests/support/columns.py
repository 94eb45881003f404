"""Columns as SQL writes them to the text of a `schema.proto`."""

PLAIN = {
    "TINYINT": "int32", "SMALLINT": "int32", "INT": "int32", "BIGINT": "int64", "FLOAT": "float",
    "DOUBLE": "double", "STRING": "string", "BOOLEAN": "bool", "BINARY": "bytes", "DATE": "int32",
    "TIMESTAMP": "int64", "TIMESTAMP_NTZ": "int64", "VARIANT": "string",
}  # fmt: skip
SAID = {"TINYINT", "SMALLINT", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "VARIANT"}


def schema_text(columns):
    """The schema of `a STRING NOT NULL, b ARRAY<STRUCT<c INT>>`, or of a dict of such."""
    if isinstance(columns, dict):
        columns = ", ".join(f"{name} {delta}" for name, delta in columns.items())
    return 'syntax = "proto2";\nmessage Row {\n' + "".join(fields(columns)) + "}\n"


def fields(columns):
    for number, column in enumerate(split(columns), 1):
        name, _, delta = column.replace(":", " ", 1).partition(" ")
        delta = delta.strip()
        required = delta.upper().endswith("NOT NULL")
        delta = delta[: -len("NOT NULL")].strip() if required else delta
        label, kind, said = "required" if required else "optional", delta, ""
        if inner := within("ARRAY", delta):
            label, kind = "repeated", inner
        if inner := within("STRUCT", kind):
            yield f"message M{number}_{name} {{\n{''.join(fields(inner))}}}\n"
            kind = f"M{number}_{name}"
        elif inner := within("MAP", kind):
            key, value = split(inner)
            label, kind = "", f"map<{PLAIN[key]}, {PLAIN[value]}>"
        else:
            said = f" // delta: {delta}" if kind in SAID else ""
            kind = PLAIN[kind]
        yield f"{label} {kind} {name} = {number};{said}\n"


def within(word, delta):
    return delta[len(word) + 1 : -1] if delta.startswith(word + "<") else ""


def split(columns):
    depth, parts = 0, [""]
    for character in columns:
        depth += {"<": 1, ">": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
