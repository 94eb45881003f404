"""The whole line on one machine: broker, local Zerobus, daemon; and what came through it."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

from support.broker import Broker
from support.publisher import Publisher
from support.waiting import answers, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
STATIONS = {
    "station_one": {"topic": "sensors/station_one/+", "table": "main.iot.station_one"},
    "station_two": {"topic": "sensors/station_two/+", "table": "main.iot.station_two"},
}


class Process:
    """A child that is always stopped by its pid; its stderr is kept in a file."""

    def __init__(self, name, folder, arguments, environment=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments, stdout=log, stderr=log, env=self._environment
            )
        return self

    def stop(self, sig=signal.SIGTERM, timeout=30):
        if self.process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sig)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)

    def tail(self):
        return self.log.read_text(errors="replace")[-20_000:] if self.log.exists() else ""


class LocalZerobus(Process):
    """`collector emulate` with its log of everything that it acknowledged, in order; or, when it
    only counts, with `stats` alone."""

    def __init__(self, folder, *options):
        self.grpc, self.http = free_port(), free_port()
        self.lake, self.oracle = folder / "lake", folder / "acknowledged.ndjson"
        super().__init__(
            "emulator",
            folder,
            [
                sys.executable, "-m", "collector", "emulate",
                "--grpc", f"127.0.0.1:{self.grpc}", "--http", f"127.0.0.1:{self.http}",
                *(() if "--count-only" in options else self._kept()), *options,
            ],
        )  # fmt: skip

    def _kept(self):
        return "--lake", str(self.lake), "--log", str(self.oracle)

    def start(self):
        super().start()
        wait_for(lambda: answers(self.http) and answers(self.grpc), "the emulator", 60)
        return self

    def faults(self, plan):
        """Set the fault plan; None clears it."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/faults",
            data=json.dumps(plan).encode() if plan is not None else None,
            method="PUT" if plan is not None else "DELETE",
        )
        urllib.request.urlopen(request, timeout=10).read()

    def define(self, table, columns):
        """Make a table, or alter the one that is there."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/tables/{table}",
            data=json.dumps({"columns": columns}).encode(),
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=10).read()

    def stats(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/stats", timeout=10) as answer:
            return json.loads(answer.read())

    def rows(self, table=None):
        """Return the rows that were acknowledged, in the order of their acknowledgment."""
        if not self.oracle.exists():
            return []
        found = []
        for line in self.oracle.read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # The last line may be half written.
                entry = json.loads(line)
                if table in {None, entry["table"]}:
                    found.append(entry["row"])
        return found

    def ids(self, table=None):
        return [row["humidity"] for row in self.rows(table) if "humidity" in row]


class Line:
    """Broker, emulator and daemon in one folder. `mqtt`, `zerobus`, `spool`, `metrics` are added
    to the sections of stations.yaml, which has no `http` without it; `main` is the program that is
    run as the daemon; `tables` are the texts of schemas, instead of those of the repository."""

    def __init__(
        self, folder, *, stations=STATIONS, mqtt=None, zerobus=None, spool=None, metrics=None,
        http=None, main=None,
        emulator=(), broker=None, environment=None, tables=None,
    ):  # fmt: skip
        self.folder = folder
        self.broker = Broker(folder, **(broker or {}))
        self.zerobus = LocalZerobus(folder, *emulator)
        self.stations = dict(stations)
        self._sections = {
            "mqtt": {"url": f"mqtt://127.0.0.1:{self.broker.port}", **(mqtt or {})},
            "zerobus": {
                "endpoint": f"http://127.0.0.1:{self.zerobus.grpc}",
                "workspace_url": f"http://127.0.0.1:{self.zerobus.http}",
                "client_id": "emulator",
                "client_secret": "emulator",
                **(zerobus or {}),
            },
            "spool": {"path": "state/spool.db", "min_free_bytes": "0", **(spool or {})},
        }
        # A collector that runs on the same box has the usual port.
        self._sections["metrics"] = {"listen": "off", **(metrics or {})}
        self.http_port = free_port()
        if http is not None:
            self._sections["http"] = {"listen": f"127.0.0.1:{self.http_port}", **http}
        self.config = folder / "stations.yaml"
        if tables is None:
            (folder / "tables").symlink_to(ROOT / "tables")
        for name, text in (tables or {}).items():
            (folder / "tables" / name).mkdir(parents=True)
            (folder / "tables" / name / "schema.proto").write_text(text)
        self.write_config()
        program = main or ["-m", "collector", "run"]
        self.daemon = Process(
            "collector", folder, [sys.executable, *map(str, program), "-c", str(self.config)],
            environment,
        )  # fmt: skip
        self.publishers = []

    def write_config(self):
        document = {"gateway": "test", **self._sections, "stations": self.stations}
        # JSON is YAML.
        self.config.write_text(json.dumps(document, indent=1))

    def change(self, **sections):
        """Write other values into the sections of stations.yaml."""
        for name, values in sections.items():
            self._sections.setdefault(name, {}).update(values)
        self.write_config()

    def reload(self):
        """Have the daemon read its configuration again, and wait until it did; returns why not."""
        before = self.status()["configuration"]
        self.daemon.process.send_signal(signal.SIGHUP)

        def outcome():
            now = self.status().get("configuration", before)
            is_new = any(now[key] != before[key] for key in ("reloads", "failed_us"))
            return now if is_new else None

        return wait_for(outcome, "the reload")["error"]

    def use_tls(self, ca, host="localhost"):
        """Connect by TLS, trusting this CA; takes effect when the daemon starts."""
        self._sections["mqtt"] |= {
            "url": f"mqtts://{host}:{self.broker.tls_port}",
            "ca_file": ca,
        }
        self.write_config()

    def use_websockets(self):
        """Connect by websockets; takes effect when the daemon starts."""
        self._sections["mqtt"]["url"] = f"ws://127.0.0.1:{self.broker.ws_port}"
        self.write_config()

    def own_tables(self):
        """Give the folder schemas that a test may change; returns their folder."""
        tables = self.folder / "tables"
        if tables.is_symlink():
            tables.unlink()
            shutil.copytree(ROOT / "tables", tables)
        return tables

    @property
    def spool_path(self):
        return self.folder / "state" / "spool.db"

    def __enter__(self):
        try:
            self.broker.start()
            self.zerobus.start()
            self.start_daemon()
        except BaseException:
            self.__exit__(None)
            raise
        return self

    def start_daemon(self):
        self.daemon.start()
        wait_for(self.is_connected, "the daemon to connect", 60)

    def is_connected(self):
        if self.daemon.process.poll() is not None:
            raise AssertionError(f"the daemon ended:\n{self.daemon.tail()}")
        # It says None when its configuration names no broker.
        status = self.status()
        return status.get("pid") == self.daemon.process.pid and (
            status["broker"]["connected"] is not False
        )

    def __exit__(self, kind, *_):
        for publisher in self.publishers:
            publisher.close()
        if kind is not None:
            print("collector:", self.daemon.tail(), "emulator:", self.zerobus.tail())
        for part in (self.daemon, self.zerobus, self.broker):
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.stop()
                continue
            part.stop(signal.SIGKILL)

    def publisher(self, qos=1):
        self.publishers.append(Publisher(self.broker.port, qos))
        return self.publishers[-1]

    def status(self):
        try:
            return json.loads((self.folder / "state" / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def counters(self):
        """Return the counters of the spool, read as any other program would."""
        uri = f"file:{self.spool_path}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute("SELECT scope, name, value FROM counters").fetchall()
        return {(scope, name): value for scope, name, value in rows}

    def dead_letters(self):
        uri = f"file:{self.spool_path}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(
                "SELECT d.*, p.body AS payload FROM dead_letters d"
                " JOIN payloads p ON p.id = d.payload_id ORDER BY d.id"
            ).fetchall()

    def spooled(self):
        return sum(value for (_, name), value in self.counters().items() if name == "spooled")

    def wait_delivered(self, ids, seconds=60):
        """Wait until every id was acknowledged by the emulator."""
        wanted = set(ids)
        wait_for(
            lambda: wanted <= set(self.zerobus.ids()),
            f"{len(wanted)} ids to be delivered",
            seconds,
            0.3,
        )

    def wait_drained(self, seconds=60):
        wait_for(lambda: self.spooled() == 0, "the spool to be empty", seconds, 0.2)

    def check_balances(self):
        """Both balances of the spool, as the promise has them."""
        counters = self.counters()
        messages = Counter({name: value for (scope, name), value in counters.items() if not scope})
        ignored = sum(value for name, value in messages.items() if name.startswith("ignored:"))
        assert messages["received"] == messages["recorded"] + messages["dead_lettered"] + ignored
        tables = {scope for scope, _ in counters if scope.startswith("table:")}
        for table in tables:
            count = Counter({n: value for (scope, n), value in counters.items() if scope == table})
            came = sum(count[name] for name in ("made", "replayed", "salvaged"))
            left = ("delivered", "spooled", "buried", "expired", "dropped", "purged", "lost")
            assert came == sum(count[name] for name in left), (table, count)


def reading(number, station="station_one", device=None, **more):
    """Return (id, topic, payload) of a sensor's message whose humidity is its id."""
    device = device or f"d{number % 7}"
    values = {"device_name": device, "temp": number % 40, "humidity": number, **more}
    return number, f"sensors/{station}/{device}", json.dumps(values).encode()
