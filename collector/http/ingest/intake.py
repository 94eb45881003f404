"""The loop from a request to its answer: map, commit, answer. A thread of its own.

The order of its steps is the promise, as that of the intake from the broker: nothing is answered
as stored before `Spool.append` has returned. Requests that come while a commit is made, or shortly
after one, share the next.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from collector.config import Http
from collector.errors import SpoolError, SpoolFullError
from collector.http.ingest.answers import Answers
from collector.http.ingest.requests import Requests
from collector.http.ingest.submission import Outcome, Submission
from collector.http.ingest.target import Target, find, targets_of
from collector.http.refused import RefusedError, unavailable
from collector.plan import Plan
from collector.spool import Spool

_log = logging.getLogger(__name__)

_WAIT_S: Final = 1.0


class HttpIntake(threading.Thread):
    """Takes submissions from the loop of a server and stores them; `change` comes before `start`.

    `paused` says why nothing could be stored at the last try, or is empty.
    """

    def __init__(self, spool: Spool) -> None:
        super().__init__(name="http intake", daemon=True)
        self._spool = spool
        self._answers = Answers(spool)
        self._targets: Mapping[str, Target] = {}
        self._interval_s = 0.0
        self._commit_max_bytes = 0
        self._inbox: deque[Submission] = deque()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._commit_at = 0.0
        self.paused = ""
        self.gateway = ""
        self.beat = time.monotonic()

    def change(self, plan: Plan, options: Http) -> None:
        """Go on by another plan: the next commit meets it. Called by the thread that reloads."""
        self.gateway = plan.config.gateway
        self._interval_s = options.commit_interval
        self._commit_max_bytes = plan.config.spool.commit_max_bytes
        self._targets = targets_of(plan, self._spool)

    # -- the loop of a server ------------------------------------------------------------------

    def submit(self, submission: Submission) -> None:
        """Hand over a request; its `settled` is resolved when it is stored, or refused."""
        self._inbox.append(submission)
        # Cheaper than to set it again; it is cleared before the inbox is emptied.
        if not self._arrived.is_set():
            self._arrived.set()

    @property
    def targets(self) -> Mapping[str, Target]:
        """The stations that requests may name; what they have brought is the intake's alone."""
        return self._targets

    def find(self, station: str) -> Target:
        """Return the target of a name; raises RefusedError."""
        return find(self._targets, station)

    @property
    def waiting(self) -> int:
        """Return how many requests wait for a commit."""
        return len(self._inbox)

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Store what comes until told to end; what is there by then is stored as well."""
        while not (self._stopping.is_set() and not self._inbox):
            self.beat = time.monotonic()
            if not self._arrived.wait(_WAIT_S):
                self._look_for_room()
                continue
            self._stopping.wait(max(0.0, self._commit_at - time.monotonic()))
            self._arrived.clear()
            if submissions := self._take():
                self._store(submissions)

    def stop(self) -> None:
        """Ask the loop to end when it has stored what it has."""
        self._stopping.set()
        self._arrived.set()

    def _take(self) -> list[Submission]:
        """Return what the next commit is to hold."""
        taken: list[Submission] = []
        size = 0
        while self._inbox and size < self._commit_max_bytes:
            taken.append(self._inbox.popleft())
            size += taken[-1].size_bytes
        if self._inbox:
            self._arrived.set()
        return taken

    def _store(self, submissions: list[Submission]) -> None:
        """Map, commit, answer: each only when the step before it went well."""
        requests = Requests(self._targets, self._answers)
        try:
            for submission in submissions:
                requests.add(submission)
            if (group := requests.group()) is not None:
                self._spool.append(group)
        except SpoolError as error:
            requests.clear()
            several = _by_station(submissions) if isinstance(error, SpoolFullError) else []
            if len(several) > 1:
                # One that has no room, or falls to a rule, is not to keep the others out.
                for some in several:
                    self._store(some)
                return
            outcomes = self._fail(submissions, requests, error)
        else:
            outcomes = requests.outcomes()
            if group is not None and group.batches:
                self._note_room()
        requests.clear()
        self._commit_at = time.monotonic() + self._interval_s
        _settle(outcomes)

    def _fail(
        self, submissions: list[Submission], requests: Requests, error: SpoolError
    ) -> list[tuple[Submission, Outcome]]:
        if not self.paused:
            _log.error("requests can't be stored and are refused: %s", error)
        self.paused = str(error)
        return requests.failed(submissions, unavailable(str(error)))

    def _look_for_room(self) -> None:
        """See whether requests could be stored again, when none comes that would tell."""
        if self.paused and not self._spool.failure:
            with contextlib.suppress(SpoolError):
                self._spool.room.check()
                self._note_room()

    def _note_room(self) -> None:
        if self.paused:
            _log.info("requests are stored again")
        self.paused = ""


def _by_station(submissions: Iterable[Submission]) -> list[list[Submission]]:
    sorted_out: dict[str, list[Submission]] = {}
    for submission in submissions:
        sorted_out.setdefault(submission.station, []).append(submission)
    return list(sorted_out.values())


def _settle(outcomes: Iterable[tuple[Submission, Outcome]]) -> None:
    """Wake the loop of a server once for all that were decided together."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Submission, Outcome]]] = {}
    for submission, outcome in outcomes:
        by_loop.setdefault(submission.settled.get_loop(), []).append((submission, outcome))
    for loop, decided in by_loop.items():
        # A server that was stopped meanwhile has no clients any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, decided)


def _resolve(decided: Iterable[tuple[Submission, Outcome]]) -> None:
    for submission, outcome in decided:
        if submission.settled.done():
            continue  # The client is gone.
        if isinstance(outcome, RefusedError):
            submission.settled.set_exception(outcome)
        else:
            submission.settled.set_result(outcome)
