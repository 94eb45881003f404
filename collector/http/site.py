"""All of the station over HTTP, put together around one spool."""

import logging
from collections.abc import Callable
from typing import Any, Final

from collector.config import Http
from collector.config.contents import contents_hash
from collector.http.app import Endpoints, make_app
from collector.http.flush import Flush
from collector.http.ingest.endpoint import Ingest
from collector.http.ingest.intake import HttpIntake
from collector.http.page import Live, PageApp
from collector.http.serving.body import Bodies
from collector.http.serving.connections import places_of
from collector.http.serving.counts import Counts
from collector.http.serving.guard import Guard
from collector.http.serving.web import WebServer
from collector.http.vitals import VitalSigns
from collector.http.waiting import Waiters
from collector.plan import Plan
from collector.spool import Spool
from collector.spool.reader import SpoolReader

_log = logging.getLogger(__name__)

_INTAKE_STOP_S: Final = 5.0
_REFUSED: Final = 400


class Site:
    """Serves from the first `serve` to `close`; used by the main thread.

    The intake, the server and what the page remembers live as long; the app as long as its options.
    """

    def __init__(
        self, spool: Spool, options: Http, signs: VitalSigns, look: Callable[[], dict[str, Any]]
    ) -> None:
        self._spool = spool
        self._signs = signs
        self._look = look
        self._reader = SpoolReader(spool.path)
        self._counts = Counts()
        self._server = WebServer(self._counts)
        self._served: object = None
        self._options = options
        self._bodies = Bodies(options)
        self._page: PageApp | None = None
        self.live = Live(spool.path)
        self.intake = HttpIntake(spool)

    def serve(self, plan: Plan, options: Http) -> None:
        """Take requests by this plan; what was asked before is answered as it was asked.

        Nobody is let go when neither an option nor the contents of a file is another.
        """
        self.intake.change(plan, options)
        if not self.intake.is_alive():
            self.intake.start()
            logging.getLogger("collector").addHandler(self.live.events)
        files = options.cert_file, options.key_file, options.client_ca_file
        # First: a file that changes from here on is seen by the next reload.
        wanted = (options, *map(contents_hash, files))
        if wanted == self._served and self._server.is_running:
            return
        self._options, self._served = options, wanted
        self._bodies.change(options)
        places = places_of(options.connections_max)
        page = PageApp(self.live, places)
        before, self._page = self._page, page
        self._server.serve(options, self._guarded(options, page, places))
        if before is not None:
            before.is_over = True

    def close(self) -> None:
        """End the server first: what was taken is stored, and its client hears so."""
        self._server.stop()
        logging.getLogger("collector").removeHandler(self.live.events)
        self.intake.stop()
        self.intake.join(_INTAKE_STOP_S)
        self._reader.close()

    def figures(self) -> dict[str, Any]:
        """Return what was asked and what became of it."""
        counts, options = self._counts, self._options
        requests = self.by_route()
        refused = sum(count for (_, _, status), count in requests.items() if status >= _REFUSED)
        return {
            "listen": options.listen,
            "problem": self._server.problem,
            "is_listening": self._server.is_listening,
            "paused": self.intake.paused,
            "requests": sum(requests.values()),
            "refused": refused,
            "waiting": self.intake.waiting,
            "held": self._bodies.held,
            "held_max": options.inbox_max_bytes,
            "connections": counts.connections,
            "connections_max": options.connections_max,
            "cut_off": counts.cut_off,
            "turned_away": counts.turned_away,
            "awaiting": counts.awaiting,
            "not_awaited": counts.not_awaited,
            "wrong_tokens": counts.wrong_tokens,
        }

    def by_route(self) -> dict[tuple[str, str, int], int]:
        """Return how many requests were answered: method, route and status → number."""
        return dict(self._counts.requests)

    def _guarded(self, options: Http, page: PageApp, places: int) -> Guard:
        waiters = Waiters(places, self._counts)
        app = make_app(
            Endpoints(
                self.intake,
                Ingest(self.intake, self._spool, self._bodies, waiters, options),
                Flush(self.intake, self._spool, self._reader, waiters, options),
                page,
                self._signs,
                self._look,
            )
        )
        token = options.token.get_secret_value() if options.token else ""
        has_certificates = options.client_ca_file is not None
        return Guard(app, token, self._counts, has_client_certificates=has_certificates)
