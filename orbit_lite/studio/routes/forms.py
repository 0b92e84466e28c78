"""Reads the forms that pages send: short texts, and files."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from groundwork.errors import UsageError
from orbit_lite.studio.locks import using
from orbit_lite.studio.pages import studio_of
from orbit_lite.studio.receiving import SentForm, TooMuch, incoming_folder, receive_form
from orbit_lite.studio.study import Participant
from orbit_lite.studio.wording import wording

_LONGEST_FORM = 16_384  # bytes of a form without files


async def text_field(request: Request, name: str) -> str:
    """One field of a form without files; "" if it is missing.

    Raises:
        TooMuch: if the form is longer than the page's own forms.
    """
    from urllib.parse import parse_qs

    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            raise TooMuch(wording()("form.too_long"))
    try:
        return parse_qs(body.decode(), keep_blank_values=True).get(name, [""])[0]
    except (UnicodeDecodeError, ValueError):
        raise UsageError(wording()("form.damaged")) from None


@asynccontextmanager
async def sent_form(request: Request, participant: Participant) -> AsyncIterator[SentForm]:
    """A form with files, in a folder of the participant that is removed at the end of the block.

    Raises:
        UsageError: as `receive_form`.
        DataError: if there is a link on the path to that folder.
        Gone, Busy: see `using`.
    """
    participant.require_own(participant.incoming)
    with ExitStack() as held:
        await run_in_threadpool(held.enter_context, using(participant))
        folder = held.enter_context(incoming_folder(participant.incoming))
        yield await receive_form(
            request.stream(),
            request.headers.get("content-type", ""),
            request.headers.get("content-length"),
            folder,
            studio_of(request).limits,
        )


def wants_json(request: Request) -> bool:
    """Whether the request comes from a script of the page, not from a form."""
    return "application/json" in request.headers.get("accept", "")
