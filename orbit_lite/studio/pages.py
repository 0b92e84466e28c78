"""Templates to pages, and addresses of what they are about."""

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
    """The server's parts."""
    found: Studio = request.app.state.studio
    return found


def render(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """A page. `notice` in the address is shown at its top."""
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
    """Send the browser to a page that shows these lines."""
    if lines:
        address += "?" + urlencode({"notice": studio_of(request).notices.add(lines)})
    return RedirectResponse(address, SEE_OTHER)


def participant_address(participant: str) -> str:
    """Where a participant's page is."""
    return f"/p/{quote(participant, safe='')}"


def thing_address(participant: str, thing: str) -> str:
    """Where a thing's page is."""
    return f"{participant_address(participant)}/t/{quote(thing, safe='')}"


def video_address(participant: Participant, thing: Thing, video: Video) -> str:
    """What the addresses of a video's picture and deletion begin with."""
    return f"{thing_address(participant.name, thing.name)}/v/{video.video_type}/{quote(video.name, safe='')}"


def percent_text(share: float | None) -> str:
    """`82 %`, which no line breaks."""
    return f"{whole_percent(share)}\N{NO-BREAK SPACE}%"


def first_capital(text: str) -> str:
    """A sentence that began in the midst of a line."""
    return text[:1].upper() + text[1:]


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
