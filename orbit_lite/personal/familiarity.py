"""How near a frame is to what was taught, and how near it must be: below that the answer is "none of these"."""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

FALSE_ALARMS = 0.05  # share of frames of strange things that may be called one of the user's


@dataclass(frozen=True)
class Threshold:
    """How familiar a frame must be to be called one of the objects, found on the support set alone.

    value: the least familiarity; None where it could not be found (see `find_threshold`), and every frame is then
        called one of the objects.
    false_alarms: share of frames of things not taught that pass, as aimed at.
    auroc: how well familiarity tells taught from not taught, in [0, 1]; 0.5 is chance. None as `value`.
    frames: how many frames of left-out videos these numbers rest on.
    """

    value: float | None
    false_alarms: float = FALSE_ALARMS
    auroc: float | None = None
    frames: int = 0


def familiarity(features: Tensor, means: Tensor) -> Tensor:
    """Cosine of the angle to each class mean: (m, width) and (way, width) to (m, way), in [-1, 1]."""
    return F.normalize(features, dim=1) @ F.normalize(means, dim=1).T


def find_threshold(known: NDArray[np.floating], strange: NDArray[np.floating]) -> Threshold:
    """From frames of videos that were left out.

    Args:
        known: familiarity of each frame, (f,), where its object was taught with other videos.
        strange: of the same frames where the object was not taught at all, (f,).

    Returns:
        the value that FALSE_ALARMS of `strange` pass; without one if there is no frame.
    """
    from sklearn.metrics import roc_auc_score  # takes a second to import

    if not len(known):
        return Threshold(None)
    value = float(np.quantile(strange, 1 - FALSE_ALARMS))
    taught = np.repeat([1, 0], [len(known), len(strange)])
    return Threshold(value, FALSE_ALARMS, float(roc_auc_score(taught, np.concatenate([known, strange]))), len(known))
