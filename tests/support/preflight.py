"""A box to examine: its files, and what the doctor finds there."""

import json
from itertools import chain

from collector.doctor import broker, cloud, configuration, disk, http, spool, tables
from collector.doctor.facts import Facts
from collector.doctor.findings import examine
from support.columns import schema_text
from support.waiting import free_port

CANARY = "canary-9f2c77"
"""The secret of every box: no finding may hold it."""
COLUMNS = {"device": "STRING", "temp": "INT"}
TABLE = "main.iot.climate"
GROUPS = {
    "broker": (configuration, broker),
    "cloud": (configuration, cloud, tables),
    "configuration": (configuration,),
    "http": (configuration, http),
    "spool": (configuration, disk, spool),
}


class Box:
    """A folder with `stations.yaml` and one table; sections are added to those of the file."""

    def __init__(self, folder, **sections):
        self.folder = folder
        schema = folder / "tables" / "climate"
        schema.mkdir(parents=True)
        (schema / "schema.proto").write_text(schema_text(COLUMNS))
        closed = f"http://127.0.0.1:{free_port()}"
        self.sections = {
            "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
            "zerobus": {
                "endpoint": closed,
                "workspace_url": closed,
                "client_id": "the-id",
                "client_secret_file": "client-secret",
            },
            "spool": {"path": "state/spool.db", "min_free_bytes": "0"},
            "stations": {"climate": {"topic": ["sensors/+", "$share/g/more/#"], "table": TABLE}},
        }
        self.file = folder / "stations.yaml"
        (folder / "client-secret").write_text(CANARY)
        (folder / "client-secret").chmod(0o600)
        self.change(**sections)

    def change(self, **sections):
        for name, values in sections.items():
            self.sections[name] = {**self.sections.get(name, {}), **values}
        # JSON is YAML.
        self.file.write_text(json.dumps({"gateway": "gw-1", **self.sections}, indent=1))

    def look(self, group, until="", answer_s=10.0, opening_s=40.0):
        """Make the checks of a group, to the one of that name, and return the findings of each."""
        facts = Facts(self.file, answer_s, opening_s)
        found = {}
        checks = chain.from_iterable(part.checks(facts) for part in GROUPS[group])
        for report in examine(_to(until, checks)):
            finding = report.finding
            found.setdefault(report.check.name, []).append(finding)
            assert CANARY not in repr(finding)
            assert finding.level in {"ok", "skipped"} or finding.fix, finding
        return found


def _to(last, checks):
    for check in checks:
        yield check
        if check.name == last:
            return


def levels(found):
    """The worst that each check found."""
    order = ["ok", "skipped", "warning", "error"]
    return {name: max((f.level for f in all_), key=order.index) for name, all_ in found.items()}
