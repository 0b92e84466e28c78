"""FineTuner + FiLM, compared with a plain loop over a copy of the network."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundwork.errors import DataError
from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.adapters.film_tuner import FilmTuner
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.extractor import Extractor, build_extractor

SIZE_PX, STEPS, LR = 32, 6, 0.01
LABELS = torch.tensor([0, 1, 2, 0, 1])


def frames(count: int = 5, clip: tuple[int, ...] = ()) -> Tensor:
    shape = (count, *clip, 3, SIZE_PX, SIZE_PX)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def extractor() -> Extractor:
    extractor = build_extractor("tiny", weights="random", frame_size_px=SIZE_PX).double()
    extractor.net.requires_grad_(False)
    return extractor


def tune(tuner: FilmTuner, extractor: Extractor, items: Tensor, *, chunk: int) -> tuple[Any, Any]:
    chunks = Chunks(1000, chunk, 1000)  # the steps need a graph; the other two chunk sizes don't matter
    adapted = tuner.fit(extractor, items, LABELS, way=3, videos=None, chunks=chunks)
    return adapted.state, adapted.head


def test_it_is_a_plain_loop_over_norms_and_head(extractor: Extractor) -> None:
    copied = copy.deepcopy(extractor)
    layer = nn.Linear(copied.width, 3).double()
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    norms = [module for module in copied.net if isinstance(module, nn.GroupNorm)]
    learning = [*layer.parameters(), *(value.requires_grad_() for norm in norms for value in norm.parameters())]
    optimizer = torch.optim.Adam(learning, lr=LR)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(layer(copied(frames())), LABELS).backward()
        optimizer.step()
    film, head = tune(FilmTuner(STEPS, LR), extractor, frames(), chunk=2)
    torch.testing.assert_close(head.weight, layer.weight.detach())
    torch.testing.assert_close(head.bias, layer.bias.detach())
    own, tuned = film_parameters(extractor), film_parameters(copied)
    assert film.keys() == own.keys()
    for name, value in film.items():
        torch.testing.assert_close(value, tuned[name].detach())
        assert (value - own[name]).abs().max() > LR


def test_chunks_do_not_change_it_and_nothing_is_left_on_the_extractor(extractor: Extractor) -> None:
    before = copy.deepcopy(extractor.state_dict())
    clips = frames(clip=(2,))
    with torch.no_grad():  # as in personalization
        whole = tune(FilmTuner(STEPS, LR), extractor, clips, chunk=100)
        cut = tune(FilmTuner(STEPS, LR), extractor, clips, chunk=3)
    torch.testing.assert_close(whole[0], cut[0])
    torch.testing.assert_close(whole[1].weight, cut[1].weight)
    assert not any(value.requires_grad for value in whole[0].values())
    assert all(value.equal(before[name]) for name, value in extractor.state_dict().items())
    assert all(value.grad is None for value in extractor.parameters())


def test_a_loss_that_is_not_finite_is_reported_at_once(extractor: Extractor) -> None:
    with torch.no_grad():
        next(extractor.parameters()).fill_(float("nan"))
    with pytest.raises(
        DataError, match="support images: the loss is nan at step 1 of 1000000; the extractor's weights"
    ):
        tune(FilmTuner(1_000_000, LR), extractor, frames(), chunk=2)
