"""What the station over HTTP is measured against: a service that keeps nothing on the disk.

    python benchmarks/direct.py PORT ENDPOINT WORKSPACE_URL

FastAPI, a model of the table, and one stream of the SDK, into which each record is put as it comes;
200 says no more than that. With `?wait_for_ack=true` it says that Zerobus has acknowledged it.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("RUST_LOG", "off")

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from zerobus.sdk.aio import ZerobusSdk
from zerobus.sdk.shared import StreamConfigurationOptions, TableProperties

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from collector.tables import load_schema  # noqa: E402

TABLE = "main.iot.station_two"
SCHEMA = load_schema(ROOT / "tables" / "station_two")


class StationTwo(BaseModel):
    device_name: str | None = None
    temp: int | None = None
    humidity: int | None = None
    description: str | None = None


class Direct:
    """The endpoint and its stream, which the first request opens."""

    def __init__(self, endpoint, workspace_url):
        self._sdk = ZerobusSdk(endpoint, workspace_url)
        self._stream = None

    async def ingest(self, record: StationTwo | list[StationTwo], *, wait_for_ack: bool = False):
        if self._stream is None:
            self._stream = await self._open()
        records = record if isinstance(record, list) else [record]
        encoded = [SCHEMA.message(**one.model_dump()).SerializeToString() for one in records]
        for one in encoded:
            offset = await self._stream.ingest_record_offset(one)
        if wait_for_ack:
            await self._stream.wait_for_offset(offset)
        return {"status": "success", "table": TABLE, "wait_for_ack": wait_for_ack}

    async def _open(self):
        table = TableProperties(TABLE, SCHEMA.file_descriptor)
        options = StreamConfigurationOptions(max_inflight_records=50_000, recovery=False)
        return await self._sdk.create_stream("emulator", "emulator", table, options)


def main():
    port, endpoint, workspace_url = sys.argv[1:]
    app = FastAPI()
    app.add_api_route(
        "/ingest/station_two", Direct(endpoint, workspace_url).ingest, methods=["POST"]
    )
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
