"""The MQTT client of the line: the only place that knows paho.

`subscriber.py` keeps a connection, `subscriptions.py` what the broker granted on it; `bulk.py` is
paho with a bulk reader and a bulk PUBACK. Nothing here decides when a message is acknowledged: that
is the intake's.
"""

from collector.subscriber.subscriber import Subscriber
from collector.subscriber.subscriptions import Subscription, Subscriptions

__all__ = ["Subscriber", "Subscription", "Subscriptions"]
