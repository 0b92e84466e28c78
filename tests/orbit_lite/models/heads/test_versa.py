"""Versa's head compared with its formulas."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.fitting import LinearClassifier
from orbit_lite.models.heads.versa import VersaHead


def elu(values: Tensor) -> Tensor:
    return torch.where(values > 0, values, torch.exp(values) - 1)


def by_formula(head: VersaHead, mean: Tensor) -> tuple[Tensor, Tensor]:
    """One class's weight (width,) and bias (), from its mean."""
    of = {name: value.detach() for name, value in head.named_parameters()}

    def layer(processor: str, number: int, values: Tensor) -> Tensor:
        place = f"{processor}_processor.linear{number}"
        return of[f"{place}.weight"] @ values + of[f"{place}.bias"]

    weight, bias = (layer(part, 3, elu(layer(part, 2, elu(layer(part, 1, mean))))) for part in ("weight", "bias"))
    return weight + mean, bias[0]  # the input is added if sizes agree: to the weight, but not to the bias


def test_weight_and_bias_come_from_the_class_mean_by_three_layers() -> None:
    torch.manual_seed(1)
    head = VersaHead(5).double()
    features = 3 * torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fitted = head.fit(features, torch.tensor([0, 1, 0, 1, 1]), way=2)
    assert isinstance(fitted, LinearClassifier)
    for label, members in enumerate((features[[0, 2]], features[[1, 3, 4]])):
        weight, bias = by_formula(head, members.mean(dim=0))
        torch.testing.assert_close(fitted.weight[label], weight)
        torch.testing.assert_close(fitted.bias[label], bias)


def test_its_networks_learn_from_the_query_loss() -> None:
    """In the published code they never learn, because its class weights are new parameters."""
    torch.manual_seed(1)
    head = VersaHead(4).double()
    for processor in (head.weight_processor, head.bias_processor):
        for layer in (processor.linear1, processor.linear2):  # so that the ELUs are curved for every class
            torch.nn.init.constant_(layer.bias, -1)
    features = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1])
    torch.nn.functional.cross_entropy(head.fit(features, labels, way=2).logits(features), labels).backward()
    sizes = {name: float(value.grad.norm()) for name, value in head.named_parameters() if value.grad is not None}
    # These two add the same number to the logits of all classes, so they don't affect the loss.
    for last in ("weight_processor.linear3.bias", "bias_processor.linear3.bias"):
        assert sizes.pop(last) < 1e-12
    assert len(sizes) == 10
    assert min(sizes.values()) > 1e-6


@pytest.mark.parametrize(("width", "count"), [(1280, 4_920_325), (768, 1_772_549)])
def test_number_of_parameters(width: int, count: int) -> None:
    # 1280: as published. 768: 3 (768^2 + 768) for the weight, 769 + 2 + 2 for the bias, by hand
    assert sum(value.numel() for value in VersaHead(width).parameters()) == count
