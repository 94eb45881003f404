"""Publishing with QoS 1, for the demonstration: what counts is the broker's PUBACK.

Stock paho with its own network thread; not a part of the line.
"""

import threading
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from collector.errors import CollectorError


class Publisher:
    """A client that publishes; `acknowledged` counts the messages that the broker has.

    MQTT 3.1.1, which every broker speaks. After a lost connection paho publishes what has no PUBACK
    again; the broker may then deliver it twice.
    """

    def __init__(self, host: str, port: int, client_id: str, window: int = 500) -> None:
        self.acknowledged = 0
        self._window = window
        self._published = 0
        self._changed = threading.Condition()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.max_inflight_messages_set(window)
        self._client.on_publish = self._on_publish
        try:
            self._client.connect(host, port)
        except OSError as error:
            raise CollectorError(f"the broker at {host}:{port} does not answer: {error}") from error
        self._client.loop_start()

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return self._published - self.acknowledged

    def publish(self, topic: str, payload: bytes, timeout: float) -> bool:
        """Hand a message over; False, and nothing done, when the window stays full so long."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.waiting < self._window, timeout):
                return False
            self._published += 1
        outcome = self._client.publish(topic, payload, qos=1)
        # Without a connection paho keeps it for the next one.
        if outcome.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            raise CollectorError(f"a message can't be published: {outcome.rc.name}")
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until the broker has acknowledged everything."""
        with self._changed:
            return self._changed.wait_for(lambda: self.waiting == 0, timeout)

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_publish(
        self,
        _client: Client,
        _userdata: Any,
        _packet_id: int,
        _reason: ReasonCode,
        _properties: Any,
    ) -> None:
        with self._changed:
            self.acknowledged += 1
            self._changed.notify_all()
