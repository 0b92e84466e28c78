from benchmarks.personalize import Workload, run
from orbit_lite.models.choice import ModelChoice


def test_both_sides_are_measured():
    time, allowed, memory = run(
        Workload(2, 2, 60, 320, 180, ModelChoice("protonets", "tiny", "random"), "torch"), repeats=1
    )
    assert time.unit == "s" and time.first[1].median > 0 and time.second[1].median > 0
    assert allowed.at_most == 1 and allowed.first[1].median == time.first[1].median + 8
    assert memory.unit == "MB" and memory.second[0] == "4 videos"
