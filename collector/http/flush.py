"""`POST /flush/{station}`: waits until what is spooled is acknowledged, or says what is left."""

import asyncio
from http import HTTPStatus
from typing import Final

from collector.config import Http
from collector.http.asgi import Receive, Scope, Send, reply_json
from collector.http.ingest.intake import HttpIntake
from collector.http.query import Query
from collector.http.waiting import Waiters
from collector.spool import Spool
from collector.spool.backlog import Backlog
from collector.spool.reader import SpoolReader

FIRST_LOOK_S: Final = 0.05
LOOK_EVERY_S: Final = 1.0
_SLOWER: Final = 1.3


class Flush:
    """Answers the requests of one server; its reader is its own, so that nobody waits for it."""

    def __init__(
        self,
        intake: HttpIntake,
        spool: Spool,
        reader: SpoolReader,
        waiters: Waiters,
        options: Http,
    ) -> None:
        self._intake = intake
        self._spool = spool
        self._reader = reader
        self._waiters = waiters
        self._timeout_s = options.timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        station = self._intake.find(scope["path_params"]["station"]).station
        timeout_s = Query(scope["query_string"], ("timeout",)).duration("timeout", self._timeout_s)
        backlog = await asyncio.to_thread(
            Backlog, self._spool, self._reader, station.name, station.table
        )
        waited, why_not = await asyncio.to_thread(backlog.is_left), ""
        if waited:
            why_not = await self._waiters.wait(timeout_s, lambda: _gone(backlog), receive)
        left, undelivered = await asyncio.to_thread(_outcome, backlog) if waited else (0, 0)
        is_done = not left and not undelivered
        said = {
            "status": "flushed" if is_done else "pending" if left else "incomplete",
            "station": station.name,
            "table": station.table,
            "flushed": is_done,
            "left": left,
            "undelivered": undelivered,
            "message": _message(left, undelivered, why_not, waited=waited),
        }
        status = HTTPStatus.OK if is_done else HTTPStatus.ACCEPTED
        await reply_json(send, status, said)


def _outcome(backlog: Backlog) -> tuple[int, int]:
    left = backlog.left()
    return left, backlog.undelivered()


async def _gone(backlog: Backlog) -> None:
    # Deletes have no event, and acknowledgments come many in a second. Who waits for long is told a
    # little later, so that many who wait in an outage cost little.
    pause_s = FIRST_LOOK_S
    while await asyncio.to_thread(backlog.is_left):
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * _SLOWER, LOOK_EVERY_S)


def _message(left: int, undelivered: int, why_not: str, *, waited: bool) -> str:
    gone = (
        f"{undelivered:,} records of the table left meanwhile without being delivered: refused,"
        " expired, dropped or purged; `collector dead list` and `collector status` say more"
    )
    if left:
        waiting = f"{left:,} records are on this box's disk, and Zerobus has not acknowledged them"
        return "; ".join([waiting, *[gone] * bool(undelivered), *[why_not] * bool(why_not)])
    if undelivered:
        return gone
    if not waited:
        return "nothing was waiting"
    return "Zerobus has acknowledged all that was spooled before"
