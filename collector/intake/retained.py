"""Which retained copies are stored already (decision 7).

Under MQTT 3.1.1 every SUBSCRIBE brings the retained copies again. One that equals the last copy
stored for its topic is known; what a failed commit was to store is not.
"""

import hashlib

from collector.formats.shared.memory import Memory
from collector.spool import RETAINED_MAX


class Retained(Memory[bytes]):
    """The hashes of the last copies, by topic."""

    def __init__(self, stored: dict[bytes, bytes]) -> None:
        super().__init__(RETAINED_MAX)
        self.restore(stored)

    def is_known(self, topic: bytes, payload: bytes) -> bool:
        """Say whether this copy is stored, or will be by the next commit; notes it if not."""
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        if self.get(topic) == digest:
            return True
        self.set(topic, digest)
        return False
