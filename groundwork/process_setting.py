"""A setting of the whole process that is changed temporarily, and restored when nobody needs it any more."""

import threading
from collections.abc import Callable


class ProcessSetting:
    """A context manager: the first block to be entered changes the setting, the last to end restores it.

    Blocks may be nested and may run in several threads at once. All code of the process sees the change meanwhile, so
    keep the blocks short.
    """

    def __init__(self, change: Callable[[], Callable[[], object]]) -> None:
        """`change` makes the change and returns a function that undoes it."""
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
