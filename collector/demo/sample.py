"""The configuration of a run: the stations of the sample, and the parts that were started.

The schemas are a copy inside the package, so that the demonstration runs from anywhere and never
publishes to the broker that an edited `stations.yaml` names; a test holds them equal.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

from collector.demo.sensors import TABLES

_CONFIG: Final = """\
# Made by `collector demo`; the stations are those of the sample.
gateway: demo
mqtt:
  url: mqtt://127.0.0.1:{port}
  client_id: demo
  protocol: "{protocol}"
zerobus:
  endpoint: {endpoint}
  workspace_url: {workspace_url}
  client_id: demo
  client_secret: demo
spool:
  path: state/spool.db
  min_free_bytes: 0
# The usual port may belong to a collector that runs on this box.
metrics:
  listen: "off"
stations:
"""


def write_sample(folder: Path, port: int, protocol: str, endpoint: str, workspace_url: str) -> Path:
    """Write `stations.yaml` and `tables/` into a folder; returns the path of the former."""
    text = _CONFIG.format(
        port=port, protocol=protocol, endpoint=endpoint, workspace_url=workspace_url
    )
    for name, table in TABLES.items():
        text += f"  {name}: {{topic: sensors/{name}/+, table: {table}}}\n"
        tables = folder / "tables" / name
        tables.mkdir(parents=True)
        schema = files("collector.demo") / "tables" / name / "schema.proto"
        (tables / "schema.proto").write_bytes(schema.read_bytes())
    config = folder / "stations.yaml"
    config.write_text(text)
    return config
