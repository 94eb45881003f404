"""Parts of the line for component tests: a configuration, its plan, a spool."""

import json
from contextlib import contextmanager

from collector.config import load
from collector.plan import plan
from collector.spool import Limits, Spool
from support.line import ROOT

STATIONS = {"station_one": {"topic": "sensors/+/+", "table": "main.iot.station_one"}}


def make_plan(folder, stations=None, **sections):
    """Return a plan as the daemon makes it; `sections` are added to those of stations.yaml."""
    document = {
        "gateway": "test",
        "mqtt": {"url": "mqtt://127.0.0.1:1", **sections.get("mqtt", {})},
        "zerobus": {
            "endpoint": "http://127.0.0.1:1",
            "workspace_url": "http://127.0.0.1:1",
            "client_id": "id",
            "client_secret": "secret",
            **sections.get("zerobus", {}),
        },
        "spool": {"path": "state/spool.db", "min_free_bytes": "0", **sections.get("spool", {})},
        **{name: sections[name] for name in ("http", "heartbeat") if name in sections},
        "stations": stations or STATIONS,
    }
    if not (folder / "tables").exists():
        (folder / "tables").symlink_to(ROOT / "tables")
    path = folder / "stations.yaml"
    path.write_text(json.dumps(document))
    return plan(load(path, {}))


@contextmanager
def open_spool(plan_):
    """Open the spool of a plan, with its schemas."""
    spool = Spool(plan_.config.spool.path, Limits.of(plan_.config))
    try:
        for schema in plan_.schemas.values():
            spool.add_schema(schema.fingerprint, schema.stored)
        yield spool
    finally:
        spool.close()
