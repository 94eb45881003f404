"""kill -9 under load, mixed with stream ends and restarts of the broker: nothing is lost.

Goal: the promise of `docs/architecture.md` after any death of the process. Method: a publisher
keeps the ids that the broker has PUBACKed; the local Zerobus appends what it acknowledged to a log.
Rounds of random length end with kill -9 of the daemon; in between streams are aborted and the
broker is restarted. Afterwards the daemon is left alone to drain, and the two sides are compared.

A harness that can't fail proves nothing: the same rounds with a daemon that PUBACKs before its
commit, and with one that honours the acknowledgments of a closed stream, must find a loss.
"""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass

import pytest
from support.line import ROOT, Line, reading
from support.waiting import wait_for

RATE = 2_000
COMMIT_INTERVAL_S = 0.1
WRONG = ROOT / "tests" / "support" / "wrong.py"


@dataclass
class Outcome:
    published: int
    lost: set
    unknown: set
    changed: set
    duplicates: int
    bound: int


class Load(threading.Thread):
    """Publishes without end, a second's worth at a time, to both stations."""

    def __init__(self, publisher):
        super().__init__(daemon=True)
        self.publisher = publisher
        self.sent = 0
        self.error = None
        self._over = threading.Event()

    def run(self):
        numbers = itertools.count()
        try:
            while not self._over.is_set():
                group = [next(numbers) for _ in range(RATE // 5)]
                self.sent = group[-1] + 1
                stations = ("station_one", "station_two")
                messages = [reading(n, stations[n % 2]) for n in group]
                self.publisher.publish(messages, deadline_s=60, rate=RATE)
        except AssertionError as error:
            self.error = error

    def stop(self):
        self._over.set()
        self.join(90)
        assert self.error is None, self.error


def run_rounds(line, rounds, seed, *, restarts=True, ends=True):
    """Kill the daemon `rounds` times under load and compare what came out with what went in.

    `ends`: streams are aborted and the local Zerobus is killed as well; `restarts`: the broker is
    restarted.
    """
    dice = random.Random(seed)
    load = Load(line.publisher())
    load.start()
    stream_ends = broker_restarts = 0
    for number in range(rounds):
        if ends and number % 3 == 1:
            fault = {"fault": "abort", "after": dice.randint(1, 20), "count": dice.randint(1, 3)}
            line.zerobus.faults({"faults": [fault]})
            stream_ends += 3
        time.sleep(dice.uniform(0.05, 0.8))
        if ends and number % 5 == 3:
            line.zerobus.kill()
            line.zerobus.start()
            stream_ends += 2
        if restarts and number % 8 == 5:
            line.broker.restart(signal.SIGTERM)
            broker_restarts += 1
        line.daemon.kill()
        if dice.random() < 0.8:
            line.start_daemon()
        else:
            line.daemon.start()  # The next kill may meet it while it starts.
            time.sleep(dice.uniform(0.0, 0.4))
    # Sent and not acknowledged, acknowledged and not deleted (up to a second), unacknowledged at
    # the broker; each at the rate of the load, while a backlog drains a multiple of it.
    return compare(line, load, (rounds + 1 + stream_ends + broker_restarts) * 3 * RATE)


def compare(line, load, bound):
    """End the load, let the line come to rest, and hold what came out against what went in."""
    load.stop()
    line.zerobus.faults(None)
    wait_for(line.is_connected, "the daemon to connect", 60)
    published = set(load.publisher.acknowledged)
    settle(line)
    rows = line.zerobus.rows()
    delivered = Counter(row["humidity"] for row in rows)
    changed = {
        row["humidity"]
        for row in rows
        if (row["temp"], row["device_name"]) != (row["humidity"] % 40, f"d{row['humidity'] % 7}")
    }
    return Outcome(
        published=len(published),
        lost=published - set(delivered),
        unknown=set(delivered) - set(range(load.sent)),
        changed=changed,
        duplicates=sum(delivered.values()) - len(delivered),
        bound=bound + len(load.publisher.again),
    )


def settle(line):
    """Wait until nothing comes from the broker any more and the spool is empty."""
    quiet = {"since": time.monotonic(), "received": -1}

    def is_quiet():
        counters = line.counters()
        received = counters.get(("", "received"), 0)
        if received != quiet["received"] or line.spooled():
            quiet.update(since=time.monotonic(), received=received)
        return time.monotonic() - quiet["since"] > 3

    wait_for(is_quiet, "the line to come to rest", 180, 0.3)


def check(line, rounds, seed):
    outcome = run_rounds(line, rounds, seed)
    print(
        f"{rounds} rounds, seed {seed}: {outcome.published} published, {outcome.duplicates} twice"
    )
    sessions = line.daemon.log.read_text().count("session new")
    assert sessions == 1, "the broker lost its session: this run says nothing of the collector"
    assert outcome.lost == set(), f"lost {len(outcome.lost)} of {outcome.published}"
    assert outcome.unknown == set()
    assert outcome.changed == set()
    # The bound of the promise allows a second of traffic per kill, and kills come that often.
    assert outcome.duplicates <= min(outcome.bound, outcome.published / 2)
    assert line.dead_letters() == []
    assert not [name for _, name in line.counters() if name.startswith("ignored:")]
    line.check_balances()


def seed():
    return int(os.environ.get("KILL_SEED") or random.randrange(1 << 30))


def test_forty_kills_lose_nothing(line_folder):
    with Line(line_folder) as line:
        check(line, 40, seed())


@pytest.mark.long
def test_two_hundred_kills_lose_nothing(line_folder):
    with Line(line_folder) as line:
        check(line, 200, seed())


def test_the_harness_finds_a_puback_before_the_commit(line_folder):
    with Line(line_folder, main=(WRONG, "acknowledges-first")) as line:
        outcome = run_rounds(line, 8, 1, restarts=False, ends=False)
        assert outcome.lost


def test_the_harness_finds_an_old_streams_acknowledgment_that_is_honoured(line_folder):
    """A long stream is followed by a short one: all offsets of the second were acknowledged on the
    first, and what the local Zerobus had not committed when it was killed is lost."""
    program = (WRONG, "honours-old-streams")
    with Line(line_folder, main=program, emulator=("--commit-interval", "1")) as line:
        load = Load(line.publisher())
        load.start()
        for life_s in (4.0, 1.5, 4.0, 1.5, 4.0, 1.5):
            opened = streams_opened(line)
            wait_for(lambda seen=opened: streams_opened(line) > seen or not seen, "a stream", 60)
            time.sleep(life_s)
            line.zerobus.kill()
            line.zerobus.start()
        assert compare(line, load, 0).lost


def streams_opened(line):
    return sum(table.get("streams_opened", 0) for table in line.status()["tables"].values())
