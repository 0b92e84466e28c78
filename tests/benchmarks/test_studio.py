"""The benchmark of live answers runs and reports its results."""

from benchmarks.studio import LEAST_RATE, MOST_MS, Workload, run
from orbit_lite.models.choice import ModelChoice


def test_live_answers_are_counted_and_timed():
    rate, late, half = run(Workload(seconds=1.0, fps=10, start=ModelChoice("protonets", "tiny", "random")), repeats=1)
    assert rate.first[1].median == LEAST_RATE and late.first[1].median == MOST_MS and late.at_most == 1.0
    assert 0 < rate.second[1].median <= 11
    assert 0 < half.second[1].median <= late.second[1].median
