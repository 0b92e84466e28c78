"""What a generator gives, from a process of its own that can be killed: a file that hangs or crashes costs only itself.

`run_in_workers` is for many items with one result each; this is for items whose results are too many to hold.
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
    parent, however that ends. It starts when it is first needed, and again after it was lost."""

    def __init__(self) -> None:
        """No process yet."""
        self._context: Any = worker_context()
        self._running: tuple[Any, Connection[Any, Any]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def iterate(
        self, function: Callable[[Item], Iterator[Value]], item: Item, *, hang_s: float
    ) -> Generator[Value, None, None]:
        """Run `function(item)`, and give what it gives, in order; to be ended or closed before the next.

        The process works on the next value while the caller has this one, and then waits: it is not further ahead than
        that, or than the 64 KB that a pipe holds.

        Args:
            function: at a module's top level, since the process is started afresh and imports it.
            item: picklable, as are the values.
            hang_s: how long a value may take; then the process is killed.

        Raises:
            DataError: if a value takes longer, or the process dies; it does not name the item.
            Exception: what `function` raised.
        """
        require_module(function)
        process, connection = self._start()
        ended = False
        try:
            connection.send((function, item))
            while not ended:
                if not connection.poll(hang_s):
                    raise DataError(f"gave nothing for {duration(hang_s)}; its process was stopped")
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
            theirs.close()  # the process holds it alone now, so that its death shows here
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
    """Runs in the process."""
    start_worker()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows no mask was inherited
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            function, item = connection.recv()
            try:
                for value in function(item):
                    connection.send(("value", value))
                connection.send(("end", None))
            except Exception as error:
                error.add_note(traceback.format_exc())  # for a programmer: where it was, which pickling loses
                connection.send(("error", error))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start a process in this block, and it is deaf to Ctrl-C, which a terminal sends to all processes of a command:
    the parent hears it, and stops the other. A process inherits which signals are held back."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
