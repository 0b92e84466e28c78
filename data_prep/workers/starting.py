"""How worker processes start: as a fresh interpreter (spawn), or on Linux as a copy of a process with loaded libraries.

A fresh interpreter needs half a second of CPU time to load its libraries, as long as 60 pictures of 1080p take. On
Linux, one process is started for the whole program (multiprocessing's forkserver), which loads them once and does
nothing else. A worker is a copy of it, made in milliseconds, also when it replaces a stopped one. That process decodes
nothing and runs no threads of OpenCV or libav, so its copies are clean, unlike copies of the program itself.

Unlike multiprocessing's own workers, these do not import the program's main script again: the functions they run are in
modules. A main script that imports torch would cost each worker seconds, and one without `if __name__ == "__main__"`
would run again in each.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import util
from multiprocessing.context import BaseContext, SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from groundwork.errors import UsageError

PRELOADED: tuple[str, ...] = ("data_prep.making.extract", "data_prep.workers.stream")
LONGEST_FOLDER_BYTES = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # the path of a Unix socket has at most 107
SHORT_FOLDER = "/tmp"

_MAIN_HIDDEN = threading.Lock()


class _SpawnedProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _main_hidden():
            return SpawnProcess._Popen(process_obj)


class _SpawnContext(SpawnContext):
    Process = _SpawnedProcess


if sys.platform == "linux":
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class _CopiedProcess(ForkServerProcess):
        @staticmethod
        def _Popen(process_obj: Any) -> Any:
            with _main_hidden():
                return ForkServerProcess._Popen(process_obj)

    class _ForkServerContext(ForkServerContext):
        Process = _CopiedProcess


def worker_context() -> BaseContext:
    """How to start worker processes on this system. macOS frameworks can't be forked safely; Windows can't fork."""
    if sys.platform != "linux":
        return _SpawnContext()
    make_room_for_sockets()
    context = _ForkServerContext()
    context.set_forkserver_preload(list(PRELOADED))  # no effect if it is already running
    return context


def make_room_for_sockets() -> None:
    """Let processes meet in a folder with a short path where the temporary folder's path is too long for a socket, as
    some clusters have it. Call this before processes start; a second call does nothing.

    Raises:
        UsageError: if the short folder can't be written to.
    """
    folder = tempfile.gettempdir()
    if sys.platform == "win32" or len(os.fsencode(folder)) <= LONGEST_FOLDER_BYTES:
        return
    tempfile.tempdir = SHORT_FOLDER
    try:
        util.get_temp_dir()  # multiprocessing makes it once, hands it down to its processes and removes it at the end
    except OSError as error:
        raise UsageError(
            f"{folder}: this temporary folder's path is too long for processes to communicate in it (at most "
            f"{LONGEST_FOLDER_BYTES} bytes), and {SHORT_FOLDER} can't be written to; set TMPDIR to a folder with a "
            "shorter path."
        ) from error
    finally:
        tempfile.tempdir = folder


def start_early() -> None:
    """Start loading the workers' libraries in the background; returns at once. Useful before long imports."""
    worker_context()
    if sys.platform == "linux":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def require_module(function: Callable[..., object]) -> None:
    """Require that workers can import a function.

    Raises:
        ValueError: if it is in the main script, which workers don't import.
    """
    if getattr(function, "__module__", None) == "__main__":
        raise ValueError(f"{function} is in the main script, which workers don't import; put it into a module")


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Hide the main module from multiprocessing, so that a new process does not import it."""
    with _MAIN_HIDDEN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
