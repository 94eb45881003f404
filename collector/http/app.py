"""The endpoints of the station over HTTP, and the documents about them.

Each is a coroutine, and leaves what waits for a disk to one of the few threads of the loop: FastAPI
has forty for what is none, whose memory a crowd would fill.
"""

from asyncio import to_thread
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final, NamedTuple

import fastapi_offline
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute

from collector.http import health
from collector.http.asgi import App, Receive, Scope, Send
from collector.http.document.openapi import document_of
from collector.http.ingest.intake import HttpIntake
from collector.http.ingest.target import Target
from collector.http.refused import RefusedError
from collector.http.vitals import VitalSigns

PROGRAM: Final = "zerobus-collector"
Look = Callable[[], dict[str, Any]]
"""Gives the state of every part of the line, as `LineState.look` does; in any thread."""

_ASSETS: Final = Path(fastapi_offline.__file__).parent / "static"
_FILES: Final = "/docs/"
_ICON: Final = _FILES + "favicon.png"
_LOGO: Final = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
"""What ReDoc would have from another host."""
_WORDS: Final = {
    "/metrics": "Figures for Prometheus",
    "/livez": "Whether every loop beats",
    "/readyz": "Whether what comes can be stored",
}
# Swagger UI and ReDoc come with a script in the page, and write styles.
_DOCS_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; worker-src blob:;"
        " style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the endpoints lead to; each app answers below its path."""

    intake: HttpIntake
    ingest: App
    flush: App
    page: App
    signs: VitalSigns
    look: Look


class Route(NamedTuple):
    """What the figures call a path by."""

    path: str


class Paths:
    """Finds the endpoint of a path: those of the records first, since these are asked the most.

    `of_stations` are by the first part of their path, whose second is a station.
    """

    def __init__(self, of_stations: Mapping[str, App], page: App, others: App) -> None:
        self._of_stations = of_stations
        self._page = page
        self._others = others
        # Where FastAPI leaves what the figures call a path by.
        self._routes = {name: Route(f"/{name}/{{station}}") for name in of_stations}
        self._routes["ui"] = Route("/ui")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not scope["path"].startswith("/"):  # Such as that of `OPTIONS *`.
            raise _not_there(scope["path"])
        _, first, *rest = scope["path"].split("/")
        app = self._of_stations.get(first) if len(rest) == 1 else None
        if app is not None:
            if scope["method"] != "POST":
                raise _not_taken(scope["method"], "POST")
            scope["route"] = self._routes[first]
            scope["path_params"] = {"station": rest[0]}
            await app(scope, receive, send)
        elif first == "ui":
            scope["route"] = self._routes[first]
            await self._page(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def make_app(to: Endpoints) -> App:
    """Put the endpoints together."""
    app = FastAPI(title=PROGRAM, version=version(PROGRAM), docs_url=None, redoc_url=None)
    app.add_exception_handler(RefusedError, _refuse)
    app.add_exception_handler(HTTPStatus.NOT_FOUND, _refuse_path)
    app.add_exception_handler(HTTPStatus.METHOD_NOT_ALLOWED, _refuse_method)
    for path, words in _WORDS.items():
        app.add_api_route(
            path, _sign(to.signs, path), summary=words, tags=["health"], **_answers("text/plain")
        )
    _add_health(app, to)
    _add_documents(app, to.intake)
    _take_head(app)
    return Paths({"ingest": to.ingest, "flush": to.flush}, to.page, app)


def _take_head(app: FastAPI) -> None:
    """Take HEAD wherever GET is taken: monitors ask so. The server leaves the body out."""
    for one in [route for route in app.routes if isinstance(route, APIRoute)]:
        app.add_api_route(one.path, one.endpoint, methods=["HEAD"], include_in_schema=False)


def _add_health(app: FastAPI, to: Endpoints) -> None:
    async def about() -> Response:
        stations = {name: _about(target) for name, target in to.intake.targets.items()}
        said = {
            "service": PROGRAM,
            "version": version(PROGRAM),
            "gateway": to.intake.gateway,
            "stations": stations,
            **{name: f"/{name}" for name in ("health", "metrics", "docs", "redoc", "ui")},
        }
        return JSONResponse(said)

    async def of_all() -> Response:
        return _health(health.of_all(await to_thread(to.look)))

    async def of_station(station: str) -> Response:
        found = to.intake.find(station).station
        return _health(health.of_station(found, await to_thread(to.look)))

    app.add_api_route("/", about, summary="Version, stations, and their endpoints")
    words = "How the line is, and why"
    answers = _answers("application/json")
    app.add_api_route("/health", of_all, summary=words, tags=["health"], **answers)
    app.add_api_route("/health/{station}", of_station, include_in_schema=False)


def _answers(content_type: str) -> dict[str, Any]:
    """Say in which type is answered, also where it says that something is wrong."""
    content: dict[str, Any] = {"content": {content_type: {}}}
    return {"response_class": Response, "responses": {200: content, 503: content}}


def _about(target: Target) -> dict[str, Any]:
    station = target.station
    endpoints = {name: f"/{name}/{station.name}" for name in ("ingest", "flush", "health")}
    if target.why_not:
        del endpoints["ingest"]
    return {"table": station.table, "format": station.format, **endpoints}


def _health(said: dict[str, Any]) -> Response:
    failing = said["health"] == "failing"
    return JSONResponse(said, HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK)


def _sign(signs: VitalSigns, path: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        found = await to_thread(signs.answer, path, request.headers.get("accept", ""))
        return Response(found.body, found.status, media_type=found.content_type)

    return answer


def _add_documents(app: FastAPI, intake: HttpIntake) -> None:
    """Add the OpenAPI document of this moment, and two views of it that need no network."""
    base = app.openapi
    # Of the files that are there, so that no path can be made of a name.
    files = {path.name: path for path in _ASSETS.iterdir()}

    def document() -> dict[str, Any]:
        return document_of(base(), intake.targets)

    app.openapi = document  # type: ignore[method-assign]

    async def docs() -> Response:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=PROGRAM,
            swagger_js_url=_FILES + "swagger-ui-bundle.js",
            swagger_css_url=_FILES + "swagger-ui.css",
            swagger_favicon_url=_ICON,
            # Else a host that is no name of this box is asked whether the document is right.
            swagger_ui_parameters={"validatorUrl": None},
        )
        return HTMLResponse(page.body, headers=_DOCS_HEADERS)

    async def redoc() -> Response:
        page = get_redoc_html(
            openapi_url="/openapi.json",
            title=PROGRAM,
            redoc_js_url=_FILES + "redoc.standalone.js",
            redoc_favicon_url=_ICON,
            with_google_fonts=False,
        )
        return HTMLResponse(page.body, headers=_DOCS_HEADERS)

    async def asset(name: str) -> Response:
        if name not in files:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such file", "See /docs.")
        headers = {"Cache-Control": "max-age=3600", "Content-Type": guess_type(name)[0] or ""}
        return Response(_contents(files[name]), headers=headers)

    for path, endpoint in (("/docs", docs), ("/redoc", redoc), (_FILES + "{name}", asset)):
        app.add_api_route(path, endpoint, include_in_schema=False)


@cache
def _contents(file: Path) -> bytes:
    """Return what is in a file, kept once for all who are sent it: no thread reads it for each."""
    return file.read_bytes().replace(_LOGO, _ICON.encode())


def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, RefusedError)  # noqa: S101 - it is registered for nothing else.
    return Response(refused.body, refused.status, refused.headers)


def _refuse_path(request: Request, _: Exception) -> Response:
    return _refuse(request, _not_there(request.scope["path"]))


def _not_there(path: str) -> RefusedError:
    return RefusedError(HTTPStatus.NOT_FOUND, f"there is no {path[:100]}", "See /docs.")


def _refuse_method(request: Request, _: Exception) -> Response:
    return _refuse(request, _not_taken(request.method, "GET, HEAD"))


def _not_taken(method: str, allowed: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{method[:20]} is not what this endpoint takes",
        f"It takes {allowed}.",
        headers={"Allow": allowed},
    )
