"""A discovery from what was heard to the folder for review, in the order of its steps.

Recognise, group, draft, write, prove; weaken what did not fit, and write again until all fits or
what does not is named.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from collector.discover import yaml_text
from collector.discover.adopting import adopted
from collector.discover.drafts import Draft, draft, names_of
from collector.discover.forms import recognise
from collector.discover.grouping import Group, group
from collector.discover.heard import Heard
from collector.discover.limits import EVIDENCE_MAX, ROUNDS_MAX, STATIONS_MAX
from collector.discover.overlaps import part
from collector.discover.proof import Proof, compiled, prove, weaken
from collector.discover.samples_text import drop_bad_samples, write_samples
from collector.discover.writing import unseen, write
from collector.errors import ConfigError
from collector.plan import Plan


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Topics that get no station, and why."""

    topics: tuple[str, ...]
    messages: int
    reason: str


@dataclass(slots=True)
class Report:
    """What came of a discovery: drafts, what became of the messages, and what was not written.

    `with_rows` are the messages that give rows in any of the stations.
    """

    drafts: list[Draft] = field(default_factory=list)
    proofs: dict[str, Proof] = field(default_factory=dict)
    unwritten: list[Unwritten] = field(default_factory=list)
    with_rows: int = 0

    def leave(self, group: Group, reason: str) -> None:
        """Note that a group gets no station, together with others of the same reason."""
        topics, messages = tuple(topic.name for topic in group.topics), group.messages
        for place, one in enumerate(self.unwritten):
            if one.reason == reason:
                topics, messages = one.topics + topics, one.messages + messages
                self.unwritten[place] = Unwritten(topics, messages, reason)
                return
        self.unwritten.append(Unwritten(topics, messages, reason))


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to and what for: the folder, the catalog and schema of tables, the broker's section.

    `known` are filters that are collected already, with the topics that they took; `during` says
    how long was listened.
    """

    folder: Path
    schema: str
    mqtt: tuple[str, ...]
    during: str
    known: tuple[tuple[str, list[str]], ...] = ()


def discover(heard: Heard, aim: Aim) -> Report:
    """Write the folder; nothing is written when nothing was recognised."""
    report = Report()
    _draft(heard, aim, report)
    if not report.drafts:
        return report
    with suppress(_NothingLeftError), unseen(aim.folder) as folder:
        found = _settle(folder, aim, report)
        write_samples(folder, found, report.drafts)
        drop_bad_samples(compiled(folder, dict(os.environ)))
    return report


class _NothingLeftError(Exception):
    """None of the drafts can be compiled: there is nothing to write."""


def _draft(heard: Heard, aim: Aim, report: Report) -> None:
    forms = [
        (topic, recognise(topic.name, [kept.message.payload for kept in topic.kept]))
        for topic in heard.topics.values()
        if topic.kept
    ]
    for one in part(group(adopted(forms)), aim.known):
        if not one.form.format:
            report.leave(one, one.form.evidence)
        elif len(report.drafts) >= STATIONS_MAX:
            reason = f"more than {STATIONS_MAX} stations: listen to fewer topics with --topic"
            report.leave(one, reason)
        else:
            drafts = draft(one, aim.schema, names_of(report.drafts))
            report.drafts += [each for each in drafts if each.layout.columns]


def _settle(folder: Path, aim: Aim, report: Report) -> Plan:
    """Write, prove and weaken, until what was heard fits or nothing weaker is left."""
    for _ in range(ROUNDS_MAX):
        found = _written(folder, aim, report)
        report.proofs, report.with_rows = prove(found, report.drafts)
        if not weaken(report.drafts, report.proofs):
            return found
    found = _written(folder, aim, report)
    report.proofs, report.with_rows = prove(found, report.drafts)
    return found


def _written(folder: Path, aim: Aim, report: Report) -> Plan:
    """Write the drafts and compile them; a draft that can't be compiled is left out and named."""
    while True:
        end = _end(report.unwritten)
        write(folder, aim.folder.name, report.drafts, aim.mqtt, aim.during, end)
        try:
            return compiled(folder, dict(os.environ))
        except ConfigError as error:
            bad = {one.name: text for one in report.drafts if (text := _said_of(one, error))}
            if not bad:
                raise
            for one in [each for each in report.drafts if each.name in bad]:
                report.drafts.remove(one)
                report.leave(one.group, bad[one.name])
            if not report.drafts:
                raise _NothingLeftError from error


def _said_of(one: Draft, error: ConfigError) -> str:
    """What is wrong with a draft."""
    for problem in error.problems:
        key = f"stations.{one.name}"
        if problem.key == key or problem.key.startswith(f"{key}."):
            return problem.text
        if problem.file.parent.name == one.name:
            return problem.text
    return ""


def _end(unwritten: Sequence[Unwritten]) -> str:
    """What was heard and is no station, as comments."""
    lines = [
        yaml_text.comment(
            f"Not written: {one.topics[0]}{' and others' if len(one.topics) > 1 else ''},"
            f" {one.messages:,} messages: {one.reason}",
            3 * EVIDENCE_MAX,
        )
        for one in unwritten
    ]
    return "".join(f"{line}\n" for line in lines)
