"""FiLM: a task has its own norm weights and biases in an extractor that is never changed. Perez et al. 2018
(arXiv 1709.07871).

A FiLM state is a plain mapping from parameters' names in the extractor's network to tensors; the network runs with
them in place of its own (`torch.func.functional_call`). Two tasks' states can be held at once.
"""

from torch import nn

from orbit_lite.models.extractor import Extractor


def film_parameters(extractor: Extractor) -> dict[str, nn.Parameter]:
    """The norm weights and biases that FiLM replaces, by full name, in the published order: as strings are sorted.

    (`blocks.10` stands before `blocks.2`, and a bias before its weight.)
    """
    wanted = {f"{norm}.{part}" for norm in extractor.backbone.norms(extractor.net) for part in ("weight", "bias")}
    found = dict(extractor.net.named_parameters())
    return {name: found[name] for name in sorted(wanted)}


def film_shapes(extractor: Extractor) -> dict[str, tuple[int, ...]]:
    """The shape of each of them, by full name."""
    return {name: tuple(value.shape) for name, value in film_parameters(extractor).items()}
