"""The first page: participants, the table of all things, CSV, and report."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from groundwork.errors import DataError
from groundwork.pages.printing import csv_table, html_table
from orbit_lite.personal.checking.numbers import UserNumbers
from orbit_lite.personal.checking.participants import participants_page
from orbit_lite.studio.changing import add_participant
from orbit_lite.studio.findings import findings
from orbit_lite.studio.names import NameRefused
from orbit_lite.studio.pages import counts, go_to, participant_address, percent_text, render, studio_of
from orbit_lite.studio.routes.forms import text_field
from orbit_lite.studio.routes.reports import report_page
from orbit_lite.studio.study import Participant
from orbit_lite.studio.table import study_table
from orbit_lite.studio.wording import wording


async def show(request: Request) -> HTMLResponse:
    """The page."""
    return await run_in_threadpool(_page, request)


async def add(request: Request) -> Response:
    """Add a participant, and go to their page."""
    typed = await text_field(request, "name")
    try:
        name = await run_in_threadpool(add_participant, studio_of(request).study, typed)
    except NameRefused as error:
        return await run_in_threadpool(_page, request, error=str(error), typed=typed)
    return go_to(request, participant_address(name), wording()("study.added", name=name))


async def table_csv(request: Request) -> Response:
    """The table as CSV."""
    table = await run_in_threadpool(lambda: study_table(studio_of(request).study.participants()))
    headers = {"content-disposition": 'attachment; filename="study.csv"'}
    return Response(csv_table(table), media_type="text/csv; charset=utf-8", headers=headers)


async def report(request: Request) -> Response:
    """The checks of all participants on one page, as `check-user` makes it for several users."""

    def page() -> Response:
        checks = _checks(studio_of(request).study.participants())
        if not checks:
            raise DataError(wording()("study.no_report"))
        return report_page(request, participants_page(checks), back="/", name=wording()("nav.study"))

    return await run_in_threadpool(page)


def _checks(people: list[Participant]) -> dict[str, UserNumbers]:
    found = {one.name: findings(one).numbers for one in people}
    return {name: numbers for name, numbers in found.items() if numbers is not None}


def _page(request: Request, *, error: str = "", typed: str = "") -> HTMLResponse:
    study = studio_of(request).study
    people = study.participants()
    return render(
        request,
        "study.html",
        status=422 if error else 200,
        study=study.root.name,
        people=[
            {"name": one.name, "address": participant_address(one.name), "said": _participant_summary(one)}
            for one in people
        ],
        table=html_table(study_table(people), scroll_hint=wording()("table.scroll"))
        if any(one.things for one in people)
        else "",
        reported=bool(_checks(people)),
        error=error,
        typed=typed,
    )


def _participant_summary(participant: Participant) -> str:
    words, found = wording(), findings(participant)
    state = words("study.not_taught")
    if found.taught:
        state = words("study.taught")
    if found.numbers:
        state = words("study.taught_checked", share=percent_text(found.numbers.accuracy))
    videos = [video for thing in participant.things for video in thing.videos]
    things = words.number("count.things", len(participant.things))
    return words("study.one", things=things, videos=counts(videos), state=state)


ROUTES = (
    Route("/", show),
    Route("/participants", add, methods=["POST"]),
    Route("/study.csv", table_csv),
    Route("/report", report),
)
