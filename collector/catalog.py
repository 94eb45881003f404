"""Unity Catalog, the part that describes tables: the only file that speaks HTTP to the workspace.

Asks with the credentials that Zerobus is used with. What is transient (408, 429, 5xx but 501, a
connection that fails) may be tried again; everything else is an answer. No error holds a secret or
a token, and no redirect is followed: it would carry the token to another host.
"""

import base64
import json
import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from collector.config import Zerobus
from collector.errors import CollectorError

TIMEOUT_S: Final = 10.0
TRIES: Final = 4
ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024
_SAID_MAX: Final = 300
_ALL: Final = {"grant_type": "client_credentials", "scope": "all-apis"}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class CatalogError(CollectorError):
    """The workspace did not say what a table is like.

    `status` is that of HTTP, 0 without an answer; `code` is the error's name in the answer, such as
    `invalid_client`, and `said` its text: strangers' words, made printable.
    """

    exit_code = 4

    def __init__(
        self, message: str, hint: str = "", status: int = 0, code: str = "", said: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.said = said


class TransientCatalogError(CatalogError):
    """It may answer when it is asked again."""


class NoTableError(CatalogError):
    """There is no such table, or the principal may not know of it."""


class Catalog:
    """The catalog of a workspace; usable from every thread.

    `workspace_id` is what the workspace called itself in its last answer; empty when it did not.
    """

    def __init__(
        self, options: Zerobus, *, timeout_s: float = TIMEOUT_S, pause_s: float = 0.5
    ) -> None:
        self._url = options.workspace_url
        self._client_id = options.client_id
        self._secret = options.client_secret
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._ca_file = options.ca_file
        self.workspace_id = ""

    def table(self, name: str, tries: int = TRIES) -> Mapping[str, Any]:
        """Ask for a table, at most so many times.

        Raises:
            NoTableError: the workspace knows no such table.
            CatalogError: it can't be asked, or does not answer.
        """
        retrying = Retrying(
            stop=stop_after_attempt(tries),
            wait=wait_exponential(self._pause_s, max=10) + wait_random(0, self._pause_s),
            retry=retry_if_exception_type(TransientCatalogError),
            reraise=True,
        )
        answer: Mapping[str, Any] = retrying(self._table, name)
        return answer

    def check_credentials(self) -> None:
        """Ask once for a token.

        Raises:
            CatalogError: there is none.
        """
        self._token()

    def check_grants(self, name: str, workspace_id: str) -> None:
        """Ask once for a token that may write to a table by Zerobus, as its own client does.

        Raises:
            CatalogError: there is none.
        """
        self._token(_writing(name, workspace_id))

    def _table(self, name: str) -> Mapping[str, Any]:
        path = ".".join(quote(part, safe="") for part in name.split("."))
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        request = Request(  # noqa: S310 - The configuration allows http and https only.
            f"{self._url}/api/2.1/unity-catalog/tables/{path}", headers=headers
        )
        return self._ask(request, f"the table {name}", _table_hints(name), NoTableError)

    def _token(self, more: Mapping[str, str] | None = None) -> str:
        # A program that asks for a table now and then needs no cache.
        pair = f"{self._client_id}:{self._secret.get_secret_value()}".encode()
        request = Request(  # noqa: S310 - As above.
            f"{self._url}/oidc/v1/token",
            data=urlencode({**_ALL, **(more or {})}).encode(),
            headers={"Authorization": f"Basic {base64.b64encode(pair).decode()}"},
        )
        hint = "Check zerobus.client_id, zerobus.client_secret and zerobus.workspace_url."
        answer = self._ask(request, "a token", dict.fromkeys((400, 401, 403, 404), hint))
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise CatalogError(f"{self._url} gave no token", hint)
        return token

    def _ask(
        self,
        request: Request,
        what: str,
        hints: Mapping[int, str],
        absent: type[CatalogError] = CatalogError,
    ) -> Mapping[str, Any]:
        """Send a request and return its answer; `what` and the rest are for the errors."""
        opener = build_opener(HTTPSHandler(context=self._tls()), _NoRedirect())
        try:
            with opener.open(request, timeout=self._timeout_s) as answer:
                raw = answer.read(ANSWER_MAX_BYTES + 1)
                self.workspace_id = _workspace_id(answer.headers)
        except HTTPError as error:
            with error:
                raise self._refused(error, what, hints, absent) from None
        except (OSError, HTTPException) as error:
            # urllib wraps what happened, and its own words are of no use.
            reason = getattr(error, "reason", error)
            said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            raise TransientCatalogError(
                f"{self._url} can't be asked for {what}: {said}",
                "Check zerobus.workspace_url, the network, and zerobus.ca_file or the proxy.",
            ) from None
        try:
            document = json.loads(raw) if len(raw) <= ANSWER_MAX_BYTES else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise CatalogError(
                f"{self._url} answers something else when asked for {what}",
                "Check zerobus.workspace_url: is it that of the workspace itself?",
            )
        return document

    def _refused(
        self, error: HTTPError, what: str, hints: Mapping[int, str], absent: type[CatalogError]
    ) -> CatalogError:
        self.workspace_id = _workspace_id(error.headers)
        code, said = _said(error)
        words = f": {said}" if said else ""
        text = f"{self._url} refuses {what}: HTTP {error.code} {error.reason}{words}"
        hint = hints.get(error.code, "")
        if error.code in {408, 429} or (error.code >= 500 and error.code != 501):
            hint = "The workspace is busy or down: try again later."
            return TransientCatalogError(text, hint, error.code, code, said)
        if error.code in _REDIRECTS:
            hint = "It points elsewhere: write the workspace's own address as workspace_url."
        kind = absent if error.code == 404 else CatalogError
        return kind(text, hint, error.code, code, said)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca_file)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _table_hints(name: str) -> dict[int, str]:
    catalog, schema = name.split(".")[:2]
    grants = f"USE CATALOG on {catalog}, USE SCHEMA on {catalog}.{schema} and SELECT on {name}"
    return {
        401: "Check zerobus.client_id and zerobus.client_secret.",
        403: f"Grant {grants} to the service principal: `collector tables ddl` writes the SQL.",
        404: f"Create it (`collector tables ddl` writes the SQL), correct its name, or grant"
        f" {grants} to the service principal.",
    }


def _said(error: HTTPError) -> tuple[str, str]:
    """The error's name and text in the answer, as far as they can be shown: a stranger's words."""
    try:
        document = json.loads(error.read(64 * 1024))
        code = document.get("error_code") or document.get("error") or ""
        said = document.get("message") or document.get("error_description") or code
    except (OSError, HTTPException, ValueError, AttributeError):
        return "", ""
    return _shown(code), _shown(said)


def _shown(text: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(text))[:_SAID_MAX]


def _writing(name: str, workspace_id: str) -> dict[str, str]:
    """What the Zerobus SDK adds when it asks for a token: the rights that writing takes."""
    catalog, schema, _ = name.split(".")
    wanted = (
        ("CATALOG", catalog, ["USE CATALOG"]),
        ("SCHEMA", f"{catalog}.{schema}", ["USE SCHEMA"]),
        ("TABLE", name, ["SELECT", "MODIFY"]),
    )
    details = [
        {
            "type": "unity_catalog_privileges",
            "privileges": privileges,
            "object_type": kind,
            "object_full_path": path,
            **({"operations": ["zerobuswrite"]} if kind == "TABLE" else {}),
        }
        for kind, path, privileges in wanted
    ]
    resource = f"api://databricks/workspaces/{workspace_id}/zerobusDirectWriteApi"
    return {"resource": resource, "authorization_details": json.dumps(details)}


def _workspace_id(headers: Any) -> str:
    return _shown(headers.get("x-databricks-org-id") or "")
