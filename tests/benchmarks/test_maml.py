from dataclasses import replace

import torch

from benchmarks import maml

SMALL = maml.Size("tiny", support=5, query=5, steps=3, h=2, frame_size_px=32)


def test_both_sides_of_every_comparison(monkeypatch):
    monkeypatch.setattr(maml, "peak_memory_mb", lambda prepare: maml_spread(prepare))
    found = maml.run(SMALL, replace(SMALL, steps=4))
    sides = [(each.metric, each.first[0], each.second[0]) for each in found]
    assert sides == [
        ("memory", "exact", "one graph"),
        ("time", "exact", "one graph"),
        ("memory", "exact", "exact, N=25"),
        ("memory", "exact", "exact, K=8"),
        ("time", "exact", "lite, H=2"),
        ("time", "exact", "exact, windows of 3"),
    ]
    assert found[0].setting == "maml, tiny, 32 px, N=5, M=5, K=3"


def maml_spread(prepare):
    prepare()()  # it runs
    return maml.paired_seconds(lambda: None, lambda: None, repeats=1)[0]


def test_a_work_is_the_gradient_of_the_size(monkeypatch):
    built = []
    real = maml.build_recognizer
    monkeypatch.setattr(maml, "build_recognizer", lambda *a, **k: built.append(real(*a, **k)) or built[-1])
    maml.gradient_work(replace(SMALL, window=3, steps=5), "lite")()
    assert built[0].adapter.head_rates.windows == 2
    assert all(parameter.grad is not None for parameter in built[0].parameters())
    assert built[0].adapter.head_rates.rates.equal(torch.full((5,), 1e-3))
