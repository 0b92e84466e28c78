from benchmarks.engines import Workload, run
from orbit_lite.models.engines import ENGINES


def test_each_engine_stands_beside_eager(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = run(Workload(("tiny",), images=4, batch=2), repeats=1)
    rates = [comparison for comparison in found if comparison.metric == "rate"]
    assert [comparison.second[0] for comparison in rates] == [name for name in ENGINES if name != "eager"]
    assert all(comparison.first[0] == "eager" and comparison.second[1].median > 0 for comparison in rates)
    differences = [comparison for comparison in found if comparison.metric == "difference"]
    assert len(differences) == len(rates)
    assert all(comparison.ratio <= comparison.at_most for comparison in differences)
