import csv
import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gradients
from benchmarks.gradients import ESTIMATORS, draw_task, measure, study
from benchmarks.gradients_report import SHOWN, Row, as_csv, as_markdown, as_svg
from benchmarks.record import write_csv_and_svg
from orbit_lite.models.recognizer import build_recognizer

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def pixels():
    return draw_task(seed=0)


@pytest.fixture
def recognizer():
    return build_recognizer("protonets", "tiny", weights="random", frame_size_px=gradients.SIZE_PX)


def one(recognizer, pixels, estimator, h, draws=gradients.BLOCKS):
    return measure(recognizer, pixels, ("protonets", estimator, h), draws=draws, seed=0)[0]


def test_the_task_is_of_five_objects_evenly(pixels):
    assert torch.bincount(pixels.support_labels).tolist() == [15] * 5
    assert torch.bincount(pixels.query_labels).tolist() == [8] * 5
    assert pixels.support.shape == (75, 3, 32, 32)
    assert pixels.support.float().std() > 10  # real images, not a single color
    again = draw_task(seed=0)
    assert pixels.support.equal(again.support)
    assert pixels.query.equal(again.query)


def test_lite_of_all_images_is_the_full_gradient(recognizer, pixels):
    row = one(recognizer, pixels, "lite", 75)
    assert row.rmse < 1e-4
    assert row.bias < 1e-4
    assert row.cosine == pytest.approx(1)


def test_a_small_task_of_all_images_is_the_full_gradient(recognizer, pixels):
    assert one(recognizer, pixels, "small task", 75).rmse < 1e-4


def test_a_small_task_keeps_one_image_of_each_object_while_it_can(recognizer, pixels, monkeypatch):
    seen = []
    monkeypatch.setattr(gradients, "task_gradient", lambda _, task, **__: seen.append(task))
    for h in (3, 5, 8):
        for seed in range(5):
            ESTIMATORS["small task"](recognizer, pixels, h, np.random.default_rng(seed))
    for task, h in zip(seen, np.repeat([3, 5, 8], 5), strict=True):
        assert len(task.support) == h
        assert task.way == min(h, 5)
        assert (
            sorted(set(task.support_labels.tolist())) == sorted(set(task.query_labels.tolist())) == [*range(task.way)]
        )
        for images, labels, of in (
            (task.support, task.support_labels, (pixels.support, pixels.support_labels)),
            (task.query, task.query_labels, (pixels.query, pixels.query_labels)),
        ):
            # labels are renumbered, but images of the same object keep the same label
            places = [next(i for i, other in enumerate(of[0]) if other.equal(image)) for image in images]
            assert len(set(zip(labels.tolist(), of[1][places].tolist(), strict=True))) == task.way
    assert len({tuple(task.support.flatten()[::997].tolist()) for task in seen}) == 15  # drawn independently


def test_the_published_scaling_multiplies_the_query_path(recognizer, pixels):
    """For ProtoNets it is deterministic: N/H times a gradient without a support path."""
    found = []
    for h in (15, 75):
        recognizer.zero_grad()
        ESTIMATORS["published"](recognizer, pixels, h, np.random.default_rng(h))
        found.append(torch.cat([value.grad.flatten() for value in recognizer.parameters()]))
    assert (found[0] - 5 * found[1]).norm() <= 1e-5 * found[
        0
    ].norm()  # single values have larger rounding errors in float32
    assert one(recognizer, pixels, "published", 75).bias > 0.1


def test_it_lets_cnaps_learn_only_through_film(pixels):
    recognizer = build_recognizer("cnaps", "tiny", weights="random", frame_size_px=gradients.SIZE_PX)
    rows = measure(recognizer, pixels, ("cnaps", "published", 16), draws=gradients.BLOCKS, seed=0)
    bias = {row.part: row.bias for row in rows}
    assert bias.keys() == {"set encoder", "FiLM generator", "Versa"}
    assert bias["Versa"] == pytest.approx(1)  # no gradient at all
    assert bias["FiLM generator"] > 1  # 75/16 times too large


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_bias_is_separated_from_noise(recognizer, pixels, monkeypatch, bias):
    """Uses an artificial estimator: the full gradient, a known bias, and noise with twice the gradient's norm."""
    recognizer.requires_grad_(False)
    parameter = next(recognizer.parameters()).requires_grad_()
    size = parameter.numel()
    recognizer.zero_grad()
    gradients.task_gradient(recognizer, pixels, h=75, rng=np.random.default_rng(0), estimator="full")
    full = parameter.grad.flatten().clone()
    across = torch.randn(size, generator=torch.Generator().manual_seed(1))
    across -= full * (across @ full) / (full @ full)

    def estimate(_, __, ___, rng):
        noise = torch.from_numpy(rng.normal(size=size, scale=2 / size**0.5)).float()
        parameter.grad = (full + full.norm() * (bias * across / across.norm() + noise)).view_as(parameter)

    monkeypatch.setitem(ESTIMATORS, "made", estimate)
    row = one(recognizer, pixels, "made", 1, draws=400)
    assert abs(row.bias_squared - bias**2) < 3 * row.bias_squared_standard_error
    assert row.bias_squared_standard_error < 0.02  # 400 draws of noise 2: the error of the plain mean is 0.1
    assert row.bias_at_most >= bias
    assert row.rmse == pytest.approx((4 + bias**2) ** 0.5, rel=0.03)
    assert row.cosine == pytest.approx(1 / (1 + bias**2) ** 0.5, abs=0.03)


def row(**changed) -> Row:
    usual = {"learner": "cnaps", "part": "set encoder", "estimator": "lite", "h": 4, "draws": 300, "rmse": 5.0}
    numbers = {"bias_squared": 9.0, "bias_squared_standard_error": 0.1, "bias_at_most": 3.1, "cosine": 0.5}
    return Row(**(usual | numbers | changed))


def test_a_steps_error_keeps_the_bias_and_a_sixteenth_of_the_variance():
    assert row().bias == 3
    assert row().step_error == pytest.approx((9 + 16 / 16) ** 0.5)
    assert row(bias_squared=-0.2).bias == 0


def test_a_small_study_writes_its_files(tmp_path, pixels):
    rows = study(["protonets"], hs=(8,), draws=100, quiet=True)
    assert [(row.estimator, row.h) for row in rows] == [(name, 8) for name in ESTIMATORS]
    paths = write_csv_and_svg(tmp_path, "found", as_csv(rows), as_svg(rows))
    assert [path.name for path in paths] == ["found.csv", "found.svg"]
    assert len(list(csv.reader(paths[0].open()))) == 1 + len(rows)
    assert as_svg(rows) == paths[1].read_bytes()  # the same bytes for the same numbers
    of_8 = {row.estimator: row for row in rows if row.h == 8}
    assert of_8["lite"].bias < of_8["small task"].bias < of_8["published"].bias


def test_too_few_draws_are_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        gradients.main(["--draws", "99"])
    assert stop.value.code == 2
    assert "--draws 99: expected at least 100" in capsys.readouterr().err


def docs_rows() -> list[Row]:
    kinds = {"learner": str, "part": str, "estimator": str, "h": int, "draws": int}
    lines = csv.DictReader(io.StringIO((DOCS / "lite-gradients.csv").read_text()))
    return [
        Row(**{f.name: kinds.get(f.name, float)(line[f.name]) if line[f.name] else None for f in fields(Row)})
        for line in lines
    ]


def test_the_docs_hold_what_was_measured():
    """CSV, table and figure come from the same run."""
    rows = docs_rows()
    assert as_csv(rows) == (DOCS / "lite-gradients.csv").read_text()
    assert as_markdown(rows) in (DOCS / "lite.md").read_text()
    assert {(row.learner, row.part) for row in rows} == {*SHOWN, ("cnaps", "Versa")}
    assert all(
        abs(row.bias_squared) < 4 * row.bias_squared_standard_error + 1e-6 for row in rows if row.estimator == "lite"
    )
