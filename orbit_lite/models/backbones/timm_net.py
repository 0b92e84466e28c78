"""Builds timm networks without their classifiers."""

from typing import Any

from torch import nn


def timm_net(timm_name: str, **options: Any) -> nn.Module:
    """Build the network with random weights."""
    import timm  # importing it takes seconds, and `tiny` does not need it

    net: nn.Module = timm.create_model(timm_name, pretrained=False, num_classes=0, **options)
    return net
