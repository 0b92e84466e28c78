"""FiLM: a task has its own norm weights and biases in an extractor that is never changed. Perez et al. 2018
(arXiv 1709.07871).

A FiLM state is a plain mapping from parameters' names in the extractor's network to tensors; the network runs with
them in place of its own (`torch.func.functional_call`). Two tasks' states can be held at once.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from orbit_lite.models.adapters.set_encoder import MAPS, SetEncoder
from orbit_lite.models.backbones import Extractor

FilmState = Mapping[str, Tensor]
REGULARIZER_STD = 0.001
PENALTY = 0.001


def film_parameters(extractor: Extractor) -> dict[str, nn.Parameter]:
    """The norm weights and biases that FiLM replaces, by full name, in the published order: as strings are sorted.

    (`blocks.10` stands before `blocks.2`, and a bias before its weight.)
    """
    wanted = {f"{norm}.{part}" for norm in extractor.backbone.norms(extractor.net) for part in ("weight", "bias")}
    found = dict(extractor.net.named_parameters())
    return {name: found[name] for name in sorted(wanted)}


class FilmAdapter(nn.Module):
    """CNAPs' adaptation: the support set's mean encoding to every FiLM parameter, by one small network for each.

    weight = w0 (1 + r g), bias = b0 + r g, with w0 and b0 the extractor's own, g what the network gives, and r a
    learned vector that starts near 0: an untrained adapter hardly changes the extractor.
    """

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.names = tuple(film_parameters(extractor))
        self.set_encoder = SetEncoder()
        self.generator = FilmGenerator([value.numel() for value in film_parameters(extractor).values()])

    def encode(self, extractor: Extractor, items: Tensor, *, bf16: bool = False) -> Tensor:
        """One chunk of uint8 items (n, 3, s, s), or clips, to set encodings (n, 64), with graph if gradients are on.

        In bfloat16 if asked, as `Extractor.encode`; encodings are float32 all the same.
        """
        frames = items.to(extractor.mean.device, non_blocking=True)
        with torch.autocast(extractor.mean.device.type, torch.bfloat16, enabled=bf16):
            encodings: Tensor = self.set_encoder(extractor.pixels(frames.flatten(0, 1) if items.ndim == 5 else frames))
        encodings = encodings.float() if bf16 else encodings
        return encodings.reshape(*items.shape[:2], -1).mean(dim=1) if items.ndim == 5 else encodings

    def film(self, extractor: Extractor, encodings: Tensor) -> dict[str, Tensor]:
        """Set encodings (n, 64) of the whole support set to a FiLM state."""
        own = film_parameters(extractor)
        changes = self.generator(encodings.mean(dim=0))
        return {
            name: own[name] * (1 + change) if name.endswith("weight") else own[name] + change
            for name, change in zip(self.names, changes, strict=True)
        }

    def penalty(self) -> Tensor:
        """What the published training adds to each task's loss: 0.001 times the sum of all r squared."""
        return PENALTY * torch.stack([r.square().sum() for r in self.generator.regularizers]).sum()


class FilmGenerator(nn.Module):
    """One network for each FiLM parameter. The module's names are the published checkpoints'."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.generators = nn.ModuleList([_Block(size) for size in sizes])
        self.regularizers = nn.ParameterList([REGULARIZER_STD * torch.randn(size) for size in sizes])

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """The task's embedding (64,) to r g for each parameter, (size,)."""
        return [r * generator(embedding) for r, generator in zip(self.regularizers, self.generators, strict=True)]


class _Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(MAPS, MAPS), nn.LayerNorm(MAPS), nn.ReLU(), nn.Linear(MAPS, size))

    def forward(self, embedding: Tensor) -> Tensor:
        values: Tensor = self.block(embedding)
        return values
