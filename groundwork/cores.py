"""How many processes to start where nobody has said."""

import os


def default_workers(*, spare: int = 0, most: int | None = None) -> int:
    """One per core that this process may use.

    Args:
        spare: cores to leave to whoever computes meanwhile.
        most: no more than this; None is no limit.

    Returns:
        1 or more; with `spare`, 0 or more.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(0, cores - spare)
    return workers if most is None else min(most, workers)
