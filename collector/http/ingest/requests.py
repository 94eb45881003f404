"""What one commit of the HTTP intake will store: the records of many requests, mapped.

Unlike a message, a request has somebody who hears what is wrong with it: its bad records become
errors in the answer, not dead letters, and of a request that is refused nothing is kept.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus

from collector.errors import SpoolError
from collector.http.ingest.answers import Answers, check_same
from collector.http.ingest.misfits import Errors
from collector.http.ingest.part import Part, spread
from collector.http.ingest.submission import Outcome, Submission
from collector.http.ingest.target import Target, find
from collector.http.refused import RefusedError
from collector.model import Message
from collector.spool import Group
from collector.spool.watched import Watch

_log = logging.getLogger(__name__)


class Requests:
    """The requests of one commit, mapped one after the other."""

    def __init__(self, targets: Mapping[str, Target], answers: Answers) -> None:
        self._targets = targets
        self._answers = answers
        self._parts: dict[str, list[Part]] = {}
        self._by_key: dict[bytes, Part] = {}
        self._repeats: list[tuple[Submission, Part]] = []
        self._answered: list[tuple[Submission, Outcome]] = []
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, submission: Submission) -> None:
        """Map a request; or note how it is refused, or that it came before.

        Raises:
            SpoolError: no number could be reserved; nothing of the group can be stored.
        """
        try:
            if submission.key and self._came_before(submission):
                return
            self._take(submission)
        except RefusedError as refused:
            self._answered.append((submission, refused))

    def group(self) -> Group | None:
        """Return what the commit is to store; None when there is nothing."""
        if not self._counts:
            return None
        group = Group(counts=self._counts, may_be_thinned=False)
        for name, parts in self._parts.items():
            target = self._targets[name]
            batches = target.records.batches(parts[0].submission.received_us) if parts else []
            group.watches |= spread(parts, batches)
            if any(part.submission.watched for part in parts):
                group.awaited.add(target.station.table)
            group.batches += batches
            group.answers += [self._answers.of(part) for part in parts if part.submission.key]
            target.records.count(group.counts)
        return group

    def outcomes(self) -> list[tuple[Submission, Outcome]]:
        """Return what every request is told, when its commit was made."""
        first: list[tuple[Submission, Outcome]] = []
        for part in (part for parts in self._parts.values() for part in parts):
            first.append((part.submission, part.stored()))
            if part.submission.key:
                self._answers.remember(part)
        again = [(one, replace(part.stored(), repeated=True)) for one, part in self._repeats]
        return [*self._answered, *first, *again]

    def failed(
        self, submissions: Iterable[Submission], refused: RefusedError
    ) -> list[tuple[Submission, Outcome]]:
        """Return what every request is told, when there was no commit."""
        answered = {id(one): outcome for one, outcome in self._answered}
        return [(one, answered.get(id(one), refused)) for one in submissions]

    def clear(self) -> None:
        """Forget what was mapped: it is stored, or its clients are told that it is not."""
        for name in self._parts:
            self._targets[name].records.clear()

    def _came_before(self, submission: Submission) -> bool:
        """Whether a request of this key is in the group, or was answered within the window."""
        if (part := self._by_key.get(submission.key)) is not None:
            check_same(submission, part.submission.body)
            self._repeats.append((submission, part))
            return True
        if (stored := self._answers.known(submission)) is not None:
            self._answered.append((submission, stored))
            return True
        return False

    def _take(self, submission: Submission) -> None:
        target = find(self._targets, submission.station)
        topic, captures = target.place(submission.topic)
        parts = self._parts.setdefault(submission.station, [])
        records = target.records
        start, counted = len(records.records), records.mapping.counted
        try:
            errors = self._map(submission, target, topic, captures)
            count = len(records.records) - start
            _check(submission, target, errors, count)
        except RefusedError:
            del records.records[start:]
            records.mapping.counted = counted
            raise
        self._counts["", "received"] += 1
        self._counts["", "received_http"] += 1
        self._counts["", "recorded" if count else "ignored:no_rows"] += 1
        records.messages += count > 0
        records.without_rows += not count
        watch = Watch(count) if submission.watched or submission.key else None
        part = Part(submission, target, count, errors, watch)
        parts.append(part)
        if submission.key:
            self._by_key[submission.key] = part

    def _map(
        self, submission: Submission, target: Target, topic: str, captures: dict[str, str]
    ) -> Errors:
        """Append the records of a request to those of its station; returns what is wrong."""
        station, records = target.records, target.records.records
        encode, raw_topic = station.mapping.encode, topic.encode()
        errors = Errors()
        for line, payload in enumerate(submission.payloads):
            mark = len(records)
            message = Message(raw_topic, payload)
            try:
                faults = encode(
                    message, captures, topic, submission.received_us, station.next_seq, records
                )
            except SpoolError:
                raise
            except Exception:  # noqa: BLE001 - decision 12: one bug must not end the collector.
                _log.exception("a request for %s can't be mapped", submission.station)
                raise _internal() from None
            if len(records) > mark:
                faults = [*faults, *target.too_large(mark, faults)]
            if faults:
                errors.add(faults, line if submission.is_lines else None)
        return errors


def _check(submission: Submission, target: Target, errors: Errors, count: int) -> None:
    """Raise RefusedError for a request that is not to be stored."""
    if errors and not (submission.partial and count):
        raise _bad(errors, submission)
    if not count and not target.may_give_nothing(submission.payloads):
        raise _no_record(target)


def _no_record(target: Target) -> RefusedError:
    each = target.station.each
    where = f" `each: {each}` finds nothing in it: is a key misspelt?" if each else ""
    return RefusedError(
        HTTPStatus.BAD_REQUEST, "the body gives no record", f"Nothing of it is stored.{where}"
    )


def _bad(errors: Errors, submission: Submission) -> RefusedError:
    first = errors.told[0]
    at = "" if first["position"] is None else f"record {first['position']}: "
    more = f" (and {errors.count - 1:,} more)" if errors.count > 1 else ""
    is_mixed = first["position"] is not None and not submission.partial
    hint = " `?partial=true` takes the records that are right."
    return RefusedError(
        HTTPStatus.BAD_REQUEST,
        f"{at}{first['reason']}{more}",
        "Nothing of the request is stored." + (hint if is_mixed else ""),
        more={"errors": errors.told, "bad": errors.count},
    )


def _internal() -> RefusedError:
    return RefusedError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the collector failed to map this request; nothing of it is stored",
        "Its log says how.",
    )
