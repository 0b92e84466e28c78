"""How worker processes start: each from a fresh interpreter (spawn), on Linux as a copy of one that has loaded all.

A fresh one takes half a second of a processor to load its libraries, as long as 60 pictures of 1080p take. On Linux one
process is started for the whole program (multiprocessing's forkserver), which loads them once and does nothing else; a
worker is a copy of it, made in milliseconds, also where another has to be stopped. It decodes nothing and runs no
thread of OpenCV or libav, so that its copies are clean, which copies of the program itself would not be.
"""

import multiprocessing
import sys
from multiprocessing.context import BaseContext

PRELOADED: tuple[str, ...] = ("data_prep.making.extract", "data_prep.workers.stream")


def worker_context() -> BaseContext:
    """How to start worker processes here. Frameworks of macOS don't stand being copied; Windows can't copy at all."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))  # of no effect once it runs
    return context


def start_early() -> None:
    """Let the libraries load beside this process's own; returns at once. Of use before long imports."""
    worker_context()
    if sys.platform == "linux":
        from multiprocessing.forkserver import ensure_running

        ensure_running()
