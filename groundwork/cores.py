"""The default number of worker processes."""

import os


def default_workers(*, spare: int = 0, most: int | None = None) -> int:
    """One worker per core that this process may use.

    Args:
        spare: cores to leave free for other computation.
        most: upper limit; None for no limit.

    Returns:
        at least 1; with `spare`, at least 0.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(0, cores - spare)
    return workers if most is None else min(most, workers)
