"""Selects the parameters of an extractor that adapt to a support set together with a linear head."""

from typing import Literal

from torch.nn.modules.batchnorm import _BatchNorm

from groundwork.errors import UsageError
from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.extractor import Extractor

Adapts = Literal["all", "film"]


def adapting_names(extractor: Extractor, adapts: Adapts) -> tuple[str, ...]:
    """The names of the network's parameters that adapt: all, or those of its norm layers.

    Raises:
        UsageError: if there are none, or a BatchNorm has no running statistics, which would make an image's features
            depend on its chunk.
    """
    for name, module in extractor.net.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise UsageError(
                f"backbone {extractor.backbone.name}: BatchNorm {name} has no running statistics, so an image's "
                "features would depend on its chunk; an inner loop needs a backbone whose BatchNorm has them"
            )
    names = film_parameters(extractor) if adapts == "film" else dict(extractor.net.named_parameters())
    if not names:
        raise UsageError(f"backbone {extractor.backbone.name} has no norm layers for FiLM to adapt; use adapts: all")
    return tuple(names)
