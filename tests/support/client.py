"""A client of the station over HTTP: keeps its connection, and gives what was answered."""

import http.client
import json
from typing import NamedTuple

JSON = "application/json"
NDJSON = "application/x-ndjson"


class Answered(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def said(self):
        return json.loads(self.body)


class Client:
    """`post` takes values, which become JSON, or bytes as they are."""

    def __init__(self, port, timeout=60):
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def post(self, path, content=b"", content_type=JSON, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        given = {"Content-Type": content_type, **headers}
        return self.ask("POST", path, body, {k.replace("_", "-"): v for k, v in given.items() if v})

    def get(self, path, **headers):
        return self.ask("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def ask(self, method, path, body, headers):
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, names, answer.read())
        except BaseException:
            self._connection.close()
            raise

    def close(self):
        self._connection.close()


def measured(number, **more):
    """A record of station_one or station_two whose humidity is its id."""
    return {"device_name": f"d{number % 7}", "temp": number % 40, "humidity": number, **more}
