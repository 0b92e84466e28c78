"""Confidence of an answer as a probability, calibrated on held-out frames."""

import math

import numpy as np
from numpy.typing import NDArray

# The share of every answer that is spread over all objects. No held-out set is large enough to promise more, and
# without it, a few easy videos would drive the temperature to 0.
SMOOTHING = 0.005
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-3, 1e3


def confidences(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Turn logits (m, way) into probabilities (m, way): a softmax, with a share SMOOTHING spread evenly."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    way = scaled.shape[1]
    return np.asarray((1 - SMOOTHING) * powers / powers.sum(axis=1, keepdims=True) + SMOOTHING / way)


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating]) -> float:
    """The temperature with the lowest cross-entropy on held-out frames, with labels smoothed by SMOOTHING.

    Args:
        logits: (f, way), f >= 1, way >= 2.
        labels: (f,).
        weights: of each frame, (f,), positive.

    Source: Guo et al. 2017, section 4.2 (temperature scaling, arXiv 1706.04599); label smoothing, Szegedy et al. 2016.
    """
    from scipy.optimize import minimize_scalar  # takes half a second to import

    scores = np.asarray(logits, np.float64)
    way = scores.shape[1]
    targets = np.full_like(scores, SMOOTHING / (way - 1))
    targets[np.arange(len(scores)), labels] = 1 - SMOOTHING
    shares = np.asarray(weights, np.float64) / np.sum(weights)

    def cross_entropy(log_temperature: float) -> float:
        scaled = scores / math.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_shares = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-(shares * (targets * log_shares).sum(axis=1)).sum())

    bounds = (math.log(LEAST_TEMPERATURE), math.log(MOST_TEMPERATURE))
    # a grid first: far from the minimum the curve is flat, and a line search from there would stop anywhere
    grid = np.linspace(*bounds, 57)
    place = int(np.argmin([cross_entropy(value) for value in grid]))
    near = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
    return float(math.exp(minimize_scalar(cross_entropy, bounds=near, method="bounded").x))
