"""Without `http:` the daemon has nothing of the station over HTTP in it."""

from support.asking import ask
from support.line import Line, reading
from support.waiting import answers, free_port, wait_for

WEB = {"fastapi", "fastapi_offline", "starlette", "uvicorn", "anyio", "httptools", "uvloop"}
OWN = {"collector.http.app", "collector.http.page", "collector.http.site", "collector.http.ingest"}


def imported(line):
    """What a daemon that was started with `-X importtime` has imported by now."""
    lines = [
        one for one in line.daemon.log.read_text().splitlines() if one.startswith("import time:")
    ]
    return {one.rpartition("|")[2].strip() for one in lines}


def test_the_daemon_imports_nothing_of_it(line_folder):
    port = free_port()
    program = ("-X", "importtime", "-m", "collector", "run")
    with Line(line_folder, main=program, metrics={"listen": f"127.0.0.1:{port}"}) as line:
        line.publisher().publish([reading(1)])
        line.wait_delivered([1])
        wait_for(lambda: answers(port), "the figures")
        for path in ("/metrics", "/health", "/livez", "/readyz"):
            assert ask(port, path).status == 200
        found = imported(line)
        assert {"collector.daemon.web", "collector.http.plain.server"} <= found
        assert found & (WEB | OWN) == set()
        line.change(http={"listen": f"127.0.0.1:{line.http_port}"})
        assert line.reload() == ""
        wait_for(lambda: answers(line.http_port), "the station over HTTP", 60)
        assert imported(line) >= WEB | OWN
        assert line.daemon.stop() == 0
