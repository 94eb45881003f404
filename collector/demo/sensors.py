"""Simulated sensors: for each station a few devices that report in turn, some of them badly.

`humidity` numbers the messages of all runs into one lake, so that each can be found again in the
tables; every BROKEN_EVERY-th message is broken on purpose and must become a dead letter.
"""

import json
import math
import time
from typing import Final

from collector.subscriber.publisher import Publisher

TABLES: Final = {"station_one": "main.iot.station_one", "station_two": "main.iot.station_two"}
NUMBER: Final = "humidity"
BROKEN_EVERY: Final = 500
_FIRST_BROKEN: Final = 10
_DEVICES: Final = 5
_BEHIND_MAX_S: Final = 1.0


class Sensors:
    """Publishes `rate` messages a second; `tick` is to be called often, and never blocks."""

    def __init__(self, publisher: Publisher, first_number: int, rate: float) -> None:
        self._publisher = publisher
        self._first_number = first_number
        self._rate = rate
        self._started = time.monotonic()
        self._due_from = 0
        self.published = 0
        self.broken = 0

    def tick(self) -> None:
        """Publish what is due; what a slow broker does not take is not made up for."""
        now = time.monotonic()
        due = self._due_from + int((now - self._started) * self._rate)
        while self.published < due:
            topic, payload = message(self.published, self._first_number + self.published)
            if not self._publisher.publish(topic, payload, timeout=0.0):
                break
            self.broken += is_broken(self.published)
            self.published += 1
        if due - self.published > self._rate * _BEHIND_MAX_S:
            self._started, self._due_from = now, self.published


def is_broken(position: int) -> bool:
    """Say whether the message at this position is broken on purpose."""
    return position % BROKEN_EVERY == _FIRST_BROKEN


def message(position: int, number: int) -> tuple[str, bytes]:
    """Return topic and payload of a message.

    >>> message(0, 7)
    ('sensors/station_one/sensor-1', b'{"device_name": "sensor-1", "temp": 20, "humidity": 7}')
    """
    station = "station_two" if position % 2 else "station_one"
    device = f"sensor-{position // 2 % _DEVICES + 1}"
    temp: int | str = 20 + round(5 * math.sin(position / 300))
    values = {"device_name": device, "temp": temp, NUMBER: number}
    if station == "station_two":
        values["description"] = "Main entrance"
    if is_broken(position):
        values["temp"] = "warm"
    return f"sensors/{station}/{device}", json.dumps(values).encode()
