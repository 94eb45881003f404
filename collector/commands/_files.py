"""Files that commands write: nobody else can read them, and half of one is never taken for all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from collector.errors import CollectorError


def refuse_spool(target: Path | None, spool: Path) -> None:
    """Keep a command from writing over the spool that it reads, or over what belongs to it.

    Raises:
        CollectorError: the target is one of these files.
    """
    if target is None or str(target) == "-":
        return
    place, there = target.resolve(), spool.resolve()
    if place.parent == there.parent and place.name.startswith(there.name):
        raise CollectorError(f"{target}: that is the spool itself", "Give another name.")


@contextmanager
def written(path: Path | None) -> Iterator[TextIO]:
    """Give stdout, or a file that takes its name when it is whole, with mode 0600.

    Raises:
        CollectorError: the file can't be written.
    """
    if path is None or str(path) == "-":
        yield sys.stdout
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CollectorError(f"{path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError as error:
        raise CollectorError(f"{path}: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
