"""Measures whether confidences match accuracy."""

import numpy as np
from numpy.typing import ArrayLike

BINS = 15


def expected_calibration_error(confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> float:
    """Mean difference between the confidence and the accuracy of frames' predictions; lower is better.

    Confidences are divided into bins of equal width, weighted by their numbers of frames. With few frames the result is
    too large: 100 frames of a perfectly calibrated recognizer give about .06 to .12, less for high confidences.

    Args:
        confidence: the confidence of each frame's prediction, in [0, 1], shape (n,), n >= 1.
        right: whether each prediction is right, shape (n,).
        bins: the number of bins.

    Returns:
        a fraction in [0, 1].

    Raises:
        ValueError: if there are no frames, the shapes differ, or a confidence is outside [0, 1].

    Source: Guo et al. 2017, section 2, eq. 3 (arXiv 1706.04599).
    """
    sure, correct = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if sure.ndim != 1 or sure.shape != correct.shape or not len(sure):
        raise ValueError(
            f"confidences have shape {sure.shape}, answers {correct.shape}; expected one answer per confidence"
        )
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("a confidence outside [0, 1]")
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=sure - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(sure))
