"""What was heard, mapped by what was written: how much of it gives rows, and why the rest does not.

A column that a message did not fit gets a weaker guess; what fits no guess is named.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from collector.config import load
from collector.discover.drafts import Draft
from collector.discover.heard import Kept, Topic
from collector.model import Fault
from collector.plan import Plan, plan
from collector.trying import made_of

REASONS_MAX: Final = 3
"""Reasons that are given for a station."""


@dataclass(slots=True)
class Proof:
    """What became of the messages of a station; `reasons` count those that gave a dead letter."""

    messages: int = 0
    with_rows: int = 0
    rows: int = 0
    without: int = 0
    dead: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Fault] = field(default_factory=dict)

    def take(self, rows: int, faults: Sequence[Fault]) -> None:
        """Note the outcome of a message."""
        self.messages += 1
        self.rows += rows
        self.with_rows += rows > 0
        self.dead += bool(faults)
        for fault in faults[:1]:
            self.reasons[f"{fault.kind}: {fault.reason}"] += 1
        for fault in faults:
            if fault.field:
                self.faults.setdefault(fault.field, fault)


def compiled(folder: Path, variables: dict[str, str]) -> Plan:
    """The configuration in a folder, compiled."""
    return plan(load(folder / "stations.yaml", variables))


def prove(found: Plan, drafts: Sequence[Draft]) -> tuple[dict[str, Proof], int]:
    """Map all that was kept; gives each station's proof by its name, and how much gave rows."""
    proofs = {one.name: Proof() for one in drafts}
    with_rows = 0
    for topic, kept in heard_by(drafts):
        got = list(outcomes(found, topic.name, kept))
        for name, rows, faults in got:
            proofs[name].take(len(rows), faults)
        with_rows += any(rows for _, rows, _ in got)
        # What one of several stations makes rows of is not missing in the others.
        if not any(rows or faults for _, rows, faults in got):
            for name, _, _ in got:
                proofs[name].without += 1
    return proofs, with_rows


def outcomes(
    found: Plan, topic: str, kept: Kept
) -> Iterator[tuple[str, list[dict[str, Any]], list[Fault]]]:
    """What each station makes of a message."""
    for offer in found.router.resolve(topic.encode(), ()).offers:
        mapping = found.mappings[offer.station]
        made = made_of(mapping, kept.message, offer.captures, kept.received_us)
        yield mapping.station, made.rows, made.faults


def heard_by(drafts: Sequence[Draft]) -> list[tuple[Topic, Kept]]:
    """The kept messages of all topics of the drafts, each once, in the order of their arrival."""
    topics = {topic.name: topic for one in drafts for topic in one.group.topics}
    found = [(topic, kept) for topic in topics.values() for kept in topic.kept]
    return sorted(found, key=lambda one: one[1].number)


def weaken(drafts: Sequence[Draft], proofs: dict[str, Proof]) -> bool:
    """Give columns that something did not fit a weaker guess; says whether there was one."""
    changed = False
    for one in drafts:
        faults = proofs[one.name].faults
        for place, column in enumerate(one.layout.columns):
            fault = faults.get(column.name)
            if fault is None:
                continue
            reason = fault.reason.removeprefix(f"{column.name}: ")
            weaker = column.weaker(fault.kind, reason)
            changed |= weaker != column
            one.layout.columns[place] = weaker
    return changed
