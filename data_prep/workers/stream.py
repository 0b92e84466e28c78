"""Runs a generator in a separate process that can be killed: if one file hangs or crashes, only that one fails.

`run_in_workers` is for many items with one result each; this is for items with too many results to hold in memory.
"""

import signal
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from data_prep.workers.pool import start_worker
from data_prep.workers.starting import require_module, worker_context
from groundwork.errors import DataError
from groundwork.progress import duration

Item = TypeVar("Item")
Value = TypeVar("Value")


class StreamWorker:
    """A process that runs one generator after another. A context manager: the process ends with the block, and with its
    parent, however that ends. It is started on first use, and again after it was lost."""

    def __init__(self) -> None:
        """Start no process yet."""
        self._context: Any = worker_context()
        self._running: tuple[Any, Connection[Any, Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def iterate(
        self, function: Callable[[Item], Iterator[Value]], item: Item, *, hang_s: float
    ) -> Generator[Value, None, None]:
        """Run `function(item)` and yield its values in order. Exhaust or close this iterator before the next call.

        The process works on the next value while the caller uses this one, and then waits: it is at most one value
        ahead, or as many as fit into the 64 KB of a pipe.

        Args:
            function: a function at the top level of a module, because the process imports it.
            item: picklable, as are the values.
            hang_s: the time limit for a value; then the process is killed.

        Raises:
            DataError: if a value takes longer, or the process dies; the message does not name the item.
            Exception: what `function` raised.
        """
        require_module(function)
        process, connection = self._start()
        ended = False
        try:
            connection.send((function, item))
            while not ended:
                if not connection.poll(hang_s):
                    raise DataError(f"no result for {duration(hang_s)}; its process was stopped")
                kind, content = connection.recv()
                ended = kind != "value"
                if kind == "value":
                    yield content
                elif kind == "error":
                    raise content
        except (EOFError, ConnectionError):
            process.join()
            raise DataError(
                f"its process died (exit code {process.exitcode}): out of memory, or a file that crashes its decoder"
            ) from None
        finally:
            if not ended:
                self._stop()

    def _start(self) -> "tuple[Any, Connection[Any, Any]]":
        if self._running is None:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs,), daemon=True)
            with _interrupts_held():
                process.start()
            theirs.close()  # now only the process holds it, so that its death is noticed here
            self._running = process, ours
        return self._running

    def _stop(self) -> None:
        if self._running is not None:
            process, connection = self._running
            self._running = None
            process.kill()
            process.join()
            connection.close()


def _work(connection: "Connection[Any, Any]") -> None:
    """The main function of the process."""
    start_worker()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Windows does not inherit a signal mask
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            function, item = connection.recv()
            try:
                for value in function(item):
                    connection.send(("value", value))
                connection.send(("end", None))
            except Exception as error:
                error.add_note(traceback.format_exc())  # for developers: pickling loses the traceback
                connection.send(("error", error))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started in this block ignore Ctrl-C, which a terminal sends to all processes of a command: the
    parent receives it and stops them. A process inherits the mask of blocked signals."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
