"""Renders templates to pages, and makes the addresses of pages."""

from collections.abc import Sequence
from functools import cache
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from groundwork.pages.cells import printable, whole_percent
from orbit_lite.studio.studio import Studio
from orbit_lite.studio.study import Participant, Thing, Video
from orbit_lite.studio.wording import LANGUAGE, wording

SEE_OTHER = 303


def studio_of(request: Request) -> Studio:
    """The studio of the running server."""
    found: Studio = request.app.state.studio
    return found


def render(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Render a page, with the lines that `notice` in the address refers to at its top."""
    studio = studio_of(request)
    given = {
        "words": wording(),
        "language": LANGUAGE,
        "folder": printable(str(studio.study.root)),
        "notice": studio.notices.of(request.query_params.get("notice", "")),
        **values,
    }
    return HTMLResponse(_environment().get_template(template).render(given), status)


def go_to(request: Request, address: str, *lines: str) -> RedirectResponse:
    """Redirect the browser to a page that shows these lines."""
    if lines:
        address += "?" + urlencode({"notice": studio_of(request).notices.add(lines)})
    return RedirectResponse(address, SEE_OTHER)


def participant_address(participant: str) -> str:
    """The address of a participant's page."""
    return f"/p/{quote(participant, safe='')}"


def thing_address(participant: str, thing: str) -> str:
    """The address of a thing's page."""
    return f"{participant_address(participant)}/t/{quote(thing, safe='')}"


def video_address(participant: Participant, thing: Thing, video: Video) -> str:
    """The start of the addresses of a video's picture and of its deletion."""
    return f"{thing_address(participant.name, thing.name)}/v/{video.video_type}/{quote(video.name, safe='')}"


def percent_text(share: float | None) -> str:
    """`82 %`, with a no-break space."""
    return f"{whole_percent(share)}\N{NO-BREAK SPACE}%"


def counts(videos: Sequence[Video]) -> str:
    """`2 videos, 1 photo`."""
    words = wording()
    films = [video for video in videos if not video.is_photo]
    photos = len(videos) - len(films)
    parts = [words.number("count.videos", len(films))] if films or not photos else []
    return ", ".join([*parts, *([words.number("count.photos", photos)] if photos else [])])


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("orbit_lite.studio"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = printable
    return made
