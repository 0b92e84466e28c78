"""Combines the pages into one web application, and turns errors into pages with one plain line."""

import logging
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from groundwork.errors import KitError, system_line
from groundwork.pages.cells import printable
from orbit_lite.studio.guard import Guard
from orbit_lite.studio.pages import render
from orbit_lite.studio.receiving import TooMuch
from orbit_lite.studio.routes import deleting, participant, reports, study, thing, trying
from orbit_lite.studio.routes.forms import wants_json
from orbit_lite.studio.studio import Studio
from orbit_lite.studio.study import Busy, Gone
from orbit_lite.studio.wording import wording

_LOG = logging.getLogger("orbit_lite")
_PAGES = (study, participant, thing, trying, reports, deleting)


def make_app(studio: Studio, *, port: int, token: str) -> ASGIApp:
    """Make the web application.

    Args:
        studio: the parts that the pages use.
        port: the port that the server listens on.
        token: the token in the address that gives a browser access.
    """
    static = Path(str(resources.files("orbit_lite.studio").joinpath("static")))
    routes = [
        *(route for page in _PAGES for route in page.ROUTES),
        Route("/static/words.js", _words),
        Route("/alive", _alive),
        Mount("/static", StaticFiles(directory=static)),
    ]
    app = Starlette(
        routes=routes, exception_handlers={HTTPException: _http, KitError: _kit, OSError: _system, Exception: _fault}
    )
    app.state.studio = studio
    return Guard(app, port=port, token=token)


async def _words(_: Request) -> Response:
    return Response(wording().module(), media_type="text/javascript; charset=utf-8")


async def _alive(_: Request) -> Response:
    return Response(status_code=204)


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error_response(
        request, status, "fault.title", wording()("fault.method" if status == 405 else "fault.no_page")
    )


def _kit(request: Request, error: Exception) -> Response:
    if isinstance(error, Gone):
        return _error_response(request, 404, "fault.gone", str(error))
    if isinstance(error, Busy):
        return _error_response(request, 409, "fault.busy", str(error))
    return _error_response(request, 413 if isinstance(error, TooMuch) else 400, "fault.title", str(error))


def _system(request: Request, error: Exception) -> Response:
    line = system_line(error) if isinstance(error, OSError) else str(error)
    return _error_response(request, 500, "fault.title", line)


def _fault(request: Request, error: Exception) -> Response:
    _LOG.error("%s %s: error in the kit", request.method, request.url.path, exc_info=error)
    return _error_response(request, 500, "fault.title", wording()("fault.kit", why=type(error).__name__))


def _error_response(request: Request, status: int, title: str, line: str) -> Response:
    if wants_json(request):  # without "close", because a script that is still sending could not read the answer
        return JSONResponse({"fault": printable(line)}, status)
    values = {"title": wording()(title), "line": printable(line), "back": _back(request)}
    page = render(request, "fault.html", status=status, **values)
    if status == 413:
        page.headers["connection"] = "close"
    return page


def _back(request: Request) -> str:
    """The address of the page that sent the request, if it is one of this server's; otherwise of the first page."""
    came_from = urlsplit(request.headers.get("referer", ""))
    same = came_from.netloc == request.headers.get("host")
    own = same and came_from.path != request.url.path and not came_from.path.startswith("//")
    return came_from.path if own else "/"
