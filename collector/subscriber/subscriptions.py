"""What is asked of the broker, and what it answered: granted, refused, unsubscribed."""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

_log = logging.getLogger(__name__)

_FILTERS_PER_PACKET: Final = 50
_RETRY_REFUSED_S: Final = 60.0


class Subscription(NamedTuple):
    """A filter as the broker sees it, and the identifier that its copies carry (decision 8)."""

    filter: str
    identifier: int


class Subscriptions:
    """Subscribes to everything on every connect and keeps the answers.

    `with_identifiers` are subscribed when the broker gives subscription identifiers (MQTT 5),
    `without` otherwise; `stale` are filters of an earlier configuration, which are unsubscribed;
    `overlapping` are pairs of `without` that can fit one topic.

    `granted` and `gone` grow with the answers until their reader clears them; `refused` says why,
    by filter, and `limited` which were granted with less than was asked for.
    """

    def __init__(
        self,
        qos: int,
        with_identifiers: Sequence[Subscription],
        without: Sequence[str],
        stale: Iterable[str] = (),
        overlapping: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._qos = qos
        self._with_identifiers = with_identifiers
        self._without = without
        self._stale = list(stale)
        self._overlapping = overlapping
        self.v5 = self.identified = False
        self._asked: dict[int, list[str]] = {}
        self._retry_at = 0.0
        self.granted: list[str] = []
        self.gone: list[str] = []
        self.refused: dict[str, str] = {}
        self.limited: dict[str, str] = {}

    def ask_for_all(self, client: Client, *, v5: bool, identified: bool) -> None:
        """Subscribe to all filters: a session does not prove that its filters are there."""
        self.v5, self.identified = v5, identified
        self._asked.clear()
        self.refused, self.limited = {}, {}
        self._ask_for(client, None)
        if not identified:
            self._warn_of_overlaps()
        if self._stale:
            client.unsubscribe(self._stale)

    def go_on(self, client: Client, before: "Subscriptions") -> None:
        """Ask, on a connection that has the filters of `before`, for what is new in these."""
        self.v5, self.identified = before.v5, before.identified
        wanted = set(self.filters())
        self.refused = {text: why for text, why in before.refused.items() if text in wanted}
        self.limited = {text: why for text, why in before.limited.items() if text in wanted}
        # What was refused is asked for again: an access list may have changed as well.
        self._ask_for(client, (wanted - set(before.filters())) | set(self.refused))
        if self._stale:
            client.unsubscribe(self._stale)

    def filters(self) -> Iterable[str]:
        """What is asked of this broker."""
        return (one.filter for one in self._with_identifiers) if self.identified else self._without

    def retry_refused(self, client: Client, now: float) -> None:
        """Ask again for what was refused, now and then: an access list may have changed."""
        if self.refused and now >= self._retry_at:
            self._retry_at = now + _RETRY_REFUSED_S
            self._ask_for(client, set(self.refused))

    def _warn_of_overlaps(self) -> None:
        """Say once which filters may bring a message twice when copies carry no identifier."""
        for one, other in self._overlapping:
            _log.warning(
                "%s and %s overlap: a broker that sends a copy for each gives records twice",
                one,
                other,
            )
        self._overlapping = ()

    def _ask_for(self, client: Client, only: set[str] | None) -> None:
        if self.identified:
            for text, identifier in self._with_identifiers:
                if only is None or text in only:
                    self._ask(client, [text], _identified_by(identifier))
            return
        wanted = [text for text in self._without if only is None or text in only]
        for at in range(0, len(wanted), _FILTERS_PER_PACKET):
            self._ask(client, wanted[at : at + _FILTERS_PER_PACKET], None)

    def _ask(self, client: Client, filters: list[str], properties: Properties | None) -> None:
        topics: list[Any]
        if self.v5:
            # Retain handling 1: no retained copy again on a filter that the session has.
            topics = [(text, SubscribeOptions(qos=self._qos, retainHandling=1)) for text in filters]
        else:
            topics = [(text, self._qos) for text in filters]
        _, packet_id = client.subscribe(topics, properties=properties)
        if packet_id is not None:
            self._asked[packet_id] = filters

    def on_subscribe(
        self, _client: Client, _userdata: Any, packet_id: int, reasons: list[ReasonCode], _p: Any
    ) -> None:
        """Take the broker's answer to one packet of filters."""
        filters = self._asked.pop(packet_id, [])
        for text, reason in zip(filters, reasons, strict=False):
            if not reason.is_failure:
                self.refused.pop(text, None)
                self.granted.append(text)
                if reason.value < self._qos:
                    _log.warning("the broker granted %s with QoS 0: nothing is protected", text)
                    self.limited[text] = "granted with QoS 0 only: its messages are unprotected"
                continue
            if text not in self.refused:
                _log.error("the broker refused the filter %s: %s", text, reason)
            self.refused[text] = str(reason)
            self.gone.append(text)
            self._retry_at = time.monotonic() + _RETRY_REFUSED_S

    def on_unsubscribe(
        self, _client: Client, _userdata: Any, _packet_id: int, _reasons: Any, _properties: Any
    ) -> None:
        """Take the broker's word that stale filters are gone."""
        self.gone += self._stale
        self._stale = []


def _identified_by(identifier: int) -> Properties:
    properties: Any = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
    properties.SubscriptionIdentifier = identifier
    return properties  # type: ignore[no-any-return]
