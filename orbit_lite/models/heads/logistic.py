"""Logistic regression, fitted to the support features by scikit-learn until it converges."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from groundwork.strict_model import Strict
from orbit_lite.config import Positive
from orbit_lite.models.heads.fitting import LinearClassifier, linear_shapes
from orbit_lite.models.heads.record import FitMacs, HeadRecord

PENALTY, MOST_STEPS = 1.0, 1000  # scikit-learn's default penalty; ten times its default steps


class LogisticSettings(Strict):
    """penalty: on the squared weights (scikit-learn's 1 / C). most_steps: the solver's limit."""

    penalty: Annotated[float, Field(gt=0)] = PENALTY
    most_steps: Positive = MOST_STEPS


@dataclass(frozen=True)
class LogisticHead:
    """Softmax regression with an L2 penalty, by scikit-learn (lbfgs, until it converges). Not meta-learned.

    It minimizes the sum of the items' cross-entropies + penalty / 2 |weight|^2, for any number of classes.
    """

    penalty: float = PENALTY
    most_steps: int = MOST_STEPS

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> LinearClassifier:
        """See Head. For a single class the classifier is zero."""
        from sklearn.linear_model import LogisticRegression  # importing it takes a second

        if way == 1:  # scikit-learn refuses a single class
            return LinearClassifier(features.new_zeros(1, features.shape[1]), features.new_zeros(1))
        rows = features.detach().double().cpu().numpy()
        # For two classes scikit-learn has one row w, the logit of class 1 against class 0. The rows -w/2 and w/2 have
        # half of its squared weights, so scikit-learn gets half the penalty for the same objective.
        strength = (2 if way == 2 else 1) / self.penalty
        model = LogisticRegression(C=strength, max_iter=self.most_steps).fit(rows, labels.cpu().numpy())
        weight, bias = model.coef_, model.intercept_
        if way == 2:
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return LinearClassifier(torch.from_numpy(weight).to(features), torch.from_numpy(bias).to(features))


RECORD = HeadRecord(
    name="logistic",
    summary="logistic regression, by scikit-learn",
    settings=LogisticSettings,
    build=lambda learner, own, width: LogisticHead(own.penalty, own.most_steps),
    fitted=LinearClassifier,
    shapes=linear_shapes,
    # scikit-learn's number of steps depends on the features, and the counter does not see it.
    macs=FitMacs(
        ours=lambda head, size: 0,
        leaderboard=lambda head, size: 0,
        part="head's fit (scikit-learn's, not counted)",
    ),
    passes_gradient=False,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
