"""Whether a recognizer is as sure as it is right."""

import numpy as np
from numpy.typing import ArrayLike

BINS = 15


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> float:
    """Mean distance between how sure frames' predictions are and how often they are right; lower is better.

    Confidences are cut into bins of equal width; each bin's distance weighs as many as it has frames. Few frames make
    it too large: 100 of a perfectly calibrated recognizer give about .06 to .12, less the surer it is.

    Args:
        confidence: of each frame's prediction, in [0, 1], shape (n,), n >= 1.
        right: whether it is right, shape (n,).
        bins: how many.

    Returns:
        a fraction in [0, 1].

    Raises:
        ValueError: if there is no frame, the shapes differ, or a confidence lies outside [0, 1].

    Source: Guo et al. 2017, section 2, eq. 3 (arXiv 1706.04599).
    """
    sure, correct = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if sure.ndim != 1 or sure.shape != correct.shape or not len(sure):
        raise ValueError(f"confidences of shape {sure.shape}, answers of shape {correct.shape}; one of each expected")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("a confidence outside [0, 1]")
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=sure - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))
