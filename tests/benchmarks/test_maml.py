from dataclasses import replace

import pytest
import torch

from benchmarks import maml
from benchmarks.measure import Spread

SMALL = maml.Workload("maml", "tiny", support=5, query=5, steps=3, h=2, frame_size_px=32)
SOLVED, PROXIMAL = replace(SMALL, learner="anil_implicit"), replace(SMALL, learner="imaml")


@pytest.fixture
def found(monkeypatch):
    """Every side's work runs, with a fake memory of 100 MB."""

    def made_up(prepare, *, repeats):
        prepare()()
        return Spread.of([100.0] * repeats)

    monkeypatch.setattr(maml, "peak_memory_mb", made_up)
    return maml.run(SMALL, replace(SMALL, steps=4), SOLVED, PROXIMAL, repeats=2)


def test_both_sides_of_every_target(found):
    kept = "exact, and 4 more sets of parameters (6 MB)"
    assert [(each.metric, each.first[0], each.second[0], each.at_most) for each in found] == [
        ("memory", "one graph", "exact", 0.25),
        ("CPU time", "one graph", "exact", 1.6),
        ("memory", "exact", "exact, N=25", 1.15),
        ("memory", kept, "exact, K=8", 1.15),
        ("CPU time", "exact", "lite, H=2", 0.6),
        ("CPU time", "exact", "exact, windows of 3", 0.45),
        ("memory", "protonets", "anil_implicit", maml.EQUAL),
        ("CPU time", "protonets", "anil_implicit", 1.1),
        ("memory", "exact", "exact, K=12", maml.EQUAL),
    ]
    assert found[0].setting == "maml, tiny, 32 px, N=5, M=5, K=3"
    assert found[-1].setting == "imaml, tiny, 32 px, N=5, M=5, K=3"
    assert [each.first[1].repeats for each in found if each.metric != "memory"] == [2, 1, 1, 5]
    assert [each.first[1].repeats for each in found if each.metric == "memory"] == [1, 1, 1, 5, 1]


def test_the_kept_parameters_are_added_to_the_shorter_loop(found):
    recognizer = maml.build_recognizer("maml", "tiny", weights="random")
    numbers = sum(value.numel() for value in recognizer.parameters()) + maml.WAY * (recognizer.extractor.width + 1)
    assert found[3].first[1].median == pytest.approx(100 + 4 * 4 * numbers / 1e6)  # 4 steps, 4 bytes per number
    assert found[3].second[1].median == 100


def test_it_computes_on_one_thread(monkeypatch):
    threads, before = [], torch.get_num_threads()
    monkeypatch.setattr(maml, "peak_memory_mb", lambda prepare, repeats: Spread.of([1.0]))
    real = maml.task_gradient
    monkeypatch.setattr(maml, "task_gradient", lambda *a, **k: threads.append(torch.get_num_threads()) or real(*a, **k))
    found = maml.run(SMALL, SMALL, SOLVED, PROXIMAL, repeats=1)
    assert set(threads) == {each.threads for each in found} == {1}
    assert torch.get_num_threads() == before


def test_a_work_is_the_gradient_of_the_size(monkeypatch):
    built = []
    real = maml.build_recognizer
    monkeypatch.setattr(maml, "build_recognizer", lambda *a, **k: built.append(real(*a, **k)) or built[-1])
    maml.gradient_work(replace(SMALL, window=3, steps=5), "lite")()
    assert built[0].adapter.head_rates.windows == 2
    assert all(parameter.grad is not None for parameter in built[0].parameters())
    assert built[0].adapter.head_rates.rates.equal(torch.full((5,), 1e-3))
