"""The default number of worker processes."""

import os

import pytest

from groundwork.cores import default_workers


@pytest.mark.parametrize("cores", [1, 2, 3, 12])
def test_one_worker_per_core_that_this_process_may_use(monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert default_workers() == cores
    assert default_workers(spare=2) == max(0, cores - 2)
    assert default_workers(spare=2, most=8) == min(8, max(0, cores - 2))


@pytest.mark.parametrize(("cores", "workers"), [(4, 4), (None, 1)])
def test_all_cores_count_if_the_system_does_not_say_which_are_allowed(monkeypatch, cores, workers):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_workers() == workers
