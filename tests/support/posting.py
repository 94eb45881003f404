"""Clients over HTTP that know what they were promised, and what Zerobus had by then.

Each sends one request after the other, on a connection that is kept, to a station whose columns are
`id`, `text` and `seq`. One with an `Idempotency-Key` is sent until it is answered, and now and then
again; one without is sent once.
"""

import contextlib
import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

from support.client import JSON, NDJSON, Client

COLUMNS = "id BIGINT NOT NULL, text STRING, seq BIGINT"


def text_of(number):
    return f"text {number * 7_919}"


class Oracle:
    """What the emulator has acknowledged, read on from its log."""

    def __init__(self, path):
        self._path = path
        self._at = 0
        self._lock = threading.Lock()
        self.seqs = defaultdict(Counter)
        self.changed = set()

    def missing(self, ids):
        """Those of some ids that were not acknowledged by this moment."""
        self._read_on()
        return {one for one in ids if one not in self.seqs}

    def _read_on(self):
        with self._lock, contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                with contextlib.suppress(ValueError):  # A kill of the emulator cut it in two.
                    self._note(json.loads(line)["row"])

    def _note(self, row):
        self.seqs[row["id"]][row["seq"]] += 1
        if row["text"] != text_of(row["id"]):
            self.changed.add(row["id"])


@dataclass
class Request:
    station: str
    ids: list
    body: bytes
    content_type: str
    key: str


class Poster(threading.Thread):
    """`waits`: for Zerobus, each time. `promised` has, by id, the numbers that an answer gave:
    the first and the last of its request. `false` are ids of which 200 was said too early,
    `differing` keys that were answered with other numbers than before, `strange` answers of a kind
    that nobody asked for."""

    def __init__(self, port, oracle, numbers, stations, seed, *, waits):
        super().__init__(daemon=True)
        self._client, self._waits = Client(port), waits
        self._oracle, self._numbers = oracle, numbers
        self._stations = stations
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self._answered = deque(maxlen=50)
        self.offered, self.promised = set(), {}
        self.false, self.differing, self.strange = set(), set(), []
        # Both are there from the start, for others read it meanwhile.
        self.statuses = Counter({200: 0, 202: 0})
        self.repeated = 0

    def run(self):
        while not self._over.is_set():
            if self._answered and self._dice.random() < 0.1:
                request, before = self._dice.choice(self._answered)
                self._ask_again(request, before)
            else:
                self._ask(self._make())
        self._client.close()

    def end(self):
        self._over.set()

    def _make(self):
        count = self._dice.choice((1, 1, 1, 5, 50))
        ids = list(itertools.islice(self._numbers, count))
        self.offered.update(ids)
        records = [json.dumps({"id": one, "text": text_of(one)}) for one in ids]
        lines = self._dice.random() < 0.3
        body = "\n".join(records) if lines else f"[{', '.join(records)}]"
        return Request(
            self._dice.choice(self._stations), ids,
            (records[0] if count == 1 else body).encode(),
            NDJSON if lines else JSON,
            f"{ids[0]}" if self._dice.random() < 0.5 else "",
        )  # fmt: skip

    def _ask(self, request):
        deadline = time.monotonic() + 90
        answer = self._post(request)
        while answer is None and request.key and time.monotonic() < deadline:
            time.sleep(0.02)
            answer = self._post(request)
        if answer is None:
            if request.key:
                self.strange.append(f"no answer to {request.key}")
            return
        promise = answer["seq"], answer["last_seq"]
        self.promised.update(dict.fromkeys(request.ids, promise))
        if request.key:
            self._answered.append((request, promise))

    def _ask_again(self, request, before):
        answer = self._post(request)
        if answer is not None:
            self.repeated += 1
            if (answer["seq"], answer["last_seq"]) != before or not answer.get("repeated"):
                self.differing.add(request.key)

    def _post(self, request):
        """The answer to a request that is stored; None when there was none."""
        path = f"/ingest/{request.station}" + ("?wait_for_ack=true&timeout=3s" * self._waits)
        try:
            answer = self._client.post(
                path, request.body, request.content_type, Idempotency_Key=request.key
            )
        except (OSError, http.client.HTTPException):
            return None
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.false |= self._oracle.missing(request.ids)
        elif answer.status != 202:
            self.strange.append(answer.said)
            return None
        return answer.said
