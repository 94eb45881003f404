"""What a spool file tells of damage: what is in quarantine, how far it is saved, what is lost."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from collector.spool.reader import SpoolReader

_SINCE_VERSION: Final = 2
_LOSSES: Final = """
SELECT at_us, source, table_name, first_seq, last_seq, records, reason FROM losses
ORDER BY id DESC LIMIT ?
"""


def damage_of(path: Path) -> dict[str, Any]:
    """Return `losses` and `salvages` of a spool file; nothing in a file of version 1."""
    with closing(SpoolReader(path)) as reader:
        ((version,),) = reader.rows("PRAGMA user_version")
        if version < _SINCE_VERSION:
            return {"losses": [], "salvages": []}
        return {"losses": losses(reader), "salvages": salvages(reader)}


def losses(reader: SpoolReader, limit: int = 100) -> list[dict[str, Any]]:
    """Return what damage has cost, the latest first."""
    names = ("at_us", "source", "table", "first_seq", "last_seq", "records", "reason")
    return [dict(zip(names, row, strict=True)) for row in reader.rows(_LOSSES, limit)]


def salvages(reader: SpoolReader) -> list[dict[str, Any]]:
    """Return the folders in quarantine, how far each is, and how many records were saved."""
    rows = reader.rows("SELECT folder, at_us, reason, state, note FROM salvages ORDER BY folder")
    return [
        {
            "folder": folder,
            "at_us": at_us,
            "reason": reason,
            "state": state,
            "salvaged": sum(json.loads(note).get("tables", {}).values()),
        }
        for folder, at_us, reason, state, note in rows
    ]


def progress(reader: SpoolReader, folder: str) -> tuple[str, int, dict[str, Any]]:
    """Return state, position and note of the salvage of a folder."""
    ((state, position, note),) = reader.rows(
        "SELECT state, position, note FROM salvages WHERE folder = ?", folder
    )
    return state, position, json.loads(note)
