"""The pages that list what goes, and delete it once somebody has agreed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from data_prep.forgetting.plan import Plan
from groundwork.pages.cells import printable
from orbit_lite.studio.pages import participant_address, render, studio_of, thing_address
from orbit_lite.studio.removing import (
    appeared,
    carry_out,
    plan_everything,
    plan_participant,
    plan_thing,
    plan_video,
    tidy,
)
from orbit_lite.studio.study import Participant, Study
from orbit_lite.studio.wording import wording

_Lines = Mapping[str, object]


@dataclass(frozen=True)
class _Question:
    """What is to be deleted, of whom, and where to go from there: back, and when it is gone."""

    title: str
    plan: Plan
    whose: Sequence[Participant]
    back: tuple[str, str]
    after: tuple[str, str]


def _question(study: Study, given: dict[str, str]) -> _Question:
    words, top = wording(), ("/", wording()("nav.study"))
    if "participant" not in given:
        plan = plan_everything(study)
        return _Question(words("delete.everything"), plan, study.participants(), top, top)
    participant = study.participant(given["participant"])
    whose, page = [participant], (participant_address(participant.name), participant.name)
    if "thing" not in given:
        title = words("delete.participant", name=participant.name)
        return _Question(title, plan_participant(study, participant), whose, page, top)
    thing = participant.thing(given["thing"])
    own_page = thing_address(participant.name, thing.name), thing.name
    if "video" not in given:
        title = words("delete.thing", name=thing.name)
        return _Question(title, plan_thing(study, participant, thing), whose, own_page, page)
    video = thing.video(given["type"], given["video"])
    title = words("delete.video", name=printable(video.name))
    return _Question(title, plan_video(study, participant, thing, video), whose, own_page, own_page)


async def ask(request: Request) -> HTMLResponse:
    """List what would go."""

    def page() -> HTMLResponse:
        question = _question(studio_of(request).study, request.path_params)
        return _shown(request, question, question.back, plan=_lines(studio_of(request).study, question.plan), done=None)

    return await run_in_threadpool(page)


async def delete(request: Request) -> HTMLResponse:
    """Remove it, and list what went."""

    def page() -> HTMLResponse:
        studio = studio_of(request)
        question = _question(studio.study, request.path_params)
        forgotten = carry_out(studio.study, question.whose, question.plan)
        whole = "thing" not in request.path_params
        if whole:
            tidy(studio.study, [one.path.name for one in question.whose])
            for one in question.whose:
                studio.jobs.forget(one.name)
            forgotten += appeared(question.plan)
        done = {
            "removed": _below(studio.study, forgotten.removed),
            "left": _below(studio.study, forgotten.left),
            "still": _below(studio.study, forgotten.remaining),
            "unreachable": _below(studio.study, forgotten.unreachable),
        }
        return _shown(request, question, question.after, plan=None, done=done)

    return await run_in_threadpool(page)


def _shown(
    request: Request, question: _Question, back: tuple[str, str], *, plan: _Lines | None, done: _Lines | None
) -> HTMLResponse:
    return render(request, "delete.html", title=question.title, back=back[0], back_name=back[1], plan=plan, done=done)


def _lines(study: Study, plan: Plan) -> _Lines:
    return {
        "note": printable(plan.note),
        "remove": _below(study, [change.line for change in plan.changes]),
        "left": _below(study, plan.left),
        "still": _below(study, plan.remaining),
        "unreachable": _below(study, plan.unreachable),
    }


def _below(study: Study, lines: Sequence[str]) -> list[str]:
    """Lines that name a place by where it is in the study."""
    return [printable(line.replace(f"{study.root}{os.sep}", "")) for line in lines]


_PLACES = (
    "/delete",
    "/p/{participant}/delete",
    "/p/{participant}/t/{thing}/delete",
    "/p/{participant}/t/{thing}/v/{type}/{video}/delete",
)
ROUTES = tuple(route for place in _PLACES for route in (Route(place, ask), Route(place, delete, methods=["POST"])))
