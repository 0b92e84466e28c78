"""Applies a function to many items in processes that can be killed: if one item hangs or crashes, only that one
fails."""

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, as_completed
from concurrent.futures import TimeoutError as LimitReached
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Generic, TypeVar

from pebble import ProcessExpired, ProcessPool

from data_prep.workers.starting import require_module, worker_context
from groundwork.errors import DataError, UsageError
from groundwork.progress import duration

Item = TypeVar("Item")
Value = TypeVar("Value")


class ProcessLost(DataError):
    """A worker exceeded its time limit and was stopped, or died."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """The outcome for one item: either `value` has the result and `error` is None, or the other way round."""

    item: Item
    value: Value | None = None
    error: Exception | None = None


def require_processes(workers: int | None, time_limit_s: float) -> None:
    """Require a number of processes (None: the default) and a time limit that `run_in_workers` can have.

    Raises:
        UsageError: if they make no sense.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers: expected 1 or more.")
    if time_limit_s <= 0:
        raise UsageError(f"limit {time_limit_s:g} s: expected more than 0.")


def run_in_workers(
    function: Callable[[Item], Value], items: Sequence[Item], *, workers: int, time_limit_s: float
) -> Generator[Outcome[Item, Value], None, None]:
    """Run `function(item)` for every item; yield outcomes as they come, not in the order of the items.

    Args:
        function: a function at the top level of a module, because workers import it.
        items: picklable items.
        workers: number of processes, >= 1.
        time_limit_s: if an item takes longer, its process is killed, and its outcome is a ProcessLost.

    An exception from `function` is that item's `error`; a worker that dies gives a ProcessLost. Workers end with this
    process, however it ends, and when the iterator is closed.
    """
    require_module(function)
    if not items:
        return
    pool = ProcessPool(min(workers, len(items)), initializer=start_worker, context=worker_context())
    finished = False
    try:
        waiting: dict[Future[Value], Item] = {
            pool.schedule(function, args=(item,), timeout=time_limit_s): item for item in items
        }
        for future in as_completed(list(waiting)):
            item = waiting.pop(future)
            error = _plain_error(future.exception(), time_limit_s)
            yield Outcome(item, error=error) if error else Outcome(item, value=future.result())
        finished = True
    finally:
        if finished:
            pool.close()  # type: ignore[no-untyped-call]
        else:
            pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _plain_error(error: BaseException | None, time_limit_s: float) -> Exception | None:
    if isinstance(error, LimitReached):
        return ProcessLost(f"not finished after {duration(time_limit_s)}; its process was stopped")
    if isinstance(error, ProcessExpired):
        return ProcessLost(
            f"its process died (exit code {error.exitcode}): out of memory, or a file that crashes its decoder"
        )
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))


def start_worker() -> None:
    """Prepare a worker; call this first. The worker ends with its parent, OpenCV uses one thread because workers share
    the cores, and loaded modules are not searched for garbage repeatedly."""
    end_with_parent()
    gc.freeze()
    import cv2

    cv2.setNumThreads(1)


def end_with_parent() -> None:
    """Make a worker exit when its parent is gone, even if the parent was killed. Call this in the worker."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)  # the main thread may be inside a decoder and not react to signals

    threading.Thread(target=watch, name="ends-with-parent", daemon=True).start()
