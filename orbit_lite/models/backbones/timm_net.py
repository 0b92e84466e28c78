"""A network of timm's, without its classifier."""

from typing import Any

from torch import nn


def timm_net(timm_name: str, **options: Any) -> nn.Module:
    """Build it with random weights."""
    import timm  # takes seconds to import, and `tiny` never needs it

    net: nn.Module = timm.create_model(timm_name, pretrained=False, num_classes=0, **options)
    return net
