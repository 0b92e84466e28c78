"""FineTuner + FiLM: the norm parameters and a linear head are fitted to one support set, by gradient steps."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.adapters.film_generator import film_parameters
from orbit_lite.models.backbones import Extractor
from orbit_lite.models.heads.fitting import LinearClassifier
from orbit_lite.models.inputs import NotFinite, chunks_of


@dataclass(frozen=True)
class FilmTuner:
    """So many full-batch steps of Adam on FiLM parameters (from the extractor's own) and a linear head (from zeros).

    The extractor is never changed. Memory is one chunk's graph: the gradient of the full batch adds up over chunks.
    """

    steps: int
    lr: float

    def tune(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, chunk: int
    ) -> tuple[dict[str, Tensor], LinearClassifier]:
        """Fit to a support set: items as Recognizer says, labels int64 (n,). Gives the FiLM state and the head.

        Raises:
            NotFinite: if the loss becomes NaN or infinite.
        """
        film = {name: value.detach().clone().requires_grad_() for name, value in film_parameters(extractor).items()}
        weight = extractor.mean.new_zeros(way, extractor.width).requires_grad_()
        bias = extractor.mean.new_zeros(way).requires_grad_()
        learning = [*film.values(), weight, bias]
        optimizer = torch.optim.Adam(learning, lr=self.lr)
        labels = labels.to(extractor.mean.device)
        for step in range(self.steps):
            optimizer.zero_grad()
            total = extractor.mean.new_zeros(())
            for part in chunks_of(items, chunk):
                with torch.enable_grad():
                    features = extractor.encode(items[part], film=film)
                    loss = F.cross_entropy(F.linear(features, weight, bias), labels[part], reduction="sum")
                    gradients = torch.autograd.grad(loss / len(items), learning)
                for value, gradient in zip(learning, gradients, strict=True):
                    value.grad = gradient if value.grad is None else value.grad + gradient
                total += loss.detach()
            if not torch.isfinite(total):
                raise NotFinite(
                    f"support images: a loss of {float(total)} at step {step + 1} of {self.steps}; "
                    "the extractor's weights are not finite, or the step size is too large"
                )
            optimizer.step()
        return {name: value.detach() for name, value in film.items()}, LinearClassifier(weight.detach(), bias.detach())
