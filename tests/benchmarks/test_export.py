import pytest

from benchmarks.export import FLOAT_FILE, INT8_FILE, KIT, Workload, run


@pytest.mark.slow
def test_all_three_are_measured():
    found = run(Workload(users=(1, 1, 1), objects=2, epochs=1, step=20, larger=()), repeats=2)
    whole, small, same, kit_time, small_time, size = found
    assert (whole.first[0], whole.second[0], small.second[0]) == (KIT, FLOAT_FILE, INT8_FILE)
    # the float file gives the recognizer's answers, except for near ties
    assert whole.ratio == pytest.approx(1, abs=0.02)
    assert 0 <= small.second[1].median <= 1 and 0.5 < same.second[1].median <= 1
    assert kit_time.first[0] == KIT and small_time.second[0] == INT8_FILE and small_time.unit == "ms"
    assert size.ratio < 0.5
