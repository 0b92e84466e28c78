import numpy as np
import torch

from benchmarks import lite
from benchmarks.lite import Size

SMALL = Size("tiny", support=20, query=8, h=4, frame_size_px=64, repeats=1)


def test_both_sides_of_every_comparison():
    comparisons = lite.run([SMALL])
    assert [(c.metric, c.first[0], c.second[0]) for c in comparisons] == [
        ("time", "lite", "full"),
        ("memory", "lite", "full"),
        ("memory as N grows", "lite N=20", "lite N=80"),
    ]
    assert all(spread.median > 0 for c in comparisons[:2] for _, spread in (c.first, c.second))
    assert all(c.setting == "tiny, 64 px, N=20, M=8, H=4" for c in comparisons)


def test_the_sizes_run_are_those_of_the_issue():
    assert [(size.backbone, size.support, size.h, size.frame_size_px) for size in lite.SIZES] == [
        ("efficientnet_b0", 100, 16, 224),
        ("tiny", 100, 16, 224),
    ]


def test_the_work_is_a_gradient_and_the_same_each_time(monkeypatch):
    """zero_grad is in the work: else the second repeat would add to the first."""
    built = []
    build = lite.build_recognizer
    monkeypatch.setattr(lite, "build_recognizer", lambda *a, **k: built.append(build(*a, **k)) or built[-1])
    work = lite.gradient_work(SMALL, "lite")
    gradients = []
    for _ in range(2):
        work()
        gradients.append(torch.cat([p.grad.flatten() for p in built[0].parameters()]).numpy())
    assert np.abs(gradients[0]).max() > 0
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
