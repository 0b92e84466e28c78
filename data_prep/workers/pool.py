"""One function over many items in processes that can be killed: an item that hangs or crashes costs only itself."""

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
from groundwork.errors import DataError
from groundwork.progress import duration

Item = TypeVar("Item")
Value = TypeVar("Value")


class ProcessLost(DataError):
    """A worker was stopped over its time limit, or died."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What became of one item: `error` is None and `value` holds the result, or the other way round."""

    item: Item
    value: Value | None = None
    error: Exception | None = None


def run_in_workers(
    function: Callable[[Item], Value], items: Sequence[Item], *, workers: int, time_limit_s: float
) -> Generator[Outcome[Item, Value], None, None]:
    """Run `function(item)` for every item; give outcomes as they come, not in the order of the items.

    Args:
        function: at a module's top level, since workers are no copies of this process and import it.
        items: picklable.
        workers: processes at the same time, >= 1.
        time_limit_s: an item that takes longer has its process killed; its outcome is a ProcessLost.

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
        return ProcessLost(f"not done after {duration(time_limit_s)}; its process was stopped")
    if isinstance(error, ProcessExpired):
        return ProcessLost(
            f"its process died (exit code {error.exitcode}): out of memory, or a file that crashes its decoder"
        )
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))


def start_worker() -> None:
    """To be called first in a worker: it ends with its parent, OpenCV takes one thread, since workers share the cores,
    and what was loaded is not searched for garbage again and again."""
    end_with_parent()
    gc.freeze()
    import cv2

    cv2.setNumThreads(1)


def end_with_parent() -> None:
    """To be called in a worker: leave when the parent is gone, even when it was killed and could not say so."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)  # the main thread may be deep in a decoder and deaf to signals

    threading.Thread(target=watch, name="ends-with-parent", daemon=True).start()
