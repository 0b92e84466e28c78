"""A setting of the whole process that is changed only while somebody needs it, and is then as it was."""

import threading
from collections.abc import Callable


class ProcessSetting:
    """A context manager: the first who enters changes the setting, the last who leaves puts it back.

    It may be entered again, and by several threads at once. Code elsewhere in the process sees the change while anyone
    is inside, so that the blocks are to be short.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        """`change` makes the change, and returns what undoes it."""
        self._change = change
        self._lock = threading.Lock()
        self._inside = 0
        self._undo: Callable[[], object] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._undo = self._change()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._undo is not None:
                self._undo()
                self._undo = None
