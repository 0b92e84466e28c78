"""How many threads compute: one for live answers, all for teaching.

A single frame gains little from a second thread, and where the browser has the other core, torch's threads wait for
each other: on two busy cores one thread gave ten answers a second, two gave four. OpenMP keeps the number per thread.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch


def answering_pool() -> ThreadPoolExecutor:
    """One thread that answers frames, and computes alone."""
    return ThreadPoolExecutor(1, thread_name_prefix="answers", initializer=partial(torch.set_num_threads, 1))


def upgrade() -> Callable[[], None]:
    """To be called in another thread, to let it compute with as many threads as this one does now."""
    return partial(torch.set_num_threads, torch.get_num_threads())
