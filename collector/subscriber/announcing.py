"""What the collector says of itself at the broker: one retained message, and a last will.

The will is what the broker says when the connection ends without a goodbye, for whatever reason.
QoS 0 is enough for the rest: it is lost only with the connection, and then the will says so.
"""

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from paho.mqtt.client import Client


class Announcing:
    """Publishes to `topic`, or nothing when that is None; used by the thread of the client.

    `said` is to be published, and may be set from any thread.
    """

    def __init__(self, topic: str | None) -> None:
        self.topic = topic
        self.said = b""
        self._published = b""

    def before_connect(self, client: Client) -> None:
        """Leave a will with the broker; what it was told before is told again."""
        self._published = b""
        if self.topic:
            will = _offline("the connection was lost", time=None, connected=_now())
            client.will_set(self.topic, will, qos=1, retain=True)

    def publish(self, client: Client) -> None:
        """Say what is to be said, if the broker has not heard it yet."""
        if self.topic and client.is_connected() and self.said != self._published:
            client.publish(self.topic, self.said, retain=True)
            self._published = self.said

    def goodbye(self, client: Client, reason: str) -> None:
        """Say that the collector goes, and why: a broker that hears a goodbye keeps the will."""
        if self.topic and client.is_connected():
            client.publish(self.topic, _offline(reason, time=_now()), retain=True)
            self._published = b""


def _offline(reason: str, **more: Any) -> bytes:
    document = {"state": "offline", "reasons": [reason], "version": version("zerobus-collector")}
    return json.dumps(document | more).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
