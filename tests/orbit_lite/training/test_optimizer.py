import pytest
import torch
from timm.scheduler.multistep_lr import MultiStepLRScheduler
from torch import nn

from orbit_lite.training.experiment import OptimizerConfig, load_experiment
from orbit_lite.training.optimizer import (
    build_optimizer,
    clamp_gradients,
    clamped_apart,
    learning_rate,
    set_learning_rate,
)
from orbit_lite.training.tasks import Steps


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.extractor, self.other, self.frozen = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.frozen.requires_grad_(False)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_extractor_lr_scale_reaches_the_weights(name):
    """The published code stores the scale where its optimizer does not read it. (Adam's first step has size lr.)"""
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
    """Adam's weight decay is L2, AdamW's is separate from the gradient, which distinguishes the two."""
    config = OptimizerConfig(name=name, lr=0.01, betas=(0.8, 0.98), eps=1e-6, weight_decay=0.2)
    optimizer = build_optimizer(Model(), config)
    assert type(optimizer) is kind
    settings = [(group["lr"], group["betas"], group["eps"], group["weight_decay"]) for group in optimizer.param_groups]
    assert settings == [(0.01, (0.8, 0.98), 1e-6, 0.2)] * 2  # the extractor's group, then the rest


def test_only_learned_parameters_are_in_groups_and_no_group_is_empty():
    model = Model()
    groups = build_optimizer(model, OptimizerConfig(lr=0.01, extractor_lr_scale=0.1)).param_groups
    assert [group["lr_scale"] for group in groups] == [0.1, 1.0]
    assert [group["params"] for group in groups] == [[*model.extractor.parameters()], [*model.other.parameters()]]
    model.extractor.requires_grad_(False)
    (group,) = build_optimizer(model, OptimizerConfig(lr=0.01)).param_groups
    assert group["params"] == [*model.other.parameters()]


def test_the_2023_rates_are_those_of_the_published_code():
    """According to timm's schedule (0.6.12) as used there: set once per epoch, one milestone at 15 of 30 epochs."""
    config = load_experiment("protonets-efficientnet_b0")
    optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=5e-6)
    schedule = MultiStepLRScheduler(
        optimizer, decay_t=[15], decay_rate=0.5, warmup_lr_init=1e-6, warmup_t=5, warmup_prefix=False
    )
    theirs = [optimizer.param_groups[0]["lr"]]
    for epochs_done in range(1, 30):
        schedule.step(epochs_done)
        theirs.append(optimizer.param_groups[0]["lr"])
    # the first ones by hand: 1e-6, plus a fifth of the way to 5e-6 per epoch
    assert theirs[:7] == pytest.approx([1e-6, 1.8e-6, 2.6e-6, 3.4e-6, 4.2e-6, 5e-6, 5e-6], rel=1e-12, abs=0)
    assert theirs[13:16] == pytest.approx([5e-6, 2.5e-6, 2.5e-6], rel=1e-12, abs=0)
    steps = Steps(44 * config.tasks.tasks_per_user, config.tasks_per_step, config.epochs)
    assert (steps.per_epoch, config.epochs) == (138, 30)
    for step in range(steps.total):  # constant within an epoch
        rate = learning_rate(config.optimizer, step / steps.per_epoch, epochs=config.epochs)
        assert rate == pytest.approx(theirs[step // steps.per_epoch], rel=1e-12, abs=0), step


def test_warm_up_is_per_step_unless_it_is_per_epoch():
    def rates(warmup):
        config = OptimizerConfig(lr=5e-6, warmup_epochs=5, warmup_lr=1e-6, warmup=warmup)
        return [learning_rate(config, step / 4, epochs=30) for step in (0, 1, 3, 4, 18, 19, 20)]  # 4 steps per epoch

    assert rates("step") == pytest.approx([1e-6, 1.2e-6, 1.6e-6, 1.8e-6, 4.6e-6, 4.8e-6, 5e-6], rel=1e-12, abs=0)
    assert rates("epoch") == pytest.approx([1e-6, 1e-6, 1e-6, 1.8e-6, 4.2e-6, 4.2e-6, 5e-6], rel=1e-12, abs=0)
    assert OptimizerConfig(lr=1).warmup == "step"


def test_step_decay_follows_its_interval_or_list_of_epochs():
    def rates(**how):
        config = OptimizerConfig(lr=1.0, decay="step", decay_factor=0.5, **how)
        return [learning_rate(config, epoch, epochs=9) for epoch in (0, 1.9, 2, 3.5, 4, 6, 8)]

    assert rates(decay_every_epochs=2) == [1, 1, 0.5, 0.5, 0.25, 0.125, 0.0625]
    assert rates(decay_at_epochs=(2, 6)) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    with pytest.raises(ValueError, match="decay_at_epochs needs decay 'step', but decay is 'cosine'"):
        OptimizerConfig(lr=1.0, decay="cosine", decay_at_epochs=(2,))


def test_cosine_falls_to_zero_and_none_is_constant():
    config = OptimizerConfig(lr=1.0, decay="cosine", warmup_epochs=2)
    rates = [learning_rate(config, epoch / 10, epochs=10) for epoch in range(20, 101)]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0)
    # (1 + cos(pi/4)) / 2 after a quarter of the 8 epochs after warm-up, 1/2 after half of them
    assert (rates[20], rates[40]) == pytest.approx((0.853553, 0.5), abs=1e-6)
    assert learning_rate(OptimizerConfig(lr=0.3), 7, epochs=10) == 0.3


def test_only_gradients_added_by_the_block_are_clamped():
    model = Model()
    weight, other = model.extractor.weight, model.other.weight
    weight.grad = torch.tensor([[30.0, 1.0], [0.0, -4.0]])
    with clamped_apart(model, 10):
        assert weight.grad is None  # this remaining part is what the block added
        weight.grad = torch.tensor([[2.0, 11.0], [-50.0, -1.0]])
        other.grad = torch.tensor([[99.0, 0.0], [0.0, 9.0]])
    assert weight.grad.tolist() == [[32, 11], [-10, -5]]
    assert other.grad.tolist() == [[10, 0], [0, 9]]
    assert model.frozen.weight.grad is None
    clamp_gradients(model, 10)
    assert weight.grad.tolist() == [[10, 10], [-10, -5]]
    with clamped_apart(model, 10):
        pass
    assert weight.grad.tolist() == [[10, 10], [-10, -5]]


def test_without_a_clamp_gradients_do_not_change():
    model = Model()
    model.extractor.weight.grad = torch.full((2, 2), 1e9)
    with clamped_apart(model, None):
        model.extractor.weight.grad += 1e9
    clamp_gradients(model, None)
    assert model.extractor.weight.grad.tolist() == [[2e9, 2e9]] * 2
