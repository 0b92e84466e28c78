"""What several processes may find missing in a tree at once, made by one of them: its index, its videos' names."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.tree.layout import refuses_writing
from groundwork.lock import one_at_a_time


@contextmanager
def hold_in_turn(places: Sequence[Path], what: str) -> Iterator[None]:
    """Hold the first of some places that may be written in for this process alone while the block runs; wait for
    another that holds it.

    Args:
        places: where the file may stand, the preferred one first; of the others, folders are made.
        what: begins the status line of a process that waits.

    Raises:
        AskedWrong: if the other process is not done within an hour.
    """
    with ExitStack() as stack:
        for last, path in zip((False,) * (len(places) - 1) + (True,), places, strict=True):
            try:
                if path != places[0]:
                    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(one_at_a_time(path, what))
                break
            except OSError as error:
                if last or not refuses_writing(error):
                    raise
        yield
