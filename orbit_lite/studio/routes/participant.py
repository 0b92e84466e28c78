"""A participant's page: things, teaching, and the check as cards."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from groundwork.errors import DataError
from groundwork.pages.cells import printable
from orbit_lite.studio.changing import add_thing
from orbit_lite.studio.findings import Card, Findings, findings
from orbit_lite.studio.jobs import Job, State, quarter
from orbit_lite.studio.names import NameRefused
from orbit_lite.studio.pages import (
    counts,
    go_to,
    participant_address,
    percent_text,
    render,
    studio_of,
    thing_address,
)
from orbit_lite.studio.renaming import rename_participant
from orbit_lite.studio.routes.forms import text_field
from orbit_lite.studio.study import Busy, Participant, Thing
from orbit_lite.studio.teaching import require_teachable
from orbit_lite.studio.wording import wording


async def show(request: Request) -> HTMLResponse:
    """The page."""
    return await run_in_threadpool(_page, request)


async def add(request: Request) -> Response:
    """Add a thing, and go to its page."""
    typed, participant = await text_field(request, "name"), request.path_params["participant"]
    try:
        name = await run_in_threadpool(add_thing, studio_of(request).study, participant, typed)
    except NameRefused as error:
        return await run_in_threadpool(_page, request, error=str(error), typed=typed)
    return go_to(request, thing_address(participant, name), wording()("participant.added", name=name))


async def teach(request: Request) -> Response:
    """Start teaching; the page then shows the progress."""
    studio, name = studio_of(request), request.path_params["participant"]
    participant = await run_in_threadpool(studio.study.participant, name)
    require_teachable(participant)
    studio.jobs.start(participant.name, lambda say: studio.teacher.teach(studio.study, participant.name, say))
    return go_to(request, participant_address(participant.name) + "#teach")


async def job(request: Request) -> JSONResponse:
    """The progress of teaching, for the page's script; `said` changes rarely, so that it can be announced."""
    found = studio_of(request).jobs.of(request.path_params["participant"])
    if found is None:
        return JSONResponse({"number": 0, "state": "", "said": "", "fault": ""})
    return JSONResponse(
        {"number": found.number, "state": found.state, "said": _announced(found), "fault": printable(found.fault)}
    )


def _announced(found: Job) -> str:
    part = quarter(found)
    if found.state is State.RUNNING and part > 0 and found.done < found.total:
        done = -(-part * found.total // 4)  # the number at which the quarter began
        return wording()("teach.progress", said=found.said, done=done, total=found.total)
    return found.said


async def rename(request: Request) -> Response:
    """Rename the participant, go to their page, and make their check again."""
    studio, old = studio_of(request), request.path_params["participant"]
    typed = await text_field(request, "name")
    job = studio.jobs.of(old)
    if job and job.at_work:
        raise Busy(wording()("busy.at_work", name=old))
    try:
        name = await run_in_threadpool(rename_participant, studio.study, old, typed)
    except NameRefused as error:
        return await run_in_threadpool(_page, request, rename_error=str(error), renamed=typed)
    if name == old:
        return go_to(request, participant_address(name))
    studio.jobs.forget(old)
    if (await run_in_threadpool(studio.study.participant, name)).file.is_file():
        studio.jobs.start(name, lambda say: studio.teacher.examine(studio.study, name, say))
    return go_to(request, participant_address(name), wording()("participant.renamed", old=old, name=name))


def _page(
    request: Request, *, error: str = "", typed: str = "", rename_error: str = "", renamed: str = ""
) -> HTMLResponse:
    studio, words = studio_of(request), wording()
    participant = studio.study.participant(request.path_params["participant"])
    found, address = findings(participant), participant_address(participant.name)
    job = studio.jobs.of(participant.name)
    try:
        require_teachable(participant)
        missing = ""
    except DataError as fault:
        missing = str(fault)
    return render(
        request,
        "participant.html",
        status=422 if error or rename_error else 200,
        name=participant.name,
        address=address,
        things=[
            {"name": thing.name, "address": thing_address(participant.name, thing.name), "said": _thing_summary(thing)}
            for thing in participant.things
        ],
        error=error,
        typed=typed,
        rename_error=rename_error,
        renamed=renamed or participant.name,
        teachable=not missing,
        teach_note=missing or words("teach.note"),
        job={
            "number": job.number if job else 0,
            "state": job.state if job else "",
            "said": _announced(job) if job else "",
            "fault": printable(job.fault) if job else "",
        },
        at_work=bool(job and job.at_work),
        taught=found.taught,
        **_checked(participant, found),
    )


def _checked(participant: Participant, found: Findings) -> dict[str, object]:
    words, numbers, headline = wording(), found.numbers, None
    if numbers:
        videos = words.number("count.videos", numbers.videos)
        text = words("check.headline", videos=videos, chance=percent_text(numbers.chance))
        headline = {"share": percent_text(numbers.accuracy), "text": text}
    return {
        "stale": found.stale,
        "outdated": found.outdated,
        "fault": found.fault,
        "headline": headline,
        "cards": [_card(card, found.tested.get(card.thing)) for card in found.cards],
        "tested": (participant.test_folder / "report.html").is_file(),
    }


def _card(card: Card, tested: float | None) -> dict[str, str]:
    words = wording()
    result, text = words("check.not_checked"), words("check.not_checked_text")
    if card.right is not None:
        result = words("check.result", recognized=card.recognized, held_out=card.held_out)
        text = words("check.result_text", right=percent_text(card.right), chance=percent_text(card.chance))
    taken = words("check.taken", thing=printable(card.taken_for), share=percent_text(card.taken_share))
    return {
        "thing": printable(card.thing),
        "result": result,
        "result_text": text,
        "taken": taken if card.taken_for else "",
        "tested": words("check.tested", share=percent_text(tested)) if tested is not None else "",
        "next": printable(card.next),
    }


def _thing_summary(thing: Thing) -> str:
    words = wording()
    if not thing.videos:
        return words("thing.none")
    parts = [counts(thing.teaching)] if thing.teaching else []
    return ", ".join([*parts, *([words.number("count.tests", len(thing.tests))] if thing.tests else [])]) + "."


ROUTES = (
    Route("/p/{participant}", show),
    Route("/p/{participant}/things", add, methods=["POST"]),
    Route("/p/{participant}/rename", rename, methods=["POST"]),
    Route("/p/{participant}/teach", teach, methods=["POST"]),
    Route("/p/{participant}/job", job),
)
