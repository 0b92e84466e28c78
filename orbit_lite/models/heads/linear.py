"""Linear heads that are fitted to the support features alone: by gradient steps, or by scikit-learn to convergence."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.fitting import LinearClassifier


@dataclass(frozen=True)
class StepsHead:
    """FineTuner's head: softmax regression from zeros, so many full-batch steps of Adam. Not meta-learned.

    No gradient goes back to the features: what it is fitted to is taken as given.
    """

    steps: int
    lr: float

    def fit(self, features: Tensor, labels: Tensor, *, way: int) -> LinearClassifier:
        """(n, width) and int64 (n,) to a linear classifier. The same features give the same one."""
        features = features.detach()
        weight = features.new_zeros(way, features.shape[1]).requires_grad_()
        bias = features.new_zeros(way).requires_grad_()
        optimizer = torch.optim.Adam([weight, bias], lr=self.lr)
        with torch.enable_grad():
            for _ in range(self.steps):
                loss = F.cross_entropy(F.linear(features, weight, bias), labels)
                weight.grad, bias.grad = torch.autograd.grad(loss, [weight, bias])
                optimizer.step()
        return LinearClassifier(weight.detach(), bias.detach())


@dataclass(frozen=True)
class LogisticHead:
    """Softmax regression with an L2 penalty, by scikit-learn (lbfgs, until it converges). Not meta-learned.

    It minimises the sum of the items' cross-entropies + penalty / 2 |weight|^2, whatever the number of classes.
    """

    penalty: float = 1.0  # scikit-learn's 1 / C, and its usual value
    most_steps: int = 1000

    def fit(self, features: Tensor, labels: Tensor, *, way: int) -> LinearClassifier:
        """(n, width) and int64 (n,) to a linear classifier; of a single class, to zeros."""
        from sklearn.linear_model import LogisticRegression  # takes a second to import

        if way == 1:  # nothing to tell apart, and scikit-learn refuses it
            return LinearClassifier(features.new_zeros(1, features.shape[1]), features.new_zeros(1))
        rows = features.detach().double().cpu().numpy()
        # For two classes scikit-learn has one row w, the logit of class 1 against class 0. As two rows, -w/2 and w/2,
        # it has half the square: so half the penalty here is the same objective.
        strength = (2 if way == 2 else 1) / self.penalty
        model = LogisticRegression(C=strength, max_iter=self.most_steps).fit(rows, labels.cpu().numpy())
        weight, bias = model.coef_, model.intercept_
        if way == 2:
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return LinearClassifier(torch.from_numpy(weight).to(features), torch.from_numpy(bias).to(features))
