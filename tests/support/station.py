"""A folder with a configuration of stations and tables, compiled; for tests without a daemon."""

from itertools import count

from collector.config import load
from collector.model import Message
from collector.plan import plan
from collector.rows import row_of
from support.columns import schema_text

TOP = """
gateway: gw-1
mqtt: {{url: "mqtt://127.0.0.1:{mqtt}"}}
zerobus:
  endpoint: http://127.0.0.1:{grpc}
  workspace_url: http://127.0.0.1:{http}
  client_id: id
  client_secret: secret
  ack_timeout: 5s
stations:
"""


def write_stations(folder, stations, *, mqtt=1883, grpc=1, http=1):
    """Write `stations.yaml` and a schema for each; `stations` are (name, columns, YAML text)."""
    text = TOP.format(mqtt=mqtt, grpc=grpc, http=http)
    for name, columns, words in stations:
        body = "".join(f"    {line}\n" for line in words.splitlines())
        text += f"  {name}:\n{body}"
        if "table:" not in words:
            text += f"    table: main.iot.{name}\n"
        table = folder / "tables" / name
        table.mkdir(parents=True, exist_ok=True)
        (table / "schema.proto").write_text(schema_text(columns))
    file = folder / "stations.yaml"
    file.write_text(text)
    return file


def compiled(folder, *stations):
    """The plan of such a configuration."""
    return plan(load(write_stations(folder, stations), {}))


def offer(plan, topic, payload, received_us=1_741_000_000_000_000, numbers=None, **message):
    """What each station makes of a message: by its name, rows and faults."""
    raw = payload if isinstance(payload, bytes) else payload.encode()
    outcomes = {}
    for one in plan.router.resolve(topic.encode(), ()).offers:
        mapping = plan.mappings[one.station]
        records = []
        faults = mapping.encode(
            Message(topic.encode(), raw, **message), one.captures, topic, received_us,
            (numbers or count(1)).__next__, records,
        )  # fmt: skip
        rows = [row_of(mapping.schema, record) for record in records]
        outcomes[mapping.station] = (rows, list(faults))
    return outcomes
