"""The server of the local page: one per study at a time, only on 127.0.0.1."""

import errno
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from groundwork.errors import UsageError
from groundwork.lock import only_writer
from orbit_lite.studio.app import make_app
from orbit_lite.studio.arrivals import remove_left
from orbit_lite.studio.guard import TOKEN
from orbit_lite.studio.live import MOST_BYTES
from orbit_lite.studio.receiving import Limits
from orbit_lite.studio.renaming import end_renamings
from orbit_lite.studio.studio import Studio
from orbit_lite.studio.study import Study
from orbit_lite.studio.teaching import Teacher

HOST = "127.0.0.1"
PORT = 8611  # the default; if it is in use, any free port
_LOCK_NAME = "studio"
_GOODBYE_S = 3  # for answers in progress when the server is stopped


@dataclass(frozen=True)
class Address:
    """A server's address. The token gives a browser access while the server runs."""

    port: int
    token: str

    def __str__(self) -> str:
        return f"http://{HOST}:{self.port}/?{TOKEN}={self.token}"


def serve(
    root: Path,
    *,
    port: int | None = None,
    teacher: Teacher | None = None,
    limits: Limits | None = None,
    ready: Callable[[Address], object],
) -> None:
    """Serve a study's folder until Ctrl-C.

    Args:
        root: the folder, created if missing.
        port: 0 for any free port; None for PORT, or any free port if that is in use.
        teacher: how participants are taught; by default from the embedded start.
        limits: limits on uploads.
        ready: called once with the address, when browsers can connect.

    Raises:
        UsageError: if the folder is not a study's, another server has it open, or the port is in use.
    """
    study = Study.open(root)
    with only_studio(study), listening(port) as listener:
        remove_left(study)
        end_renamings(study)
        studio = Studio.of(study, teacher=teacher or Teacher(), limits=limits or Limits())
        address = Address(listener.getsockname()[1], secrets.token_urlsafe(24))
        try:
            server = make_server(studio, address)
            ready(address)
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # the normal way to stop it
            pass
        finally:
            studio.close()


def make_server(studio: Studio, address: Address) -> uvicorn.Server:
    """Make a server, without starting it."""
    app = make_app(studio, port=address.port, token=address.token)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=MOST_BYTES + 16,
        timeout_graceful_shutdown=_GOODBYE_S,
    )
    return uvicorn.Server(config)


@contextmanager
def only_studio(study: Study) -> Iterator[None]:
    """Lock the folder against other servers while the block runs.

    Raises:
        UsageError: if another server has it open.
    """
    with ExitStack() as held:
        try:
            held.enter_context(only_writer(study.root / _LOCK_NAME, str(study.root)))
        except UsageError:
            raise UsageError(
                f"{study.root}: another studio has this folder open; use that studio, or stop it first"
            ) from None
        yield


@contextmanager
def listening(port: int | None) -> Iterator[socket.socket]:
    """A listening socket that only this computer can connect to.

    Raises:
        UsageError: if the port is in use or not allowed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # otherwise the port stays in use for a minute after a studio was stopped
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, PORT if port is None else port))
        except OSError as error:
            if port is not None:
                raise UsageError(
                    f"--port {port}: {_why(error)}; give another port, or leave out --port to use a free one"
                ) from None
            listener.bind((HOST, 0))
        listener.listen(128)
        yield listener


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use by another program"
    return error.strerror or str(error)
