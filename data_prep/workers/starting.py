"""How worker processes start: each from a fresh interpreter (spawn), on Linux as a copy of one that has loaded all.

A fresh one takes half a second of a processor to load its libraries, as long as 60 pictures of 1080p take. On Linux one
process is started for the whole program (multiprocessing's forkserver), which loads them once and does nothing else; a
worker is a copy of it, made in milliseconds, also where another has to be stopped. It decodes nothing and runs no
thread of OpenCV or libav, so that its copies are clean, which copies of the program itself would not be.

A worker does not import the program's main script again, as multiprocessing's do: the functions it runs stand in
modules. A script that imports torch would cost each worker seconds, and one without `if __name__ == "__main__"` would
run again in each.
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
    """How to start worker processes here. Frameworks of macOS don't stand being copied; Windows can't copy at all."""
    if sys.platform != "linux":
        return _SpawnContext()
    make_room_for_sockets()
    context = _ForkServerContext()
    context.set_forkserver_preload(list(PRELOADED))  # of no effect once it runs
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
    """Let the libraries load beside this process's own; returns at once. Of use before long imports."""
    worker_context()
    if sys.platform == "linux":
        from multiprocessing.forkserver import ensure_running

        ensure_running()


def require_module(function: Callable[..., object]) -> None:
    """Refuse a function that a worker would not find.

    Raises:
        ValueError: if it stands in the main script, which workers don't import.
    """
    if getattr(function, "__module__", None) == "__main__":
        raise ValueError(f"{function} stands in the main script, which workers don't import; put it into a module")


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Let multiprocessing find nothing in the main module that a new process would have to import."""
    with _MAIN_HIDDEN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
