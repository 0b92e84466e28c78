"""Shows the reports that the verbs write; their own style is allowed by its hash, and no scripts are allowed."""

import base64
import hashlib
import re
from html import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from groundwork.errors import DataError
from groundwork.pages.cells import printable
from orbit_lite.studio.guard import content_policy
from orbit_lite.studio.pages import participant_address, studio_of
from orbit_lite.studio.study import Participant
from orbit_lite.studio.wording import wording

# files of a participant's results that may be read, by the name in the address
_REPORTS = {"check": "check.html", "test": "report.html"}
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_LINKED = re.compile(r"[a-z_]+\.csv")


def report_page(request: Request, page: str, *, back: str, name: str) -> HTMLResponse:
    """A report's page, with a policy that allows its own style, and a link back to `name` at the address `back`."""
    words = wording()
    link = f'<a href="{escape(back)}">{escape(words("delete.back", name=printable(name)))}</a>'
    page = page.replace("<main>", f'<main>\n<nav aria-label="{escape(words("nav.where"))}"><p>{link}</p></nav>', 1)
    found = _STYLE.search(page)
    digest = base64.b64encode(hashlib.sha256((found[1] if found else "").encode()).digest()).decode()
    policy = content_policy([request.headers["host"]], style=f"'sha256-{digest}'")
    return HTMLResponse(page, headers={"content-security-policy": policy})


async def show(request: Request) -> Response:
    """Show a participant's check, the report of their test, or a table beside it."""
    participant = studio_of(request).study.participant(request.path_params["participant"])
    which, name = request.path_params["which"], request.path_params.get("name", "")
    return await run_in_threadpool(_read, request, participant, which, name)


def _read(request: Request, participant: Participant, which: str, name: str) -> Response:
    if which not in _REPORTS or (name and not _LINKED.fullmatch(name)):
        raise DataError(wording()("fault.no_page"))
    folder = participant.check_folder if which == "check" else participant.test_folder
    path = folder / (name or _REPORTS[which])
    if not path.is_file() or participant.link_to(path):
        raise DataError(wording()("check.no_report"))
    text = path.read_text(encoding="utf-8", errors="replace")  # somebody may have changed it by hand
    return (
        Response(text, media_type="text/csv; charset=utf-8")
        if name
        else report_page(request, text, back=participant_address(participant.name), name=participant.name)
    )


# with a slash at the end, so that relative links to the tables work
ROUTES = (
    Route("/p/{participant}/report/{which}/", show),
    Route("/p/{participant}/report/{which}/{name}", show),
)
