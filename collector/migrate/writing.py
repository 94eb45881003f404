"""Writes the files of a migration: all of them, or none when one would be written over."""

from collections.abc import Mapping
from pathlib import Path

from collector.errors import CollectorError


def write(files: Mapping[Path, bytes], into: Path, *, force: bool) -> list[Path]:
    """Write files into a folder; returns those that were not there as they are.

    Raises:
        CollectorError: another file is there and `force` is not given, or one can't be written.
    """
    fresh = [into / path for path, content in files.items() if not _has(into / path, content)]
    taken = [path for path in fresh if path.exists()]
    if taken and not force:
        raise CollectorError(
            "\n".join(f"{path} is there already, and is another" for path in taken),
            "--output names another folder; when it is only a sample, --force writes over it.",
        )
    for path in fresh:
        _replace(path, files[path.relative_to(into)])
    return fresh


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write beside its place first, so that no half of it is read."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise CollectorError(f"{path} can't be written: {error.strerror}") from error
