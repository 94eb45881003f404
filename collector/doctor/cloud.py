"""The workspace and the Zerobus endpoint: reached, trusted, of one workspace; and the token."""

import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final
from urllib.parse import urlsplit

from collector.catalog import Catalog, CatalogError, TransientCatalogError
from collector.config import Zerobus
from collector.config.fields import is_loopback
from collector.doctor import network, proxies
from collector.doctor.deadline import within
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok
from collector.doctor.proxies import Proxy

_GAP_S: Final = 5.0
_ENDPOINT: Final = re.compile(r"([0-9]+)\.zerobus\.([a-z0-9-]+)\.(.+)")
_NUMBERED: Final = re.compile(r"(?:adb-)?([0-9]{6,})\.[0-9]+\.")
_CLOUDS: Final = ("azuredatabricks.net", "gcp.databricks.com", "cloud.databricks.com")
_SECRET: Final = "make a new OAuth secret and set zerobus.client_secret_file"  # noqa: S105 - Words.


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of the two addresses, and of who the collector is there."""
    known = ("configuration",)
    yield Check("proxy", lambda: _proxy(facts.config.zerobus), known)
    yield Check("workspace", lambda: _workspace(facts.config.zerobus), known)
    yield Check("endpoint", lambda: _endpoint(facts.config.zerobus, facts.answer_s), known)
    yield Check("one workspace", lambda: _pair(facts.config.zerobus), known)
    yield Check("token", lambda: _token(facts.config.zerobus, facts.answer_s), ("workspace",))


def _proxy(options: Zerobus) -> Iterator[Finding]:
    hosts = [urlsplit(url).hostname or "" for url in (options.endpoint, options.workspace_url)]
    seen = list(proxies.seen())
    taken = [proxies.for_streams(hosts[0]), _for_tokens(options)]
    local = [host for host, proxy in zip(hosts, taken, strict=True) if proxy and is_loopback(host)]
    if local:
        yield error(
            f"{', '.join(seen)}: even what goes to {local[0]}, this box itself, goes there",
            "Name it in no_proxy, where the daemon is started.",
            (f"no_proxy={','.join(dict.fromkeys(local))}",),
        )
    elif seen:
        streams, tokens = (str(one) if one else "directly" for one in taken)
        yield ok(f"{', '.join(seen)}: streams go by {streams}, tokens by {tokens}")
    else:
        yield ok("no variable of one is set (https_proxy, grpc_proxy, no_proxy)")


def _for_tokens(options: Zerobus) -> Proxy | None:
    url = urlsplit(options.workspace_url)
    return proxies.for_tokens(url.scheme, url.hostname or "")


def _workspace(options: Zerobus) -> Iterator[Finding]:
    yield from _reach("zerobus.workspace_url", options, _for_tokens(options))


def _endpoint(options: Zerobus, answer_s: float) -> Iterator[Finding]:
    proxy = proxies.for_streams(urlsplit(options.endpoint).hostname or "")
    yield from _reach("zerobus.endpoint", options, proxy, http2_s=answer_s)


def _reach(
    key: str, options: Zerobus, proxy: Proxy | None, http2_s: float = 0
) -> Iterator[Finding]:
    """Go as far as TLS, and HTTP/2 if wanted; a proxy, where there is one, looks the name up."""
    url = urlsplit(getattr(options, key.removeprefix("zerobus.")))
    host, is_tls = url.hostname or "", url.scheme == "https"
    port = url.port or (443 if is_tls else 80)
    first = (proxy.host, proxy.port, proxy.variable) if proxy else (host, port, key)
    findings: list[Finding] = []
    try:
        address = network.resolve(first[0], first[2])
        with ExitStack() as open_ones:
            sock = open_ones.enter_context(network.connect(*first))
            if proxy:
                network.tunnel(sock, host, port)
            if is_tls:
                context = ssl.create_default_context(cafile=options.ca_file)
                context.set_alpn_protocols(["h2"] if http2_s else ["http/1.1"])
                sock, trusted = network.encrypt(sock, context, host, "zerobus.ca_file")
                open_ones.enter_context(sock)
                findings = [trusted]
            if http2_s:
                network.greet(sock, http2_s, host)
    except network.UnreachableError as why:
        yield why.finding
        return
    by = f" by the proxy {proxy}" if proxy else ""
    yield ok(f"{host}:{port} answers{by}; {address}")
    yield from findings


def _pair(options: Zerobus) -> Iterator[Finding]:
    """Compare the two addresses, as far as they tell; the token's check asks the workspace."""
    endpoint, workspace = (
        urlsplit(url).hostname or "" for url in (options.endpoint, options.workspace_url)
    )
    if is_loopback(endpoint) and is_loopback(workspace):
        yield ok("both on this box: a local Zerobus")
        return
    parts = _ENDPOINT.fullmatch(endpoint)
    if parts is None:
        yield error(
            f"{endpoint} is no Zerobus endpoint",
            "Write WORKSPACE-ID.zerobus.REGION.cloud.databricks.com as zerobus.endpoint, on Azure"
            " with .azuredatabricks.net at its end.",
        )
        return
    number, region, cloud = parts.groups()
    numbered = _NUMBERED.match(workspace)
    clouds = [
        next((one for one in _CLOUDS if host.endswith(one)), "") for host in (cloud, workspace)
    ]
    if numbered and numbered[1] != number:
        yield error(*_other_workspace(number, numbered[1]))
    elif all(clouds) and clouds[0] != clouds[1]:
        yield error(
            f"the endpoint is of {clouds[0]}, the workspace of {clouds[1]}: two clouds",
            "Take both addresses from one workspace.",
        )
    elif numbered:
        yield ok(f"both of workspace {number}, in {region}")
    else:
        yield ok(f"the endpoint is of workspace {number} in {region}; the other name doesn't tell")


def _other_workspace(endpoint: str, workspace: str) -> tuple[str, str]:
    fix = f"Write {workspace} before .zerobus. in zerobus.endpoint, or the URL of {endpoint} as"
    found = f"the endpoint is of workspace {endpoint}, zerobus.workspace_url of {workspace}"
    return found, f"{fix} zerobus.workspace_url."


def _token(options: Zerobus, answer_s: float) -> Iterator[Finding]:
    catalog = Catalog(options, timeout_s=answer_s)
    try:
        within(answer_s + _GAP_S, catalog.check_credentials)
    except TimeoutError as why:
        yield error(f"{options.workspace_url} is too slow: {why}", "Try again later.")
        return
    except CatalogError as why:
        yield error(str(why.args[0]), _fix(why))
        return
    number = (_ENDPOINT.match(urlsplit(options.endpoint).hostname or "") or ("", ""))[1]
    if number and catalog.workspace_id and catalog.workspace_id != number:
        yield error(*_other_workspace(number, catalog.workspace_id))
    else:
        yield ok(f"given to {options.client_id}")


def _fix(why: CatalogError) -> str:
    """What a refusal of a token means, by the name of the error and its words."""
    if isinstance(why, TransientCatalogError) and why.status:
        wait = "the workspace limits how often one may ask" if why.status == 429 else "it is down"
        return f"HTTP {why.status}: {wait}; nothing is wrong here. The collector tries again."
    words = f"{why.code} {why.said}".lower()
    cases = (
        (("scope",), "The scope all-apis is refused: let the service principal use it."),
        (("workspace",), "The service principal is not in this workspace: add it there."),
        (("expired",), f"The secret has expired: {_SECRET}."),
        (("secret",), f"The secret is wrong: {_SECRET}."),
        (
            ("not found", "not exist", "not available", "unknown client"),
            "There is no such service principal: zerobus.client_id is its application id.",
        ),
        (
            ("invalid_client", "401"),
            f"Unknown zerobus.client_id (it is the application id), or a wrong secret: {_SECRET}.",
        ),
    )
    found = (fix for marks, fix in cases if any(mark in words for mark in marks))
    return next(found, why.hint)
