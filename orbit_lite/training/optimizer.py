"""The optimizer, its learning rate and its clamp, from the config; the training loop only asks for them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from orbit_lite.training.experiment import OptimizerConfig

EXTRACTOR = "extractor."


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over the parameters that learn, in two groups: the extractor's, its rate scaled, and the rest."""
    learning = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in learning if name.startswith(EXTRACTOR)], "lr_scale": config.extractor_lr_scale},
        {"params": [p for name, p in learning if not name.startswith(EXTRACTOR)], "lr_scale": 1.0},
    ]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return kind(
        [group for group in groups if group["params"]],
        lr=config.lr,
        betas=config.betas,
        eps=config.eps,
        weight_decay=config.weight_decay,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, times the group's own scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def learning_rate(config: OptimizerConfig, epoch: float, *, epochs: int) -> float:
    """The rate at a point of the run: linear warm-up, then none, step or cosine decay.

    Args:
        epoch: epochs done, with its fraction, in [0, epochs).
        epochs: length of the run.

    >>> learning_rate(OptimizerConfig(lr=1.0, decay="step", decay_every_epochs=15), 16.5, epochs=30)
    0.5
    """
    if epoch < config.warmup_epochs:
        warm = math.floor(epoch) if config.warmup == "epoch" else epoch
        return config.warmup_lr + (config.lr - config.warmup_lr) * warm / config.warmup_epochs
    if config.decay == "step":
        decays = (
            sum(epoch >= done for done in config.decay_at_epochs)
            if config.decay_at_epochs
            else epoch // config.decay_every_epochs
        )
        return config.lr * float(config.decay_factor**decays)
    if config.decay == "cosine":
        done = (epoch - config.warmup_epochs) / max(epochs - config.warmup_epochs, 1e-9)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return config.lr


@contextmanager
def clamped_apart(model: nn.Module, bound: float | None) -> Iterator[None]:
    """Clamp what the block adds to the gradients, and nothing that was there before; None leaves all as it is.

    It takes memory for one more gradient of every parameter.
    """
    if bound is None:
        yield
        return
    before = [(parameter, parameter.grad) for parameter in model.parameters()]
    model.zero_grad(set_to_none=True)
    yield
    clamp_gradients(model, bound)
    for parameter, earlier in before:
        if earlier is not None:
            parameter.grad = earlier if parameter.grad is None else earlier.add_(parameter.grad)


def clamp_gradients(model: nn.Module, bound: float | None) -> None:
    """Hold every element of the gradients to +- bound; None leaves them as they are."""
    for parameter in model.parameters():
        if bound is not None and parameter.grad is not None:
            parameter.grad.clamp_(-bound, bound)
