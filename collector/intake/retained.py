"""Which retained copies are stored already (decision 7).

Under MQTT 3.1.1 every SUBSCRIBE brings the retained copies again. One that equals the last copy
stored for its topic is known; what a failed commit was to store is not.
"""

import hashlib

from collector.spool import RETAINED_MAX


class Retained:
    """The hashes of the last copies: those that are stored, and `fresh` for the next commit."""

    def __init__(self, stored: dict[bytes, bytes]) -> None:
        self._stored = stored
        self.fresh: dict[bytes, bytes] = {}

    def is_known(self, topic: bytes, payload: bytes) -> bool:
        """Say whether this copy is stored, or will be by the next commit; notes it if not."""
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        last = self.fresh.get(topic) or self._stored.get(topic)
        if last == digest:
            return True
        self.fresh[topic] = digest
        return False

    def stored(self) -> None:
        """Note that the commit went through; the oldest copies make room."""
        for topic, digest in self.fresh.items():
            self._stored.pop(topic, None)
            self._stored[topic] = digest
        while len(self._stored) > RETAINED_MAX:
            del self._stored[next(iter(self._stored))]
        self.fresh = {}

    def give_back(self) -> None:
        """Forget what was to be stored: the broker delivers it again, and then it is not known."""
        self.fresh = {}
