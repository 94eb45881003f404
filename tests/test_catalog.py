"""Unity Catalog's client: what it asks, what it tries again, and what its errors say."""

import base64
import ssl

import pytest
from support.parts import make_plan
from support.waiting import free_port
from support.workspace import READING, TOKEN, serving

from collector.catalog import Catalog, CatalogError, NoTableError, TransientCatalogError

NAME = "main.iot.reading"
PATH = "/api/2.1/unity-catalog/tables/main.iot.reading"
SECRET = "a-very-secret-word"


@pytest.fixture
def workspace():
    with serving() as one:
        yield one


@pytest.fixture
def catalog(tmp_path, workspace):
    return catalog_of(tmp_path, workspace.url)


def catalog_of(folder, url, **more):
    options = {"workspace_url": url, "client_id": "the-id", "client_secret": SECRET, **more}
    return Catalog(make_plan(folder, zerobus=options).config.zerobus, timeout_s=5, pause_s=0.01)


def test_it_asks_for_a_token_by_client_credentials_and_then_for_the_table(catalog, workspace):
    assert catalog.table(NAME) == READING
    (token, table) = workspace.asked
    assert (token[0], token[1], token[3]) == (
        "POST", "/oidc/v1/token", "grant_type=client_credentials&scope=all-apis"
    )  # fmt: skip
    given = base64.b64decode(token[2]["Authorization"].removeprefix("Basic ")).decode()
    assert given == f"the-id:{SECRET}"
    assert (table[0], table[1], table[2]["Authorization"]) == ("GET", PATH, "Bearer the-token")


def test_each_part_of_a_name_is_encoded(catalog, workspace):
    catalog.table("main.iot.a b/c")
    assert workspace.paths()[-1].endswith("/main.iot.a%20b%2Fc")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_is_transient_is_asked_again(catalog, workspace, status):
    workspace.answers = [(status, {"message": "busy"}), (200, READING)]
    assert catalog.table(NAME) == READING
    assert workspace.paths().count(PATH) == 2


def test_a_token_that_is_refused_for_the_moment_is_asked_for_again(catalog, workspace):
    workspace.tokens = [(503, {}), (200, TOKEN)]
    assert catalog.table(NAME) == READING


def test_it_gives_up_after_so_many_tries(catalog, workspace):
    workspace.answers = [(503, {"message": "down for the day"})]
    with pytest.raises(TransientCatalogError, match=r"HTTP 503.*down for the day"):
        catalog.table(NAME, tries=2)
    assert workspace.paths().count(PATH) == 2


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (401, CatalogError, "zerobus.client_secret"),
        (403, CatalogError, "SELECT on main.iot.reading"),
        (404, NoTableError, "collector tables ddl"),
        (501, CatalogError, "HTTP 501"),
        (302, CatalogError, "workspace_url"),
    ],
)
def test_what_is_permanent_is_asked_once_and_has_a_hint(catalog, workspace, status, kind, hint):
    workspace.answers = [(status, {"error_code": "NO", "message": "said\x1b[2J so"})]
    with pytest.raises(kind) as caught:
        catalog.table(NAME)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert hint in text
    assert ("said" in text, "\x1b" in text) == (True, False)
    assert workspace.paths().count(PATH) == 1
    assert "/elsewhere" not in workspace.paths()


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_wrong_credentials_are_an_error_of_the_credentials_and_no_missing_table(
    catalog, workspace, status
):
    workspace.tokens = [(status, {"error": "invalid_client"})]
    with pytest.raises(CatalogError, match="invalid_client") as caught:
        catalog.table(NAME)
    assert type(caught.value) is CatalogError
    assert "zerobus.client_id" in str(caught.value)
    assert workspace.paths() == ["/oidc/v1/token"]


@pytest.mark.parametrize("answer", [b"<html>Sign in</html>", b"[1]", b"", b"\xff"])
def test_an_answer_that_is_no_json_object_points_at_the_address(catalog, workspace, answer):
    workspace.answers = [(200, answer)]
    with pytest.raises(CatalogError, match="workspace_url"):
        catalog.table(NAME)


def test_a_token_that_is_none_is_an_error(catalog, workspace):
    workspace.tokens = [(200, {"access_token": "a\nb"})]
    with pytest.raises(CatalogError, match="gave no token"):
        catalog.table(NAME)


def test_nobody_there_is_transient_and_says_why(tmp_path):
    with pytest.raises(TransientCatalogError, match=r"(?s)refused.*network"):
        catalog_of(tmp_path, f"http://127.0.0.1:{free_port()}").table(NAME, tries=1)


def test_no_error_holds_the_secret_or_the_token(catalog, workspace):
    for status in (200, 401, 503):
        workspace.answers = [(status, b"")]
        with pytest.raises(CatalogError) as caught:
            catalog.table(NAME, tries=1)
        seen, said = caught.value, ""
        while seen is not None:
            said, seen = f"{said} {seen!r} {seen}", seen.__cause__ or seen.__context__
        assert SECRET not in said
        assert "the-token" not in said


def test_a_private_authority_is_trusted_by_ca_file_and_not_without(tmp_path, certificates):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates["cert"], certificates["key"])
    with serving(tls) as workspace:
        url = f"https://localhost:{workspace.server.server_port}"
        with pytest.raises(TransientCatalogError, match=r"(?i)certificate"):
            catalog_of(tmp_path, url).table(NAME, tries=1)
        trusting = catalog_of(tmp_path, url, ca_file=certificates["ca"])
        assert trusting.table(NAME) == READING
