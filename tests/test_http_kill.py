"""kill -9 under the load of many clients over HTTP: nothing that was answered is lost.

Goal: 202 and 200 are the promise of `docs/architecture.md` to clients. Method: clients keep what
they were answered; the local Zerobus appends what it acknowledged to a log, which is asked at each
200. Rounds of random length end with kill -9 of the daemon; in between streams are aborted and the
local Zerobus is killed. Afterwards the daemon is left alone to drain, and the sides are compared.
A record is known by its number: one that a resend brings twice has the same.

A harness that can't fail proves nothing: daemons that answer before their commit, that say 200 of
what was only sent, and that forget keys must be found.
"""

import itertools
import os
import random
import time
from collections import Counter
from dataclasses import dataclass

import pytest
from support.columns import schema_text
from support.line import ROOT, Line
from support.posting import COLUMNS, Oracle, Poster
from support.waiting import wait_for

CLIENTS = 6
WRONG = ROOT / "tests" / "support" / "wrong.py"
STATIONS = {
    name: {
        "table": f"main.iot.{name}",
        "columns": {"id": "/id", "text": "/text", "seq": "$seq"},
    }
    for name in ("doors", "meters")
}


@dataclass
class Outcome:
    promised: int
    lost: set
    unknown: set
    changed: set
    misnumbered: set
    stored_twice: set
    false: set
    differing: set
    strange: list
    sent_again: int
    too_often: set
    statuses: Counter
    repeated: int


def make_line(folder, *fault, **options):
    return Line(
        folder, stations=STATIONS, mqtt={"url": None}, http={},
        tables={name: schema_text(COLUMNS) for name in STATIONS},
        main=(WRONG, *fault) if fault else None, **options,
    )  # fmt: skip


def run_rounds(line, rounds, seed, *, wrong=False):
    """Kill the daemon `rounds` times under load and compare what came out with what was promised.

    Streams are aborted and the local Zerobus is killed as well; unless the daemon is `wrong`, which
    is killed when it has just answered.
    """
    dice = random.Random(seed)
    oracle, numbers = Oracle(line.zerobus.oracle), itertools.count()
    clients = [
        Poster(line.http_port, oracle, numbers, list(STATIONS), seed + n, waits=n % 2 == 0)
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    stream_ends = 0
    for number in range(rounds):
        heard = answers(clients)
        if not wrong and number % 3 == 1:
            fault = {"fault": "abort", "after": dice.randint(1, 20), "count": dice.randint(1, 3)}
            line.zerobus.faults({"faults": [fault]})
            stream_ends += 3
        time.sleep(dice.uniform(0.05, 0.8))
        if wrong:
            wait_for(lambda heard=heard: answers(clients) - heard, "an answer", 60, 0.01)
        elif number % 5 == 3:
            line.zerobus.kill()
            line.zerobus.start()
            stream_ends += 2
        line.daemon.kill()
        if dice.random() < 0.8:
            line.start_daemon()
        else:
            line.daemon.start()  # The next kill may meet it while it starts.
            time.sleep(dice.uniform(0.0, 0.4))
    wait_for(line.is_connected, "the daemon to be there", 60)
    line.zerobus.faults(None)
    wait_for(lambda: answers(clients)[200], "a request to be acknowledged", 60)
    wait_for(lambda: any(one.repeated for one in clients), "one to be asked again", 60)
    for client in clients:
        client.end()
    for client in clients:
        client.join(120)
        assert not client.is_alive(), "a client waits without end"
    line.wait_drained(180)
    return compare(clients, oracle, rounds + stream_ends)


def answers(clients):
    return sum((client.statuses for client in clients), Counter())


def compare(clients, oracle, causes):
    promised = {one: promise for client in clients for one, promise in client.promised.items()}
    offered = set().union(*(client.offered for client in clients))
    lost = oracle.missing(promised)
    seqs = oracle.seqs
    return Outcome(
        promised=len(promised),
        lost=lost,
        unknown=set(seqs) - offered,
        changed=oracle.changed,
        misnumbered={
            one
            for one, (first, last) in promised.items()
            if one not in lost and not all(first <= seq <= last for seq in seqs[one])
        },
        stored_twice={one for one, found in seqs.items() if len(found) > 1},
        false=set().union(*(client.false for client in clients)),
        differing=set().union(*(client.differing for client in clients)),
        strange=[one for client in clients for one in client.strange],
        sent_again=sum(found.total() - len(found) for found in seqs.values()),
        too_often={one for one, found in seqs.items() if found.total() > 1 + causes},
        statuses=answers(clients),
        repeated=sum(client.repeated for client in clients),
    )


def check(line, rounds):
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1 << 30))
    outcome = run_rounds(line, rounds, seed)
    print(
        f"{rounds} rounds, seed {seed}: {outcome.promised} records promised by"
        f" {dict(outcome.statuses)}, {outcome.repeated} requests asked again,"
        f" {outcome.sent_again} records sent twice"
    )
    assert outcome.strange == []
    assert outcome.lost == set(), f"lost {len(outcome.lost)} of {outcome.promised}"
    assert outcome.unknown == set()
    assert outcome.changed == set()
    assert outcome.misnumbered == set()
    assert outcome.stored_twice == set()
    assert outcome.false == set()
    assert outcome.differing == set()
    # Kills come quicker than acknowledged records are deleted: one may be sent again by each.
    assert outcome.too_often == set()
    assert line.dead_letters() == []
    line.check_balances()


def test_twenty_kills_lose_nothing_that_was_answered(line_folder):
    with make_line(line_folder) as line:
        check(line, 20)


@pytest.mark.long
def test_two_hundred_kills_lose_nothing_that_was_answered(line_folder):
    with make_line(line_folder) as line:
        check(line, 200)


def test_the_harness_finds_an_answer_before_the_commit(line_folder):
    with make_line(line_folder, "stores-later") as line:
        assert run_rounds(line, 1, 1, wrong=True).lost


def test_the_harness_finds_a_200_of_what_was_only_sent(line_folder):
    with make_line(line_folder, "sent-is-acknowledged") as line:
        assert run_rounds(line, 1, 1, wrong=True).false


def test_the_harness_finds_a_key_that_is_forgotten(line_folder):
    with make_line(line_folder, "forgets-keys") as line:
        outcome = run_rounds(line, 1, 1, wrong=True)
        assert outcome.stored_twice
        assert outcome.differing
