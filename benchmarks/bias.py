"""Separates bias from noise: how far an estimator is from the true gradient, on average and in one draw.

The mean of finitely many draws has a random error, which would look like bias. So |bias|^2 is estimated without it: the
draws are divided into blocks, and the products of *different* blocks' mean errors are averaged. Errors of different
blocks are independent, so the mean of their product is |bias|^2. The estimate has a standard error, by the jackknife
over blocks, and can be negative.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCKS = 20


@dataclass(frozen=True)
class Error:
    """An estimator's error, relative to the norm of the true gradient g.

    `bias_squared` is corrected for chance and can be negative. `cosine` is of the angle between the estimator's mean
    and g; it is also corrected and can exceed 1, and is None if the mean is 0.
    """

    bias_squared: float
    bias_squared_standard_error: float
    rmse: float
    cosine: float | None

    @property
    def bias_at_most(self) -> float:
        """The root of the upper end of the 95 % interval for the squared bias."""
        return (max(self.bias_squared, 0.0) + 1.96 * self.bias_squared_standard_error) ** 0.5


def error_of(true: Tensor, blocks: Tensor, square: float) -> Error:
    """Compute it from the mean errors of blocks of draws, (BLOCKS, numbers), and the mean of |error|^2 over all
    draws."""
    size = float(true @ true)
    products = (blocks @ blocks.T / size).numpy()
    left_out = [_off_diagonal(np.delete(np.delete(products, k, 0), k, 1)) for k in range(BLOCKS)]
    along = 1 + float(blocks.mean(dim=0) @ true) / size  # component of the mean estimate along g
    return _error(
        along, _off_diagonal(products), float(np.std(left_out) * (BLOCKS - 1) ** 0.5), rmse=(square / size) ** 0.5
    )


def error_of_draws(true: Tensor, draws: Iterable[Tensor], *, count: int) -> Error:
    """Compute it from `count` draws, a multiple of BLOCKS, keeping one in memory at a time."""
    sums, square = torch.zeros(BLOCKS, len(true), dtype=true.dtype), 0.0
    for number, draw in enumerate(draws):
        error = draw - true
        sums[number % BLOCKS] += error
        square += float(error @ error)
    return error_of(true, sums * (BLOCKS / count), square / count)


def error_without_chance(true: Tensor, estimate: Tensor) -> Error:
    """The error of a deterministic estimator, which is pure bias."""
    error, size = estimate - true, float(true @ true)
    square = float(error @ error) / size
    return _error(float(estimate @ true) / size, square, 0.0, rmse=square**0.5)


def _error(along: float, bias_squared: float, standard_error: float, *, rmse: float) -> Error:
    length_squared = 2 * along - 1 + bias_squared  # |g + b|^2 = |g|^2 + 2 g.b + |b|^2
    cosine = along / length_squared**0.5 if length_squared > 1e-6 else None
    return Error(bias_squared, standard_error, rmse, cosine)


def _off_diagonal(products: NDArray[np.float64]) -> float:
    """The mean of the off-diagonal entries."""
    count = len(products)
    return float((products.sum() - products.trace()) / (count * (count - 1)))
