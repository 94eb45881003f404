"""What a birth said of its metrics: names and types by alias, kept for the messages after it.

An entry of the memory is `GROUP/NODE` or `GROUP/NODE/DEVICE` and holds the last birth and the one
before, because a message that the broker sends again may be older than the last. Aliases are unique
in a node with all its devices, and an NBIRTH begins a session anew: until the DBIRTH of a device
comes again, what its former one said does not count.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from collector.formats.shared.memory import ENTRIES_MAX, Memory

ENTRY_BYTES_MAX: Final = 4 * 1024 * 1024
"""A larger entry keeps the last birth alone."""

Declared = tuple[str, int | None]
"""The name of a metric, and its type."""


class Birth(NamedTuple):
    """A birth: its time in milliseconds, the session of its node, and what it declares.

    An alias that it gives to two metrics is None: it says nothing.
    """

    time: int | None
    session: str | None
    aliases: dict[int, Declared | None]
    types: dict[str, int | None]


class Births:
    """The births of all nodes and devices, in a memory."""

    def __init__(self, memory: Memory[str]) -> None:
        self._memory = memory
        # What was read of the bytes in the memory, as long as they are the same object.
        self._read: dict[str, tuple[bytes, list[Birth]]] = {}

    def note(
        self,
        node: str,
        device: str | None,
        time: int | None,
        metrics: Iterable[tuple[str, int | None, int | None]],
        *,
        dup: bool,
        lasting: bool = False,
    ) -> None:
        """Keep what a birth declares: name, alias and type of each metric.

        `lasting` is for a birth that does not come again when a commit fails.
        """
        declared = [list(one) for one in metrics]
        key = node if device is None else f"{node}/{device}"
        known = self._raw(key)
        if device is None:
            session: str | None = str(time)
        else:
            current = self._pick(self._births(node), time, dup=dup)
            session = current.session if current else None
        fresh = [time, session, declared]
        if known and known[0] == fresh:
            return
        is_older = (
            dup and known and time is not None and known[0][0] is not None and time < known[0][0]
        )
        kept = [known[0], fresh] if is_older else [fresh, *known[:1]]
        raw = _encoded(kept)
        self._memory.set(
            key, raw if len(raw) <= ENTRY_BYTES_MAX else _encoded(kept[:1]), lasting=lasting
        )

    def find(self, node: str, device: str | None, time: int | None, *, dup: bool) -> Birth | None:
        """The birth by which a message of that time is to be read."""
        of_node = self._pick(self._births(node), time, dup=dup)
        if device is None:
            return of_node
        found = self._pick(self._births(f"{node}/{device}"), time, dup=dup)
        session = of_node.session if of_node else None
        return found if found and found.session == session else None

    def _pick(self, births: list[Birth], time: int | None, *, dup: bool) -> Birth | None:
        """The birth of a message, which with `dup` may be older than the last.

        The first birth that is known also stands for what came before it: a node that is asked for
        its birth says what it said before.
        """
        if len(births) < 2 or not dup or time is None:
            return births[0] if births else None
        return next((one for one in births if one.time is None or one.time <= time), None)

    def _raw(self, key: str) -> list[Any]:
        raw = self._memory.get(key)
        return json.loads(raw) if raw else []

    def _births(self, key: str) -> list[Birth]:
        raw = self._memory.get(key)
        if raw is None:
            return []
        read = self._read.get(key)
        if read is None or read[0] is not raw:
            if len(self._read) >= ENTRIES_MAX:
                self._read.clear()
            read = self._read[key] = (raw, [_birth(*one) for one in json.loads(raw)])
        return read[1]


def _encoded(births: list[Any]) -> bytes:
    return json.dumps(births, ensure_ascii=False, separators=(",", ":")).encode()


def _birth(time: int | None, session: str | None, declared: list[list[Any]]) -> Birth:
    aliases: dict[int, Declared | None] = {}
    types: dict[str, int | None] = {}
    for name, alias, datatype in declared:
        types[name] = datatype
        if alias is not None:
            one = (name, datatype)
            aliases[alias] = one if aliases.get(alias, one) == one else None
    return Birth(time, session, aliases, types)
