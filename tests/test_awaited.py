"""Records that somebody waits for are not held back to be gathered with others."""

import pytest
from support.client import Client, measured
from support.line import ROOT, Line
from support.waiting import answers, wait_for

WRONG = ROOT / "tests" / "support" / "wrong.py"


@pytest.fixture
def line(line_folder):
    """A daemon that gathers what comes behind a call for an hour."""
    with Line(line_folder, http={}, main=(WRONG, "gathers-long")) as one:
        wait_for(lambda: answers(one.http_port), "the station over HTTP", 60)
        yield one


def test_a_request_that_waits_takes_along_what_was_gathered(line):
    client = Client(line.http_port)
    assert client.post("/ingest/station_one", measured(1)).status == 202
    line.wait_delivered([1])
    assert client.post("/ingest/station_one", measured(2)).status == 202
    path = "/ingest/station_one?wait_for_ack=true&timeout=30s"
    assert client.post(path, measured(3)).status == 200
    assert line.zerobus.ids() == [1, 2, 3]
    # Behind its acknowledgment it is as before, until the next one waits.
    assert client.post("/ingest/station_one", measured(4)).status == 202
    assert client.post(path, measured(5)).status == 200
    assert line.zerobus.ids() == [1, 2, 3, 4, 5]
    client.close()
