"""What the Zerobus SDK says when a stream is refused, in words for an operator.

Texts only: what becomes of a record never follows from them.
"""

import re


def reason(said: str) -> str:
    r"""Return what the SDK says, without the Rust structures around the innermost cause.

    >>> reason('no: "tcp", source: transport::Error(Os { message: "refused" })')
    'no: "tcp": refused'
    """
    text, source, rest = said.partition(", source: ")
    causes = re.findall(r'"([^"]+)"', rest)
    return f"{text}: {causes[-1]}" if source and causes else said


def hint(reason: str, table: str) -> str:
    """Say what an operator can do about a refused open; the text is a guess, the hold is not."""
    words = reason.lower()
    cases: list[tuple[tuple[str, ...], str]] = [
        (("token", "credentials", "unauthenticated", "oauth", "401"),
         "check zerobus.client_id, zerobus.client_secret and zerobus.workspace_url"),
        (("permission", "denied", "403", "4024"),
         f"grant USE CATALOG, USE SCHEMA, and SELECT and MODIFY on {table} itself"),
        (("not found", "notfound", "does not exist", "404"),
         f"create the table (SQL: `collector tables ddl {table}`), or correct stations.yaml"),
        (("invalid argument", "schema", "descriptor", "column"),
         f"compare tables/*/schema.proto with the table {table}"),
    ]  # fmt: skip
    return next((text for marks, text in cases if any(m in words for m in marks)), "")
