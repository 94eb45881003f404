"""What decodes the batches, a second time beside the spool: names and schemas by their ids.

A batch row says its table, station and schema by numbers. The tables that explain the numbers take
one page each: were it damaged, every batch of the file would be lost with it. The file is replaced
when something was added to it, which is rare.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from collector.spool.database import sync_folder
from collector.spool.reader import SpoolReader


class Explained(NamedTuple):
    """Names, and fingerprint and stored bytes of schemas, by their ids."""

    names: dict[int, str]
    schemas: dict[int, tuple[bytes, bytes]]


class Names:
    """The file beside one spool."""

    def __init__(self, spool: Path, reader: SpoolReader) -> None:
        self.path = spool.with_name(spool.name + ".names")
        self._reader = reader
        self._kept: tuple[int, int] = (-1, -1)

    def keep(self) -> None:
        """Write the file when there is more to say than the last time."""
        there = self._reader.names_count()
        if there == self._kept:
            return
        # On a full disk the next tick tries again: nothing but a salvage needs this file.
        with contextlib.suppress(OSError):
            self._write(*self._reader.names())
            self._kept = there

    def _write(self, names: list[tuple[int, str]], schemas: list[tuple[int, bytes, bytes]]) -> None:
        document = {
            "names": dict(names),
            "schemas": {key: [print_.hex(), stored.hex()] for key, print_, stored in schemas},
        }
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(self.path)
        sync_folder(self.path.parent)


def read_names(path: Path) -> Explained:
    """Return what the file says; nothing when it can't be read."""
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        names = {int(key): str(name) for key, name in document["names"].items()}
        schemas = {
            int(key): (bytes.fromhex(print_), bytes.fromhex(stored))
            for key, (print_, stored) in document["schemas"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Explained({}, {})
    return Explained(names, schemas)
