"""The MQTT client of the line: the only place that knows paho.

`subscriber.py` keeps a connection and its subscriptions; `bulk.py` is paho with a bulk reader and
a bulk PUBACK. Nothing here decides when a message is acknowledged: that is the intake's.
"""

from collector.subscriber.subscriber import Subscriber, Subscription

__all__ = ["Subscriber", "Subscription"]
