"""A personal recogniser: one user's objects, what they were taught with, and when to answer "none of these"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from orbit_lite.models.heads.fitting import class_means
from orbit_lite.models.recognizer import FittedRecognizer
from orbit_lite.personal.familiarity import Threshold, familiarity
from orbit_lite.personal.support import SupportSet


@dataclass(frozen=True, eq=False)
class FrameScores:
    """What m frames look like.

    probabilities: softmax over the objects, float32 (m, way). familiarity: how near the nearest object is, in [-1, 1],
    float32 (m,); see Threshold.
    """

    probabilities: NDArray[np.float32]
    familiarity: NDArray[np.float32]


@dataclass(frozen=True)
class PersonalRecognizer:
    """One user's recogniser. A value: to teach or forget an object gives another one.

    fitted: extractor (adapted, where the learner does that) and head. user: who filmed. support: what it was taught
    with. threshold: how familiar a frame must be. origin: where it comes from (model, config, versions), plain JSON.
    """

    fitted: FittedRecognizer
    user: str
    support: SupportSet
    threshold: Threshold
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects: the class indices."""
        return self.support.objects

    @property
    def frame_size_px(self) -> int:
        """Side of the frames it takes."""
        return self.fitted.recognizer.extractor.frame_size_px

    def scores(self, images: Tensor, *, chunk: int | None = None) -> FrameScores:
        """Frames, uint8 (m, 3, s, s), to what they look like. Raises FoundWrong as `Recognizer.embed`."""
        return self.scores_of_features(self.fitted.embed(images, chunk=chunk))

    def scores_of_features(self, features: Tensor) -> FrameScores:
        """Features (m, width), as `fitted.embed` gives them, to what the frames look like."""
        probabilities = self.fitted.logits_from_features(features).softmax(1)
        near = familiarity(features.to(self._means.device), self._means).amax(1)
        return FrameScores(probabilities.float().cpu().numpy(), near.float().cpu().numpy())

    @cached_property
    def _means(self) -> Tensor:
        means = class_means(self.support.features, self.support.labels, way=self.support.way)
        return means.to(self.fitted.recognizer.device)
