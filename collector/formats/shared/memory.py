"""What a format keeps from one message to the next.

A state that is ahead of the commit is forgotten when the commit fails, because the messages that
made it come again, and those before them are read by the older state. What a message of QoS 0 said
stays: it does not come again.
"""

from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar

ENTRIES_MAX: Final = 10_000
"""Beyond, the entry that was set least recently goes: topics are what others make of them."""


Key = TypeVar("Key", bound=Hashable)


class Memory(Generic[Key]):
    """Bytes by key: those that a commit has stored, and `fresh` for the next one.

    >>> memory = Memory()
    >>> memory.set("a", b"1")
    >>> memory.stored()
    >>> memory.set("a", b"2")
    >>> memory.give_back()
    >>> memory.get("a")
    b'1'
    """

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._stored: dict[Key, bytes] = {}
        self._lasting: set[Key] = set()
        self.fresh: dict[Key, bytes] = {}

    def restore(self, stored: Mapping[Key, bytes]) -> None:
        """Begin with what earlier commits stored, the oldest first."""
        self._stored = dict(stored)

    def get(self, key: Key) -> bytes | None:
        """Return what was set last."""
        found = self.fresh.get(key)
        return found if found is not None else self._stored.get(key)

    def set(self, key: Key, value: bytes, *, lasting: bool = False) -> None:
        """Keep a value; the next commit stores it. `lasting` keeps it when that commit fails."""
        if self.get(key) != value:
            self.fresh[key] = value
            (self._lasting.add if lasting else self._lasting.discard)(key)

    def stored(self) -> None:
        """Note that the commit went through."""
        for key, value in self.fresh.items():
            self._stored.pop(key, None)
            self._stored[key] = value
        while len(self._stored) > self._entries_max:
            del self._stored[next(iter(self._stored))]
        self.fresh = {}
        self._lasting.clear()

    def give_back(self) -> None:
        """Forget what was to be stored and comes again."""
        self.fresh = {key: value for key, value in self.fresh.items() if key in self._lasting}
