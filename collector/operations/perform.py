"""Finds the operation that a request names."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collector.config import load
from collector.errors import CollectorError
from collector.operations.bury import bury
from collector.operations.compact import compact
from collector.operations.purge import purge_letters, purge_records
from collector.operations.replay import Replay
from collector.plan import plan
from collector.spool import Spool
from collector.spool.selection import Selection

if TYPE_CHECKING:
    from collector.drain import Drains

Progress = dict[str, Any]
Summary = dict[str, Any]
Operation = Generator[Progress, None, Summary]


@dataclass(frozen=True, slots=True)
class Scene:
    """What an operation works on: the open spool, and the configuration as it lies on the disk.

    `drains` are there when the spool is drained meanwhile; `tick` is what has to be called once a
    second where no daemon does it.
    """

    spool: Spool
    config: Path
    drains: "Drains | None" = None
    tick: Callable[[], None] = lambda: None


def _replay(scene: Scene, request: dict[str, Any]) -> Operation:
    replay = Replay(
        scene.spool, plan(load(scene.config, secrets=False)), station=request.get("station", "")
    )
    return replay.run(_selection(request), dry_run=bool(request.get("dry_run")))


def _purge_letters(scene: Scene, request: dict[str, Any]) -> Operation:
    return purge_letters(scene.spool, _selection(request))


def _purge_records(scene: Scene, request: dict[str, Any]) -> Operation:
    return purge_records(scene.spool, _selection(request))


def _bury(scene: Scene, request: dict[str, Any]) -> Operation:
    if scene.drains is None:
        raise CollectorError("nothing drains this spool: what is refused can't be known")
    return bury(scene.spool, scene.drains, str(request.get("table")), scene.tick)


def _compact(scene: Scene, _request: dict[str, Any]) -> Operation:
    return compact(scene.spool)


OPERATIONS: Final[dict[str, Callable[[Scene, dict[str, Any]], Operation]]] = {
    "replay": _replay,
    "bury": _bury,
    "purge letters": _purge_letters,
    "purge records": _purge_records,
    "compact": _compact,
}


def perform(scene: Scene, request: dict[str, Any]) -> Operation:
    """Return the operation that a request asks for.

    Raises:
        CollectorError: there is no such operation.
    """
    name = request.get("operation")
    if name not in OPERATIONS:
        raise CollectorError(
            f"there is no operation {name!r}", f"Known are {', '.join(OPERATIONS)}."
        )
    return OPERATIONS[name](scene, request)


def _selection(request: dict[str, Any]) -> Selection:
    return Selection.of_json(request.get("selection", {}))
