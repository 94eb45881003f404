"""Simulated devices of five families, as a new user would have them: none is in the corpus."""

import json
import random
import threading
import time
from datetime import UTC, datetime

import msgpack

from support.publisher import Publisher

TABLES = ("orchard_weather_obs", "laundry_cycle", "depot_charger", "harbour", "kiln_log")


class Devices:
    """Publishes a round of messages by all devices, again and again, until it is left."""

    def __init__(self, port, every_s=0.1):
        self._publisher = Publisher(port)
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._random = random.Random(7)  # Not random enough for more than a temperature.
        self.rounds = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)
        self._publisher.close()

    def _run(self):
        while not self._over.wait(self._every_s):
            self.rounds += 1
            messages = [(n, *message) for n, message in enumerate(self.round(self.rounds))]
            self._publisher.publish(messages)

    def round(self, number):
        """The messages of one moment: (topic, payload)."""
        yield from self._weather(number)
        yield from self._laundry(number)
        yield from self._chargers(number)
        yield from self._harbour(number)
        yield from self._kiln(number)

    def _weather(self, number):
        """Nested JSON, epoch seconds, a sentinel for a probe that is not plugged in."""
        for row in ("row1", "row2"):
            for mast in ("mast-01", "mast-02", "mast-03"):
                soil = -999 if number % 5 == 0 else round(self._random.uniform(8, 14), 1)
                yield (
                    f"orchard/{row}/{mast}/weather/obs",
                    json.dumps(
                        {
                            "epoch": int(time.time()),
                            "air": {"tempC": round(self._random.uniform(11, 24), 2), "rh": 61},
                            "soil": {"tempC": soil},
                            "leafWet": self._random.choice(["yes", "no"]),
                            "serial": "004711",
                        }
                    ).encode(),
                )

    def _laundry(self, number):
        """key=value text, one line per message."""
        for machine in ("washer-1", "dryer-2"):
            text = f"program=eco phase={number % 4} watts={self._random.uniform(80, 2000):.1f}"
            yield f"laundry/{machine}/cycle", text.encode()

    def _chargers(self, number):
        """MessagePack with a list of objects, one for each plug, and an ISO time."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        plugs = [{"plug": n, "kw": 11.5 * n, "busy": n % 2 == 0} for n in (1, 2, 3)]
        yield "depot/c0ffee12ab34/charger", msgpack.packb({"at": at, "seq": number, "plugs": plugs})

    def _harbour(self, number):
        """One bare value per topic, at several depths: numbers, words and texts."""
        for pier in ("pier-a1", "pier-b2"):
            yield f"harbour/{pier}/level", f"{self._random.uniform(1, 3):.2f}".encode()
            yield f"harbour/{pier}/crane/hook/load", str(number % 900).encode()
            yield f"harbour/{pier}/crane/brake", b"ON" if number % 3 else b"OFF"
            yield f"harbour/{pier}/crane/driver", b"M. Osei"

    def _kiln(self, number):
        """CSV with semicolons, a decimal comma and a German time."""
        when = datetime.now().strftime("%d.%m.%Y %H:%M:%S")  # noqa: DTZ005 - A wall clock.
        yield "kiln/ofen3/log", f"{when};{1000 + number % 7},25;zone {number % 2};--".encode()
