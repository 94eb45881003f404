"""The wish to end, which comes between any two instructions."""

import subprocess
import sys
import threading

from support.line import ROOT

from collector.signals import Ending

INTERRUPTED = """
import signal
from collector.signals import Ending

for number in range(400):
    ending = Ending()
    signal.signal(signal.SIGALRM, lambda *_: ending.set())
    signal.setitimer(signal.ITIMER_REAL, 0.00001 + number % 50 * 0.000002)
    while not ending.wait(0.00001):
        pass
print("ended")
"""


def test_a_signal_in_the_middle_of_a_wait_ends_it():
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.stdout == "ended\n", done.stderr


def test_another_thread_may_ask_for_the_end_and_it_stays_asked_for():
    ending = Ending()
    assert not ending.is_set()
    assert not ending.wait(0)
    threading.Timer(0.01, ending.set).start()
    assert ending.wait()
    assert ending.is_set()
    assert ending.wait()
