"""The comparison of readers, at a small size."""

import pytest

from benchmarks import readers
from benchmarks.extract import Workload
from groundwork.errors import UsageError


def test_each_reader_is_measured_in_order_and_by_number():
    pytest.importorskip("decord", reason="decord is not installed (it has wheels for x86-64 Linux and Windows)")
    found = readers.run(Workload(pictures=61, width_px=128, height_px=72, frame_size_px=32), repeats=1)
    sides = [
        (comparison.metric, comparison.first[0].split()[0], comparison.second[0].split()[0]) for comparison in found
    ]
    decords = [side for side in sides if side[1].startswith("decord")]
    assert [metric for metric, *_ in decords] == ["CPU time", "memory"] * 2
    assert {kit for *_, kit in sides} == {"av"}
    assert all(comparison.first[1].median > 0 for comparison in found if comparison.metric == "CPU time")


def test_without_another_reader_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install decord"):
        readers.run(Workload(pictures=2))
