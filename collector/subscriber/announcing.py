"""What the collector says of itself at the broker: one retained message, and a last will.

The will is what the broker says when the connection ends without a goodbye, for whatever reason.
QoS 0 is enough for the rest: it is lost only with the connection, and then the will says so.

Not every broker lets a client say that: some refuse the connection for its will, some close it at
the message. It must not keep the collector from its work. So a connection that ends right behind a
will or a message is a reason to try one without both; when that one lives, they are left out.
"""

import json
import logging
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.reasoncodes import ReasonCode

_log = logging.getLogger(__name__)

_SOON_S: Final = 3.0
"""A connection that outlives a message by this was not ended by it."""
_ENDS_MAX: Final = 2
# Not authorized, topic name invalid, retain not supported, QoS not supported: said of what we say.
_NAMED: Final = frozenset({0x87, 0x90, 0x9A, 0x9B})


class Announcing:
    """Publishes to `topic`, or nothing when that is None; used by the thread of the client.

    `said` is to be published, and may be set from any thread. `problem` says why the broker hears
    nothing of it any more, or is empty.
    """

    def __init__(self, topic: str | None) -> None:
        self.topic = topic
        self.said = b""
        self.problem = ""
        self._published = b""
        self._published_at = float("-inf")
        self._ends = 0
        self._doubt = ""

    @property
    def _speaks(self) -> bool:
        return bool(self.topic) and not self._doubt

    def before_connect(self, client: Client) -> None:
        """Leave a will with the broker; what it was told before is told again."""
        self._published, self._published_at = b"", float("-inf")
        client.will_clear()
        if self.topic and self._speaks:
            will = _offline("the connection was lost", time=None, connected=_now())
            client.will_set(self.topic, will, qos=1, retain=True)

    def publish(self, client: Client, connected_s: float) -> None:
        """Say what is to be said, if the broker has not heard it yet.

        `connected_s` is for how many seconds there is a connection.
        """
        now = time.monotonic()
        if not client.is_connected():
            return
        if self._doubt:
            if connected_s > _SOON_S and not self.problem:
                self._go_without()
        elif self.topic and self.said != self._published:
            client.publish(self.topic, self.said, retain=True)
            self._published, self._published_at = self.said, now
        elif self._published and now - self._published_at > _SOON_S:
            self._ends = 0

    def ended(self, reason: ReasonCode | None) -> None:
        """Note that the broker refused or ended a connection: was it for what is said here?

        `reason` is None when it closed the connection instead of answering.
        """
        if not self.topic or self.problem:
            return
        if self._doubt:
            # It ends without as well, so that this was not to blame.
            self._doubt, self._ends = "", 0
        elif reason is not None and reason.value in _NAMED:
            self._doubt = str(reason)
        elif reason is None or time.monotonic() - self._published_at < _SOON_S:
            self._ends += 1
            if self._ends >= _ENDS_MAX:
                self._doubt = "it closes the connection"

    def try_again(self) -> bool:
        """Want to be heard again; returns whether that needs another connection, with a will."""
        was_refused = bool(self.problem)
        self.problem, self._doubt, self._ends = "", "", 0
        return was_refused

    def goodbye(self, client: Client, reason: str) -> None:
        """Say that the collector goes, and why: a broker that hears a goodbye keeps the will."""
        if self.topic and self._speaks and client.is_connected():
            client.publish(self.topic, _offline(reason, time=_now()), retain=True)
            self._published = b""

    def _go_without(self) -> None:
        self.problem = (
            f"the broker does not let us publish to mqtt.status_topic {self.topic}: {self._doubt}:"
            " allow a retained message and a will there, or leave the key out, then reload"
        )
        _log.error("%s; going on without", self.problem)


def _offline(reason: str, **more: Any) -> bytes:
    document = {"state": "offline", "reasons": [reason], "version": version("zerobus-collector")}
    return json.dumps(document | more).encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
