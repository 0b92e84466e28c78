"""The pages that list what will be deleted, and delete it when the user agrees."""

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
_Page = tuple[str, str]


@dataclass(frozen=True)
class _Question:
    """A question about deleting something.

    Attributes:
        title: the question.
        plan: what deleting removes.
        owners: the participants whose data it is.
        pages: addresses and names of the pages from the study down to the present one.
        gone: whether the last of these pages is also deleted.
    """

    title: str
    plan: Plan
    owners: Sequence[Participant]
    pages: Sequence[_Page]
    gone: bool

    @property
    def pages_left(self) -> Sequence[_Page]:
        """The pages that still exist after deleting."""
        return self.pages[:-1] if self.gone else self.pages


def _question(study: Study, given: dict[str, str]) -> _Question:
    words, top = wording(), ("/", wording()("nav.study"))
    if "participant" not in given:
        plan = plan_everything(study)
        return _Question(words("delete.everything"), plan, study.participants(), [top], gone=False)
    participant = study.participant(given["participant"])
    owners, page = [participant], (participant_address(participant.name), participant.name)
    if "thing" not in given:
        title = words("delete.participant", name=participant.name)
        return _Question(title, plan_participant(study, participant), owners, [top, page], gone=True)
    thing = participant.thing(given["thing"])
    own_page = thing_address(participant.name, thing.name), thing.name
    if "video" not in given:
        title = words("delete.thing", name=thing.name, participant=participant.name)
        return _Question(title, plan_thing(study, participant, thing), owners, [top, page, own_page], gone=True)
    video = thing.video(given["type"], given["video"])
    title = words("delete.video", name=printable(video.name))
    plan = plan_video(study, participant, thing, video)
    return _Question(title, plan, owners, [top, page, own_page], gone=False)


async def ask(request: Request) -> HTMLResponse:
    """List what would be removed."""

    def page() -> HTMLResponse:
        study = studio_of(request).study
        question = _question(study, request.path_params)
        return _shown(request, question, question.pages, plan=_lines(study, question.plan), done=None)

    return await run_in_threadpool(page)


async def delete(request: Request) -> HTMLResponse:
    """Remove it, and list what was removed."""

    def page() -> HTMLResponse:
        studio = studio_of(request)
        question = _question(studio.study, request.path_params)
        forgotten = carry_out(studio.study, question.owners, question.plan)
        whole = "thing" not in request.path_params
        if whole:
            tidy(studio.study, [one.path.name for one in question.owners])
            for one in question.owners:
                studio.jobs.forget(one.name)
            forgotten += appeared(question.plan)
        done = {
            "removed": _below(studio.study, forgotten.removed),
            "left": _below(studio.study, forgotten.left),
            "still": _below(studio.study, forgotten.remaining),
            "unreachable": _below(studio.study, forgotten.unreachable),
        }
        return _shown(request, question, question.pages_left, plan=None, done=done)

    return await run_in_threadpool(page)


def _shown(
    request: Request, question: _Question, pages: Sequence[_Page], *, plan: _Lines | None, done: _Lines | None
) -> HTMLResponse:
    back, back_name = pages[-1]
    return render(
        request, "delete.html", title=question.title, pages=pages, back=back, back_name=back_name, plan=plan, done=done
    )


def _lines(study: Study, plan: Plan) -> _Lines:
    return {
        "note": printable(plan.note),
        "remove": _below(study, [change.line for change in plan.changes]),
        "left": _below(study, plan.left),
        "still": _below(study, plan.remaining),
        "unreachable": _below(study, plan.unreachable),
    }


def _below(study: Study, lines: Sequence[str]) -> list[str]:
    """The lines, with paths relative to the study."""
    return [printable(line.replace(f"{study.root}{os.sep}", "")) for line in lines]


_PLACES = (
    "/delete",
    "/p/{participant}/delete",
    "/p/{participant}/t/{thing}/delete",
    "/p/{participant}/t/{thing}/v/{type}/{video}/delete",
)
ROUTES = tuple(route for place in _PLACES for route in (Route(place, ask), Route(place, delete, methods=["POST"])))
