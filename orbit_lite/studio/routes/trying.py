"""The page to try a recognizer on files and on the live camera."""

import asyncio
import logging
import struct
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from groundwork.errors import KitError
from groundwork.pages.cells import printable
from groundwork.strict_json import parse_json
from orbit_lite.personal.answering.answers import FrameAnswer
from orbit_lite.personal.decision.rejection import STRICTNESS
from orbit_lite.studio.findings import findings
from orbit_lite.studio.live import LiveSession
from orbit_lite.studio.pages import go_to, participant_address, render, studio_of
from orbit_lite.studio.receiving import SentFile, in_gigabytes
from orbit_lite.studio.routes.forms import sent_form, wants_json
from orbit_lite.studio.studio import Studio
from orbit_lite.studio.trying import tried_files, try_file
from orbit_lite.studio.verdicts import without_folder
from orbit_lite.studio.wording import wording

_LOG = logging.getLogger("orbit_lite")
_NUMBER = struct.Struct(">I")  # of a frame, before its JPEG
_MOST_STREAMS = 8  # cameras at once; more would not get answers in time
_RATE_S = 3.0  # period over which answers per second are counted


async def show(request: Request) -> HTMLResponse:
    """The page."""
    return await run_in_threadpool(_page, request)


async def try_files(request: Request) -> Response:
    """Answer uploads; a script gets JSON."""
    studio, name = studio_of(request), request.path_params["participant"]
    participant = studio.study.participant(name)
    async with sent_form(request, participant) as form:
        lines = [await run_in_threadpool(_try, request, sent) for sent in form.files]
    if wants_json(request):
        return JSONResponse({"files": lines})
    if not lines:
        return await run_in_threadpool(_page, request, error=wording()("upload.none"))
    return go_to(request, f"{participant_address(name)}/try", *(str(line["line"]) for line in lines))


def _try(request: Request, sent: SentFile) -> dict[str, object]:
    studio, words = studio_of(request), wording()
    name = printable(sent.name)
    try:
        if sent.refused:
            return {"name": name, "kept": False, "line": sent.refused, "said": sent.refused}
        participant = studio.study.participant(request.path_params["participant"])
        answer = try_file(studio.recognizers.of(participant), participant, sent).text
    except KitError as error:
        why = printable(without_folder(str(error), sent.path))
        return {"name": name, "kept": False, "line": words("try.refused", name=name, why=why), "said": why}
    line = words("try.answer", name=name, answer=printable(answer))
    return {"name": name, "kept": True, "line": line, "said": printable(answer)}


def _page(request: Request, *, error: str = "") -> HTMLResponse:
    studio = studio_of(request)
    participant = studio.study.participant(request.path_params["participant"])
    personal = studio.recognizers.of(participant)
    curve = personal.rejection.curve
    aims = [point.aim or 0.0 for point in reversed(curve)]  # careful, which refuses the most, is on the left
    aim = personal.rejection.point.aim
    return render(
        request,
        "try.html",
        status=422 if error else 200,
        participant=participant.name,
        participant_page=participant_address(participant.name),
        address=f"{participant_address(participant.name)}/try",
        things=", ".join(map(printable, personal.objects)),
        stale=findings(participant).stale,
        side_px=personal.frame_size_px,
        aims=[f"{one:g}" for one in aims],
        chosen=aims.index(aim) if aim in aims else 0,
        strictness=[f"{name}:{share:g}" for name, share in STRICTNESS.items()],
        tried=tried_files(participant),
        most_bytes=studio.limits.file_bytes,
        most_said=in_gigabytes(studio.limits.file_bytes),
        error=error,
    )


async def live(socket: WebSocket) -> None:
    """Answer a camera's frames. A message is either a frame's number and its JPEG, or a threshold, `{"aim": 0.1}`.
    While one frame is being answered, the newest one waits; those in between are skipped and counted."""
    await socket.accept()
    studio: Studio = socket.app.state.studio
    with studio.streams.one_more(_MOST_STREAMS) as free:
        if free:
            await _stream(socket, studio)
        else:
            await socket.send_json({"fault": wording()("live.many", most=_MOST_STREAMS)})
            await socket.close()


async def _stream(socket: WebSocket, studio: Studio) -> None:
    try:
        participant = await run_in_threadpool(studio.study.participant, socket.path_params["participant"])
        personal = await run_in_threadpool(studio.recognizers.of, participant)
    except KitError as error:
        await socket.send_json({"fault": printable(str(error))})
        await socket.close()
        return
    session = LiveSession(personal)
    await asyncio.get_running_loop().run_in_executor(studio.answering, session.warm_up)
    stream = _Stream(socket, session, studio.answering)
    answering = asyncio.create_task(stream.answer())
    try:
        await stream.receive()
    except WebSocketDisconnect:
        pass
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering


class _Stream:
    """The frames of one WebSocket, of which at most one waits."""

    def __init__(self, socket: WebSocket, session: LiveSession, pool: ThreadPoolExecutor) -> None:
        self._socket, self._session, self._pool = socket, session, pool
        self._newest: bytes | None = None
        self._arrived_s = 0.0
        self._came = asyncio.Event()
        self._dropped = 0
        self._answered: deque[float] = deque()

    async def receive(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if (content := message.get("bytes")) is not None:
                self._dropped += self._newest is not None
                self._newest, self._arrived_s = content, time.monotonic()
                self._came.set()
            elif (text := message.get("text")) is not None:
                await self._move(text)

    async def answer(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            content, self._newest = self._newest, None
            if content is None or len(content) <= _NUMBER.size:
                continue
            (number,), arrived_s = _NUMBER.unpack(content[: _NUMBER.size]), self._arrived_s
            try:
                jpeg = content[_NUMBER.size :]
                found = await asyncio.get_running_loop().run_in_executor(self._pool, self._session.answer, number, jpeg)
            except KitError as error:
                await self._send({"fault": printable(str(error))})
                continue
            except Exception as error:  # an error in the kit; the next frame may succeed
                _LOG.exception("a live frame: error in the kit")
                await self._send({"fault": wording()("fault.kit", why=type(error).__name__)})
                continue
            now_s = time.monotonic()
            self._answered.append(now_s)
            while self._answered[0] < now_s - _RATE_S:
                self._answered.popleft()
            timing = {"work_ms": round(1000 * (now_s - arrived_s)), "dropped": self._dropped, "rate": self._rate()}
            say = None if found.say is None else printable(found.say)
            await self._send({**_shown(found.answer), "say": say, **timing})

    def _rate(self) -> float:
        span = self._answered[-1] - self._answered[0]
        return round((len(self._answered) - 1) / span, 1) if span > 0 else 0.0

    async def _move(self, text: str) -> None:
        try:
            aim = float(parse_json(text)["aim"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return  # no page of this server sends such a message
        if (found := self._session.at(aim)) is not None:
            await self._send(_shown(found))

    async def _send(self, content: dict[str, object]) -> None:
        with suppress(WebSocketDisconnect):  # the page was closed meanwhile
            await self._socket.send_json(content)


def _shown(answer: FrameAnswer) -> dict[str, object]:
    return {
        "frame": answer.frame,
        "answer": printable(answer.text),
        "object": printable(answer.object),
        "kind": answer.kind,
    }


ROUTES = (
    Route("/p/{participant}/try", show),
    Route("/p/{participant}/try", try_files, methods=["POST"]),
    WebSocketRoute("/p/{participant}/live", live),
)
