"""The penalty on generated FiLM in a whole training step, compared with the published code's formula."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.gradients.film_penalty import FilmPenalty
from orbit_lite.models.gradients.lite import ESTIMATORS, Estimator
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.runs.ranks import Ranks
from orbit_lite.training.experiment import LiteConfig, load_experiment
from orbit_lite.training.loop import step_gradient
from orbit_lite.training.tasks import Steps

SIZE_PX = 32
BATCH = 3  # query items per batch in the published code
QUERIES = (7, 3, 1, 6, 5)  # query items per task: 3, 1, 1, 2 and 2 batches, some of them short
BATCHES = (3, 1, 1, 2, 2)
STEPS = Steps(tasks_per_epoch=5, tasks_per_step=3, epochs=1)  # the second one is short


def make_task(queries: int) -> TaskPixels:
    generator = torch.Generator().manual_seed(queries)
    images = torch.randint(0, 256, (4 + queries, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)
    return TaskPixels(images[:4], torch.tensor([0, 1, 0, 1]), images[4:], torch.arange(queries) % 2, 2)


def make_recognizer(learner: str) -> Recognizer:
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=SIZE_PX).double()
    for number, r in enumerate(regularizers(recognizer)):
        torch.nn.init.normal_(r, generator=torch.Generator().manual_seed(number))
    return recognizer


def regularizers(recognizer: Recognizer) -> Sequence[Tensor]:
    assert isinstance(recognizer.adapter, FilmAdapter)
    return list(recognizer.adapter.generator.regularizers)


def gradient(recognizer: Recognizer, step: int, lite: LiteConfig) -> Tensor:
    """The gradient of all learned parameters after one step's tasks."""
    numbers = STEPS.tasks_of(step)
    recognizer.zero_grad(set_to_none=True)
    pixels = (make_task(QUERIES[number]) for number in numbers)
    step_gradient(recognizer, pixels, numbers, Ranks(torch.device("cpu")), lite=lite, seed=5)
    return torch.cat([p.grad.flatten() for p in recognizer.parameters() if p.grad is not None])


def published(recognizer: Recognizer, step: int) -> Tensor:
    """Task by task and batch by batch: 0.001 times the sum of squares is added to each batch's loss, without
    scaling."""
    recognizer.zero_grad(set_to_none=True)
    for number in STEPS.tasks_of(step):
        for _ in range(0, QUERIES[number], BATCH):
            squares = [r.square().sum() for r in regularizers(recognizer)]
            (0.001 * torch.stack(squares).sum()).backward()
    learned = (p for p in recognizer.parameters() if p.requires_grad)
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learned])


@pytest.mark.parametrize("learner", ["cnaps", "simple_cnaps"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("step", [0, 1])
def test_a_steps_penalty_is_the_published_codes(learner: str, estimator: Estimator, step: int) -> None:
    """For any number of query items computed at once, and also in a short step."""
    recognizer = make_recognizer(learner)
    for computed_at_once in (2, 100):
        how = {"estimator": estimator, "h": 2, "query_batch": computed_at_once}
        without = gradient(recognizer, step, LiteConfig(**how, film_penalty=0))
        found = gradient(recognizer, step, LiteConfig(**how, film_penalty_batch=BATCH))
        torch.testing.assert_close(found - without, published(recognizer, step), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("step", [0, 1])
def test_without_a_batch_it_is_once_in_the_mean_over_tasks(step: int) -> None:
    recognizer, how = make_recognizer("cnaps"), {"h": 2, "query_batch": 2}
    without = gradient(recognizer, step, LiteConfig(**how, film_penalty=0))
    found = gradient(recognizer, step, LiteConfig(**how)) - without
    batches = sum(BATCHES[number] for number in STEPS.tasks_of(step))
    torch.testing.assert_close(found * batches, published(recognizer, step), rtol=1e-9, atol=1e-12)


def test_the_weight_is_a_setting() -> None:
    squares = torch.tensor(5.0)
    assert FilmPenalty().of_task(squares, query_items=257, loss_scale=1 / 16).item() == pytest.approx(0.005 / 16)
    assert FilmPenalty(batch=256).of_task(squares, query_items=257, loss_scale=1 / 16).item() == pytest.approx(0.01)
    assert FilmPenalty(0.2, 256).of_task(squares, query_items=256, loss_scale=1 / 16).item() == pytest.approx(1.0)


@pytest.mark.parametrize("learner", ["cnaps", "simple_cnaps"])
@pytest.mark.parametrize(("prefix", "items"), [("", 256), ("2021-", 8)])
def test_the_published_experiments_have_the_published_penalty(learner: str, prefix: str, items: int) -> None:
    """For 16 tasks with one batch each, it is 16 times that of the mean."""
    config = load_experiment(f"{prefix}{learner}-efficientnet_b0")
    penalty = FilmPenalty(config.lite.film_penalty, config.lite.film_penalty_batch)
    assert penalty == FilmPenalty(0.001, items)
    of_tasks = [
        of.of_task(torch.ones(()), query_items=items, loss_scale=1 / config.tasks_per_step)
        for of in (penalty, FilmPenalty())
    ]
    assert math.isclose(of_tasks[0] / of_tasks[1], 16, rel_tol=1e-6)
