"""Sets how many threads compute: one for live answers, all for teaching.

A single frame gains little from a second thread, and if the browser uses the other core, torch's threads wait for each
other: on two busy cores, one thread gave ten answers per second and two gave four. OpenMP stores the number per thread.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch


def answering_pool() -> ThreadPoolExecutor:
    """A pool with one thread, which answers frames without other compute threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="answers", initializer=partial(torch.set_num_threads, 1))


def keep_thread_count() -> Callable[[], None]:
    """A function to call in another thread, so that it computes with as many threads as this one does now."""
    return partial(torch.set_num_threads, torch.get_num_threads())
