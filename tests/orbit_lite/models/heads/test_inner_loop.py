"""ANIL's head compared with torch's SGD, and its gradient compared with finite differences."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.heads.inner_loop import RECORD, InnerLoopHead
from orbit_lite.models.inputs import NotFinite
from orbit_lite.models.learner import LearnerConfig

WAY, WIDTH, STEPS, RATE = 3, 5, 4, 0.1
LABELS = torch.tensor([2, 0, 1, 0, 0, 1])


def support() -> Tensor:
    return torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def head_of(settings: dict[str, Any], **changed: Any) -> InnerLoopHead:
    learner = LearnerConfig(head="inner_loop", extractor="frozen", **{"steps": STEPS, "step_lr": RATE, **changed})
    head: Any = RECORD.build(learner, RECORD.settings(**settings), WIDTH)
    return head.double()  # type: ignore[no-any-return]


@pytest.mark.parametrize("start", ["zeros", "prototypes"])
def test_it_is_sgd_on_the_mean_cross_entropy(start: str) -> None:
    layer = nn.Linear(WIDTH, WAY).double()
    means = torch.stack([support()[c == LABELS].mean(dim=0) for c in range(WAY)])
    with torch.no_grad():
        layer.weight.copy_(2 * means if start == "prototypes" else torch.zeros_like(means))
        layer.bias.copy_(-means.square().sum(dim=1) if start == "prototypes" else torch.zeros(WAY))
    optimizer = torch.optim.SGD(layer.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(layer(support()), LABELS).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    fitted = head_of({"start": start}).fit(support(), LABELS, way=WAY)
    torch.testing.assert_close(fitted.weight, layer.weight.detach())
    torch.testing.assert_close(fitted.bias, layer.bias.detach())


def test_summed_batches_take_a_step_along_the_sum_of_their_means() -> None:
    """As in the published code: the rate is multiplied by the number of batches."""
    layer = nn.Linear(WIDTH, WAY).double()
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for batch in (slice(0, 4), slice(4, 6)):
            F.cross_entropy(layer(support()[batch]), LABELS[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    fitted = head_of({"summed_batches": 4}).fit(support(), LABELS, way=WAY)
    torch.testing.assert_close(fitted.weight, layer.weight.detach())
    torch.testing.assert_close(fitted.bias, layer.bias.detach())
    of_one, plain = (head_of(own).fit(support(), LABELS, way=WAY).weight for own in ({"summed_batches": 9}, {}))
    torch.testing.assert_close(of_one, plain)


def test_a_window_is_one_step_with_the_sum_of_its_rates() -> None:
    windows, larger = head_of({"window": 2}), head_of({}, steps=2, step_lr=2 * RATE)
    one, other = (head.fit(support(), LABELS, way=WAY).weight for head in (windows, larger))
    torch.testing.assert_close(one, other)
    assert head_of({"window": 3}).steps == 2  # 3 rates, then the last one


@pytest.mark.parametrize("start", ["zeros", "prototypes"])
def test_its_gradient_is_second_order(start: str) -> None:
    """With respect to features and rates, by finite differences."""
    head = head_of({"start": start, "window": 2, "learned_rates": True})
    scales = torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=torch.float64, requires_grad=True)

    def logits(features: Tensor, scales: Tensor) -> Tensor:
        def fit(features: Tensor) -> Tensor:
            return head.fit(features, LABELS, way=WAY).logits(support()[:2])

        return torch.func.functional_call(_Called(head, fit), {"head.rates.log_scales": scales}, (features,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(logits, (support().requires_grad_(), scales))


class _Called(nn.Module):
    def __init__(self, head: nn.Module, call: Any) -> None:
        super().__init__()
        self.head, self.call = head, call

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.call(features)
        return result


def test_learned_rates_stay_above_0_change_by_shares_and_decay_to_where_they_began() -> None:
    """Adam's step is about its learning rate for any gradient; here ten times an inner rate, and negative."""
    rates: Any = head_of({"learned_rates": True}, step_lr=1e-3).rates
    assert rates.rates.tolist() == pytest.approx([1e-3] * STEPS, rel=1e-12)
    optimizer = torch.optim.Adam(rates.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        rates.rates.sum().backward()
        optimizer.step()
    assert (rates.rates > 0).all()
    assert rates.rates[0].item() == pytest.approx(1e-3 * torch.tensor(-0.2).exp().item(), rel=0.01)
    decay = torch.optim.AdamW(rates.parameters(), lr=1.0, weight_decay=0.5)
    for _ in range(30):
        decay.zero_grad()
        (0 * rates.rates.sum()).backward()
        decay.step()
    assert rates.rates.tolist() == pytest.approx([1e-3] * STEPS, rel=1e-6)


def test_rates_are_weights_only_where_they_are_learned() -> None:
    assert [name for name, _ in head_of({"learned_rates": True}).named_parameters()] == ["rates.log_scales"]
    assert not head_of({}).state_dict()
    for learned in (False, True):
        settings = {"learned_rates": learned}
        config = LearnerConfig(head="inner_loop", head_settings=settings, extractor="frozen")
        assert config.meta_learned == learned


def test_a_rate_that_diverges_names_the_step() -> None:
    head = head_of({}, step_lr=1e30).float()
    with pytest.raises(NotFinite, match=r"support features: NaN or infinite weights at inner step \d of 4; .*step_lr"):
        head.fit(support().float() * 1e10, LABELS, way=WAY)
