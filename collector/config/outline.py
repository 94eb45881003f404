"""The names in `stations.yaml`, read at once and without a judgement.

For shell completion, which must be quick, and for the probes of a container, which must not fail
because a file was broken under a daemon that is well. Imports no pydantic. What can't be read is
left out.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.config.document import read
from collector.config.environment import expand, read_dotenv, runtime_folder, spool_file


@dataclass(frozen=True, slots=True)
class Outline:
    """What stations and tables a configuration names, where its spool and status file are."""

    stations: tuple[str, ...]
    tables: tuple[str, ...]
    spool: Path
    runtime_dir: Path


def outline(path: Path) -> Outline:
    """Return the names of a configuration; none when there is none."""
    folder = path.absolute().parent
    variables = {**read_dotenv(folder / ".env")[0], **os.environ}
    values = _mapping(read(path, lambda text: expand(text, variables)).values)
    stations = _mapping(values.get("stations"))
    tables = [_mapping(one).get("table") for one in stations.values()]
    spool = _path(
        folder, _mapping(values.get("spool")).get("path") or spool_file(variables, folder)
    )
    runtime_dir = values.get("runtime_dir") or runtime_folder(variables, folder)
    return Outline(
        stations=tuple(stations),
        tables=tuple(dict.fromkeys(name for name in tables if isinstance(name, str))),
        spool=spool,
        runtime_dir=_path(folder, runtime_dir) if runtime_dir else spool.parent,
    )


def _path(folder: Path, value: Any) -> Path:
    return folder / os.path.expanduser(str(value))  # noqa: PTH111 - a Path's own raises.


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
