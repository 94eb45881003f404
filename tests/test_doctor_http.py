"""What `collector doctor` finds of the station over HTTP: its port, its certificates."""

import socket
import subprocess

import pytest
from support.certificates import make_certificates
from support.line import Line
from support.preflight import Box
from support.waiting import answers, free_port, wait_for

from collector.config import load
from collector.doctor import http
from collector.doctor.facts import Facts
from collector.doctor.findings import examine


@pytest.fixture
def box(tmp_path):
    one = Box(tmp_path)
    one.change(http={"listen": f"127.0.0.1:{free_port()}"})
    return one


def found(box, check):
    return [(one.level, one.found) for one in box.look("http")[check]]


def test_without_http_nothing_of_it_is_looked_at(tmp_path):
    assert not {"http port", "http certificate"} & set(Box(tmp_path).look("http"))


def test_a_port_that_is_free_is_well_and_there_is_no_certificate_to_look_at(box):
    listen = box.sections["http"]["listen"]
    assert found(box, "http port") == [("ok", f"{listen} is free")]
    assert "http certificate" not in box.look("http")


def test_a_port_of_another_program_is_an_error(box):
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = "{}:{}".format(*other.getsockname())
        box.change(http={"listen": listen})
        assert found(box, "http port") == [("error", f"{listen} is taken by another program")]
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.accept()


def test_an_address_of_another_box_is_an_error(box):
    box.change(http={"listen": "192.0.2.1:8000", "token": "0123456789abcdef"})
    [(level, text)] = found(box, "http port")
    assert (level, "192.0.2.1:8000 can't be listened on" in text) == ("error", True)


def test_the_port_of_our_own_daemon_is_well(line_folder):
    with Line(line_folder, http={}) as line:
        wait_for(lambda: answers(line.http_port), "the station over HTTP")
        wait_for(lambda: line.status()["http"]["is_listening"], "the status to say so")
        facts = Facts(line.config)
        facts.config = load(line.config, {})
        [report] = examine(http.checks(facts))
        listen = f"127.0.0.1:{line.http_port}"
        assert report.finding.found == f"the daemon listens on {listen}"
        assert report.finding.level == "ok"


def certificates_folder(box):
    folder = box.folder / "certificates"
    folder.mkdir()
    return folder


def served_with(box, names, **more):
    box.change(http={"cert_file": names["cert"], "key_file": names["key"], **more})


@pytest.mark.parametrize(("days", "level"), [(2, "warning"), (29, "warning"), (400, "ok")])
def test_how_long_the_certificate_is_good_is_told(box, days, level):
    names = make_certificates(certificates_folder(box), days=days)
    served_with(box, names)
    text = f"TLSv1.3, its key fits, the certificate of {names['cert']} is good for {days - 1} days"
    assert found(box, "http certificate") == [(level, text)]


def test_the_authority_of_clients_is_looked_at_too(box):
    names = make_certificates(certificates_folder(box), days=400)
    served_with(box, names, client_ca_file=names["ca"])
    _, (level, text) = found(box, "http certificate")
    assert (level, text.startswith(f"for clients, the certificate of {names['ca']}")) == (
        "warning",
        True,
    )


def test_certificates_that_have_expired_are_errors(box):
    names = make_certificates(certificates_folder(box), days=-1)
    ca = names["ca"]
    again = ("-in", ca, "-signkey", names["ca_key"], "-days", "-1", "-out", ca)
    subprocess.run(("openssl", "x509", *again), check=True, capture_output=True)
    served_with(box, names, client_ca_file=ca)
    own, authority = found(box, "http certificate")
    assert own == ("error", f"clients will not take {names['cert']}: certificate has expired")
    assert authority[0] == "error"
    assert f"no client is let in by {ca}: it has expired on" in authority[1]
