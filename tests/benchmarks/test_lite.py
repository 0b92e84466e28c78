from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import lite
from benchmarks.lite import Workload
from benchmarks.measure import Spread
from orbit_lite.config import builtin_names
from orbit_lite.models.backbones import BACKBONES
from orbit_lite.models.learner import load_learner

SMALL = Workload("protonets", "tiny", support=20, query=8, h=4, query_batch=4, frame_size_px=64, repeats=1)
CNAPS = Workload("cnaps", "tiny", support=10, query=4, h=4, query_batch=4, frame_size_px=32, repeats=1)


@pytest.fixture
def built(monkeypatch):
    """Collects the recognizers that are built, to inspect their gradients."""
    found = []
    build = lite.build_recognizer
    monkeypatch.setattr(lite, "build_recognizer", lambda *a, **k: found.append(build(*a, **k)) or found[-1])
    return found


def gradient(recognizer):
    return torch.cat([p.grad.flatten() for p in recognizer.parameters() if p.grad is not None]).numpy()


@pytest.mark.long
def test_both_sides_of_every_comparison():
    comparisons = lite.run([SMALL])
    assert [(c.metric, c.first[0], c.second[0]) for c in comparisons] == [
        ("memory", "lite, N=20", "lite, N=200"),
        ("memory", "lite, N=20", "exact, N=200"),
        ("memory", "lite, N=20", "one graph"),
        ("memory", "lite, N=20", "H again for every query batch"),
        ("time", "lite, N=20", "its separate parts"),
        ("time", "lite, N=20", "H again for every query batch"),
        ("time", "lite, N=20", "one graph"),
    ]
    assert all(spread.median > 0 for c in comparisons for _, spread in (c.first, c.second))
    assert all(c.setting == "protonets, tiny, 64 px, N=20, M=8, H=4, query batch 4" for c in comparisons)


def test_the_sizes_run_are_those_of_the_bars():
    assert [(size.learner, size.backbone, size.support, size.h, size.query_batch) for size in lite.SIZES] == [
        ("protonets", "efficientnet_b0", 100, 16, 16),
        ("cnaps", "efficientnet_b0", 100, 16, 16),
    ]


def test_the_work_is_a_gradient_and_the_same_each_time(built):
    """zero_grad is part of the work; otherwise the second run would add to the first."""
    work = lite.gradient_work(SMALL, "lite")
    gradients = []
    for _ in range(2):
        work()
        gradients.append(gradient(built[0]))
    assert np.abs(gradients[0]).max() > 0
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_the_papers_plain_way_gives_the_same_gradient(built):
    """So both do the same work; it draws the same H."""
    lite.gradient_work(SMALL, "lite")()
    lite.plain_work(SMALL)()
    ours, plain = map(gradient, built)
    assert np.linalg.norm(ours - plain) < 1e-4 * np.linalg.norm(ours)


@pytest.fixture
def _memory_unmeasured(monkeypatch):
    """Runs the work in this process, because a new process takes seconds to start."""
    monkeypatch.setattr(lite, "peak_memory_mb", lambda prepare, **_: prepare()() or Spread.of([1.0]))


@pytest.mark.usefixtures("_memory_unmeasured")
def test_two_encoders_stand_beside_half_of_one_graph():
    """The whole graph does not fit into memory."""
    memory = [c.second[0] for c in lite.run([CNAPS]) if c.metric == "memory"]
    assert memory == ["lite, N=100", "exact, N=100", "one graph, N=5"]


@pytest.mark.usefixtures("_memory_unmeasured")
def test_a_step_is_a_gradient_and_adam(built):
    work = lite.gradient_work(SMALL, "lite", step=True)
    before = [value.detach().clone() for value in built[0].parameters()]
    work()
    assert all(not torch.equal(old, new) for old, new in zip(before, built[0].parameters(), strict=True))
    assert [(c.metric, c.first[0], c.second[0]) for c in lite.compare_steps(SMALL)] == [
        ("memory", "lite, one step", "exact, one step"),
        ("time", "lite, one step", "exact, one step"),
    ]


def test_every_meta_trained_learner_takes_a_step_on_every_published_extractor():
    learned = {name for name in builtin_names("learner") if load_learner(name).meta_learned}
    assert set(lite.META_TRAINED) == {
        name for name in learned if load_learner(name).adapter not in ("inner_loop", "proximal")
    }
    assert {*lite.EXTRACTORS, "resnet18", "efficientnet_lite0", "tiny"} == set(BACKBONES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_a_gpu():
    on_gpu = replace(SMALL, device="cuda")
    comparisons = lite.run([on_gpu]) + lite.compare_steps(on_gpu)
    assert all(0 < spread.median < 4000 for c in comparisons for _, spread in (c.first, c.second))


@pytest.mark.parametrize("size", [SMALL, CNAPS])
def test_the_parts_encode_as_often_as_lite_does(built, size):
    counts = []
    for work in (lite.gradient_work(size, "lite"), lite.parts_work(size)):
        calls = {True: 0, False: 0}

        def count(_, inputs, calls=calls):
            calls[torch.is_grad_enabled()] += len(inputs[0])

        built[-1].extractor.net.register_forward_pre_hook(count)
        if size is CNAPS:
            built[-1].adapter.set_encoder.register_forward_pre_hook(count)
        work()
        counts.append(calls)
    assert counts[0] == counts[1] and min(counts[0].values()) > 0
