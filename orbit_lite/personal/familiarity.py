"""How near a frame is to what was taught, and how near it must be: below that the answer is "none of these"."""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Threshold:
    """How familiar a frame must be to be called one of the objects, found on the support set alone.

    value: the least familiarity; None where there is none (see `find_threshold`): every frame is then called one of the
        objects.
    false_alarms: share of frames of things never taught that pass, as estimated, in [0, 1]; None as `value`.
    misses: share of frames of the objects that do not.
    auroc: how well familiarity tells taught from not taught, in [0, 1]; 0.5 is chance. None without frames.
    frames: how many frames of left-out videos these numbers rest on.
    asked: share of false alarms that was asked for; None if they were to be balanced with misses.
    """

    value: float | None
    false_alarms: float | None = None
    misses: float | None = None
    auroc: float | None = None
    frames: int = 0
    asked: float | None = None


def familiarity(features: Tensor, means: Tensor) -> Tensor:
    """Cosine of the angle to each class mean: (m, width) and (way, width) to (m, way), in [-1, 1]."""
    return F.normalize(features, dim=1) @ F.normalize(means, dim=1).T


def find_threshold(
    known: NDArray[np.floating], strange: NDArray[np.floating], *, false_alarms: float | None = None
) -> Threshold:
    """From frames of videos that were left out.

    Args:
        known: familiarity of each frame, (f,), where its object was taught with other videos.
        strange: of the same frames where the object was not taught at all, (f,).
        false_alarms: share of `strange` that may pass, in [0, 1). None balances: the sum of false alarms and misses is
            least (Youden 1950). A small share costs many misses where the two lie close together.

    Returns:
        without a value if there is no frame, or familiarity tells nothing: `strange` is no less familiar than `known`.
    """
    from sklearn.metrics import auc, roc_curve  # takes a second to import

    if not len(known):
        return Threshold(None, asked=false_alarms)
    taught = np.repeat([1, 0], [len(known), len(strange)])
    # thresholds falling; at each, the share of strange and of known frames at or above it
    passed, kept, values = roc_curve(taught, np.concatenate([known, strange]), drop_intermediate=False)
    area = float(auc(passed, kept))
    if area <= 0.5:
        return Threshold(None, auroc=area, frames=len(known), asked=false_alarms)
    place = int(np.argmax(kept - passed)) if false_alarms is None else int(np.flatnonzero(passed <= false_alarms)[-1])
    # the first threshold is infinite: nothing passes. The file can't hold it; just above the most familiar will do
    value = float(values[place]) if place else float(np.nextafter(values[1], np.inf))
    return Threshold(value, float(passed[place]), float(1 - kept[place]), area, len(known), false_alarms)
