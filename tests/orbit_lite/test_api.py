"""The public API: what `from orbit_lite import ...` provides, and when."""

import ast
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

import orbit_lite
from eval.intervals import bootstrap_over_users
from eval.metrics import frame_accuracy, frames_to_recognition, video_accuracy

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"TaskPixels", "__version__", "build_recognizer", "load_recognizer", "task_gradient"}


def test_the_names_and_nothing_else():
    assert set(orbit_lite.__all__) == NAMES
    assert set(dir(orbit_lite)) >= NAMES
    assert all(getattr(orbit_lite, name) for name in NAMES)
    assert orbit_lite.__version__ == version("orbit-lite")
    with pytest.raises(AttributeError, match="nonesuch"):
        orbit_lite.nonesuch  # noqa: B018


def test_type_checkers_see_what_runs():
    """The imports under TYPE_CHECKING match those in `__getattr__`."""
    tree = ast.parse(inspect.getsource(orbit_lite))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == orbit_lite._HOMES


def test_importing_it_does_not_wait_for_torch():
    code = (
        "import sys, orbit_lite\n"
        "assert 'torch' not in sys.modules, 'too early'\n"
        "from orbit_lite import TaskPixels\n"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_recognizer_is_built_fitted_and_trained_by_these_names():
    recognizer = orbit_lite.build_recognizer("protonets", "tiny", weights="random", seed=0, frame_size_px=64)
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8, generator=draw)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert recognizer.personalize(images, labels).logits(images).shape == (6, 3)
    pixels = orbit_lite.TaskPixels(
        support=images, support_labels=labels, query=images[:2], query_labels=labels[:2], way=3
    )
    orbit_lite.task_gradient(recognizer, pixels, h=2, rng=np.random.default_rng(0), estimator="lite")
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in recognizer.parameters())


def test_metrics_and_intervals_as_documented():
    predictions = np.array([1, 0, 0, 0])
    found = [metric(predictions, 0) for metric in (frame_accuracy, frames_to_recognition, video_accuracy)]
    assert found == [3 / 4, 1 / 4, 1.0]  # by hand
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    interval = bootstrap_over_users(values, ["a", "a", "b", "c", "d"], seed=0)
    assert interval.low < sum(values) / 5 < interval.high
    few = bootstrap_over_users(values, ["a", "a", "b", "c", "c"], seed=0)
    assert (few.low, few.high) == (None, None)
