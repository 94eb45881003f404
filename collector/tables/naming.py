"""Names as SQL and as protobuf want them."""

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# What Databricks reserves, in ANSI mode or always: a name of these is understood in quotes only.
_WORDS: Final = """
    all alter always and anti any array as at authorization between both by case cast check collate
    column commit constraint create cross cube current current_date current_time current_timestamp
    current_user default delete describe distinct drop else end escape except exists external
    extract false fetch filter for foreign from full function global grant group grouping having in
    inner insert intersect interval into is join lateral leading left like local minus natural no
    not null of on only or order out outer overlaps partition position primary qualify range
    references revoke right rollback rollup row rows select semi session_user set some sql start
    table tablesample then time timestamp to trailing true truncate union unique unknown unpivot
    update user using values view when where window with
"""
_RESERVED: Final = frozenset(_WORDS.split())


def quoted(name: str) -> str:
    """A name for SQL, in backticks where it needs them.

    >>> quoted("temp"), quoted("select"), quoted("2nd"), quoted("a`b")
    ('temp', '`select`', '`2nd`', '`a``b`')
    """
    if _PLAIN.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    return in_backticks(name)


def in_backticks(name: str) -> str:
    """A name for SQL, in backticks."""
    return "`" + name.replace("`", "``") + "`"


def quoted_table(full_name: str) -> str:
    """A full table name for SQL.

    >>> quoted_table("main.iot.user")
    'main.iot.`user`'
    """
    return ".".join(map(quoted, full_name.split(".")))


def literal(text: str) -> str:
    r"""A text as SQL writes it.

    >>> literal("it's 5 \\ 7")
    "'it\\'s 5 \\\\ 7'"
    """
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
    return "'" + "".join(escapes.get(char, char) for char in text) + "'"


def message_name(name: str) -> str:
    """What the message of a table or a STRUCT is called.

    >>> message_name("station_one"), message_name("2nd")
    ('StationOne', 'Message2nd')
    """
    parts = re.split(r"[^A-Za-z0-9]+", name)
    joined = "".join(part[:1].upper() + part[1:] for part in parts)
    return joined if joined and not joined[0].isdigit() else f"Message{joined}"
