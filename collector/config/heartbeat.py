"""The station of the heartbeat: nobody sends it anything, its rows are about this box."""

from collections.abc import Mapping
from typing import Any, Final

from collector.config.document import Document
from collector.config.models import HEARTBEAT, Heartbeat, Station

_COLUMNS: Final = (
    *(("gateway", "$gateway"), ("seq", "$seq"), ("time", "$received")),
    *((name, f"/{name}") for name in ("version", "health", "backlog", "oldest_age_s")),
    *((name, f"/{name}") for name in ("dead_letters", "dropped", "uptime_s")),
)


def heartbeat_station(
    document: Document, heartbeat: Heartbeat, entries: Mapping[str, Any]
) -> list[Station]:
    """Return the one station, whose rows are spooled and drained as all are."""
    if HEARTBEAT in entries:
        text = "is the name of the station that the heartbeat makes"
        document.report(("stations", HEARTBEAT), text, "give it another name")
        return []
    values = {
        "name": HEARTBEAT,
        "is_heartbeat": True,
        "table": heartbeat.table,
        "columns": dict(_COLUMNS),
        "line": document.line((HEARTBEAT,)),
        "lines": document.lines_of_each(()).get(HEARTBEAT, {}),
    }
    return [Station.model_validate({**values, "schema": heartbeat.schema_dir})]
