"""Builds the optimizer, its learning rate and its gradient clamp from the config, for the training loop."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from orbit_lite.training.experiment import OptimizerConfig

EXTRACTOR = "extractor."


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam or AdamW over the learned parameters, in two groups: the extractor's, with a scaled rate, and the rest."""
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
    """The rate at a point in the run: linear warm-up, then no, step or cosine decay.

    Args:
        epoch: the number of finished epochs, as a fraction, in [0, epochs).
        epochs: the length of the run.

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
    """Clamp only what the block adds to the gradients, not what was there before; None clamps nothing.

    This needs memory for one more gradient of every parameter.
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
    """Clamp every element of the gradients to +- bound; None does nothing."""
    for parameter in model.parameters():
        if bound is not None and parameter.grad is not None:
            parameter.grad.clamp_(-bound, bound)
