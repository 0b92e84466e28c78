"""A lock for files of a tree that several processes may find missing at once: its index, the names of its videos."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from data_prep.tree.layout import refuses_writing, written_in_cache
from groundwork.lock import one_at_a_time


@contextmanager
def hold_in_turn(places: tuple[Path, Path], what: str) -> Iterator[None]:
    """Lock the first of two places that can be written, for this process alone, while the block runs; wait for another
    process that holds the lock.

    Args:
        places: the possible paths of the file: the preferred one, and that in the cache.
        what: begins the status line of a process that waits.

    Raises:
        UsageError: if the other process is not done within an hour, or neither place can be written.
    """
    beside, cached = places
    with ExitStack() as stack:
        try:
            stack.enter_context(one_at_a_time(beside, what))
        except OSError as error:
            if not refuses_writing(error):
                raise
            with written_in_cache(beside, cached):
                cached.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(one_at_a_time(cached, what))
        yield
