"""The heads in one table."""

from collections.abc import Callable

from orbit_lite.config import LearnerConfig
from orbit_lite.models.heads.fitting import FittedHead, Head, LinearClassifier
from orbit_lite.models.heads.linear import LogisticHead, StepsHead
from orbit_lite.models.heads.mahalanobis import MahalanobisClassifier, MahalanobisHead
from orbit_lite.models.heads.prototypes import CosineHead, PrototypeHead
from orbit_lite.models.heads.versa import VersaHead

# Each from its learner's config and the width of the features.
HEADS: dict[str, Callable[[LearnerConfig, int], Head]] = {
    "proto": lambda learner, width: PrototypeHead,
    "cosine": lambda learner, width: CosineHead,
    "versa": lambda learner, width: VersaHead(width),
    "mahalanobis": lambda learner, width: MahalanobisHead(learner.published_quirks),
    "linear": lambda learner, width: StepsHead(learner.steps, learner.step_lr),
    "logistic": lambda learner, width: LogisticHead(),
}

# What each gives when it is fitted: a dataclass that holds tensors, from which it can be built again.
FITTED_HEADS: dict[str, Callable[..., FittedHead]] = {
    "proto": PrototypeHead,
    "cosine": CosineHead,
    "versa": LinearClassifier,
    "mahalanobis": MahalanobisClassifier,
    "linear": LinearClassifier,
    "logistic": LinearClassifier,
}
