"""A thing's page: its videos with verdicts, filming and adding, renaming and merging."""

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from data_prep.quality.single import Verdict
from groundwork.pages.cells import printable
from groundwork.words import first_capital
from orbit_lite.studio.arrivals import Arrival
from orbit_lite.studio.changing import merge_thing, rename_thing
from orbit_lite.studio.names import NameRefused
from orbit_lite.studio.pages import (
    go_to,
    participant_address,
    render,
    studio_of,
    thing_address,
    video_address,
)
from orbit_lite.studio.receiving import SentForm, in_gigabytes
from orbit_lite.studio.routes.forms import sent_form, text_field, wants_json
from orbit_lite.studio.study import Participant, Thing, Video
from orbit_lite.studio.verdicts import in_words
from orbit_lite.studio.wording import wording

FILM_SECONDS = (10, 15, 20)
COUNTDOWN_SECONDS = 3
SHORT_S = 5.0  # half of the shortest film that the page offers


async def show(request: Request) -> HTMLResponse:
    """The page."""
    return await run_in_threadpool(_page, request)


async def add(request: Request) -> Response:
    """Add videos and photos; a script gets JSON with a result per file."""
    studio = studio_of(request)
    name, thing = request.path_params["participant"], request.path_params["thing"]
    participant = studio.study.participant(name)
    participant.thing(thing)
    async with sent_form(request, participant) as form:
        arrivals = await run_in_threadpool(_take_in, request, name, thing, form)
    if wants_json(request):
        return JSONResponse({"files": [_arrival_json(arrival) for arrival in arrivals]})
    if not arrivals:
        return await run_in_threadpool(_page, request, error=wording()("upload.none"))
    return go_to(request, thing_address(name, thing), *(_arrival_line(arrival) for arrival in arrivals))


def _take_in(request: Request, name: str, thing: str, form: SentForm) -> list[Arrival]:
    video_type = form.fields.get("place") or form.fields.get("film-place") or "clean"
    return list(studio_of(request).intake.take_in(name, thing, video_type, form.files))


async def rename(request: Request) -> Response:
    """Rename the thing."""
    typed = await text_field(request, "name")
    name, thing = request.path_params["participant"], request.path_params["thing"]
    try:
        new = await run_in_threadpool(rename_thing, studio_of(request).study, name, thing, typed)
    except NameRefused as error:
        return await run_in_threadpool(_page, request, rename_error=str(error), typed=typed)
    return go_to(request, thing_address(name, new), wording()("thing.renamed", name=new))


async def merge(request: Request) -> Response:
    """Move its videos to another thing."""
    into = await text_field(request, "into")
    name, thing = request.path_params["participant"], request.path_params["thing"]
    await run_in_threadpool(merge_thing, studio_of(request).study, name, thing, into)
    return go_to(request, thing_address(name, into), wording()("thing.merged", name=thing, into=into))


async def verdicts(request: Request) -> JSONResponse:
    """The present verdict on each video, for the page's script; null while it is being checked."""

    def found() -> dict[str, str | None]:
        _, thing = _named(request)
        known = studio_of(request).intake.verdicts.known(thing.videos)
        return {_key(video): _verdict_text(video, verdict) for video in thing.videos for verdict in [known[video.path]]}

    return JSONResponse(await run_in_threadpool(found))


async def picture(request: Request) -> Response:
    """A video's first picture."""

    def found() -> bytes:
        _, thing = _named(request)
        video = thing.video(request.path_params["type"], request.path_params["video"])
        return studio_of(request).intake.judge.picture(video.path)

    return Response(await run_in_threadpool(found), media_type="image/jpeg")


def _named(request: Request) -> tuple[Participant, Thing]:
    participant = studio_of(request).study.participant(request.path_params["participant"])
    return participant, participant.thing(request.path_params["thing"])


def _page(request: Request, *, error: str = "", rename_error: str = "", typed: str = "") -> HTMLResponse:
    participant, thing = _named(request)
    studio = studio_of(request)
    return render(
        request,
        "thing.html",
        status=422 if error or rename_error else 200,
        name=thing.name,
        participant=participant.name,
        participant_page=participant_address(participant.name),
        address=thing_address(participant.name, thing.name),
        advice=wording()("thing.advice"),
        teaching=_rows(request, participant, thing, thing.teaching),
        aside=_rows(request, participant, thing, thing.unused_photos),
        tests=_rows(request, participant, thing, thing.tests),
        pictures=request.query_params.get("pictures") == "on",
        others=[other.name for other in participant.things if other.name != thing.name],
        film_seconds=FILM_SECONDS,
        countdown_seconds=COUNTDOWN_SECONDS,
        most_bytes=studio.limits.file_bytes,
        most_said=in_gigabytes(studio.limits.file_bytes),
        chosen="clean",
        error=error,
        rename_error=rename_error,
        typed=typed or thing.name,
    )


def _rows(request: Request, participant: Participant, thing: Thing, videos: Sequence[Video]) -> list[dict[str, object]]:
    known = studio_of(request).intake.verdicts.known(videos)
    return [
        {
            "name": printable(video.name),
            "key": _key(video),
            "address": video_address(participant, thing, video),
            "said": _verdict_text(video, known[video.path]) or wording()("video.looking"),
        }
        for video in videos
    ]


def _key(video: Video) -> str:
    return f"{video.video_type}/{video.name}"


def _verdict_text(video: Video, verdict: Verdict | str | None) -> str | None:
    words = wording()
    if verdict is None:
        return None
    if isinstance(verdict, str):
        return words("video.unreadable", why=printable(verdict))
    return _verdict_sentence(verdict, photo=video.is_photo)


def _verdict_sentence(verdict: Verdict, *, photo: bool) -> str:
    filmed = first_capital(in_words(verdict, photo=photo))
    if photo:
        return wording()("video.photo", verdict=filmed)
    key = "video.short" if verdict.seconds < SHORT_S else "video.length"
    return wording()(key, seconds=f"{verdict.seconds:.0f}", verdict=filmed)


def _arrival_json(arrival: Arrival) -> dict[str, object]:
    kept = arrival.verdict is not None
    return {"name": arrival.name, "kept": kept, "line": _arrival_line(arrival), "said": _arrival_text(arrival)}


def _arrival_text(arrival: Arrival) -> str:
    verdict = arrival.verdict
    return printable(arrival.fault) if verdict is None else _verdict_sentence(verdict, photo=verdict.frames == 1)


def _arrival_line(arrival: Arrival) -> str:
    words, name = wording(), printable(arrival.name)
    if arrival.verdict is None:
        return words("upload.refused", name=name, why=_arrival_text(arrival)) if name else _arrival_text(arrival)
    return words("upload.kept", name=name, verdict=_arrival_text(arrival))


_VIDEO = "/p/{participant}/t/{thing}/v/{type}/{video}"
ROUTES = (
    Route("/p/{participant}/t/{thing}", show),
    Route("/p/{participant}/t/{thing}/videos", add, methods=["POST"]),
    Route("/p/{participant}/t/{thing}/rename", rename, methods=["POST"]),
    Route("/p/{participant}/t/{thing}/merge", merge, methods=["POST"]),
    Route("/p/{participant}/t/{thing}/verdicts", verdicts),
    Route(f"{_VIDEO}/picture", picture),
)
