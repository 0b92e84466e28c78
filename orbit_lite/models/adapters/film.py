"""FiLM: each task has its own norm weights and biases, while the extractor itself never changes. Perez et al. 2018
(arXiv 1709.07871).

A FiLM state is a plain mapping from names of the network's parameters to tensors, which replace the network's own for a
call (`torch.func.functional_call`). The states of several tasks can coexist.
"""

from torch import nn

from orbit_lite.models.extractor import Extractor


def film_parameters(extractor: Extractor) -> dict[str, nn.Parameter]:
    """The norm weights and biases that FiLM replaces, by full name, in the published order: sorted as strings.

    (`blocks.10` comes before `blocks.2`, and a bias before its weight.)
    """
    wanted = {f"{norm}.{part}" for norm in extractor.backbone.norms(extractor.net) for part in ("weight", "bias")}
    found = dict(extractor.net.named_parameters())
    return {name: found[name] for name in sorted(wanted)}


def film_shapes(extractor: Extractor) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters that FiLM replaces, by full name."""
    return {name: tuple(value.shape) for name, value in film_parameters(extractor).items()}
