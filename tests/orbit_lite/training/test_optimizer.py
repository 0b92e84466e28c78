import pytest
import torch
from torch import nn

from orbit_lite.training.experiment import OptimizerConfig, load_experiment
from orbit_lite.training.optimizer import build_optimizer, learning_rate, set_learning_rate


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.extractor, self.other, self.frozen = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.frozen.requires_grad_(False)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_extractor_lr_scale_reaches_the_weights(name):
    """The published code stored the scale where its optimiser does not look. (Adam's first step is lr in size.)"""
    model = Model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    config = OptimizerConfig(name=name, lr=0.01, extractor_lr_scale=0.1)
    optimizer = build_optimizer(model, config)
    set_learning_rate(optimizer, config.lr)
    sum(part(torch.ones(1, 2)).sum() for part in (model.extractor, model.other, model.frozen)).backward()
    optimizer.step()
    moved = {key: (value - before[key]).abs().max().item() for key, value in model.state_dict().items()}
    assert moved["extractor.weight"] == pytest.approx(0.001, rel=1e-3)
    assert moved["other.weight"] == pytest.approx(0.01, rel=1e-3)
    assert moved["frozen.weight"] == 0


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_every_setting_reaches_the_optimizer(name, kind):
    """Adam's weight decay is L2, AdamW's is apart from the gradient: that is what tells the two."""
    config = OptimizerConfig(name=name, lr=0.01, betas=(0.8, 0.98), eps=1e-6, weight_decay=0.2)
    optimizer = build_optimizer(Model(), config)
    assert type(optimizer) is kind
    settings = [(group["lr"], group["betas"], group["eps"], group["weight_decay"]) for group in optimizer.param_groups]
    assert settings == [(0.01, (0.8, 0.98), 1e-6, 0.2)] * 2  # the extractor's group, and the rest


def test_only_what_learns_is_in_a_group_and_no_group_is_empty():
    model = Model()
    groups = build_optimizer(model, OptimizerConfig(lr=0.01, extractor_lr_scale=0.1)).param_groups
    assert [group["lr_scale"] for group in groups] == [0.1, 1.0]
    assert [group["params"] for group in groups] == [[*model.extractor.parameters()], [*model.other.parameters()]]
    model.extractor.requires_grad_(False)
    (group,) = build_optimizer(model, OptimizerConfig(lr=0.01)).param_groups
    assert group["params"] == [*model.other.parameters()]


def test_2023_schedule():
    """lr 5e-6, 5 warm-up epochs from 1e-6, halved every 15 epochs: the 2023 settings."""
    config = load_experiment("protonets-efficientnet_b0").optimizer
    rates = [learning_rate(config, epoch, epochs=30) for epoch in (0, 2.5, 5, 14.9, 15, 29.9)]
    assert rates == pytest.approx([1e-6, 3e-6, 5e-6, 5e-6, 2.5e-6, 2.5e-6])


def test_cosine_falls_to_nothing_and_none_stays():
    config = OptimizerConfig(lr=1.0, decay="cosine", warmup_epochs=2)
    rates = [learning_rate(config, epoch / 10, epochs=10) for epoch in range(20, 101)]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0)
    # (1 + cos(pi/4)) / 2 at a quarter of the 8 epochs after warm-up, a half at half of them
    assert (rates[20], rates[40]) == pytest.approx((0.853553, 0.5), abs=1e-6)
    assert learning_rate(OptimizerConfig(lr=0.3), 7, epochs=10) == 0.3
