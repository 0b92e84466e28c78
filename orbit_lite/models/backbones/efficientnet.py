"""timm's EfficientNets, as in the published rows."""

from functools import partial

from torch import nn

from orbit_lite.models.backbones.record import (
    CLASSIFIERS,
    HALVES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Backbone,
    Channels,
    as_they_are,
)
from orbit_lite.models.backbones.timm_net import timm_net
from orbit_lite.models.pretrained import fetch_from_hub

TIMM_LICENSE = "Apache-2.0, according to timm's configuration"


def efficientnet_norms(net: nn.Module) -> list[str]:
    """The norms of the published FiLM: those at the root, the second of each inverted residual, and the first of each
    edge residual and plain convolution block; none in depthwise-separable blocks."""
    second = {"InvertedResidual": "bn2", "EdgeResidual": "bn1", "ConvBnAct": "bn1"}
    blocks = ((name, second.get(type(module).__name__)) for name, module in net.named_modules())
    return ["bn1", "bn2", *(f"{name}.{norm}" for name, norm in blocks if norm)]


def _efficientnet(name: str, timm_name: str, mean: Channels, std: Channels) -> Backbone:
    return Backbone(
        name=name,
        width=1280,
        mean=mean,
        std=std,
        source=f"timm {timm_name}",
        license=TIMM_LICENSE,
        build=partial(timm_net, timm_name),
        any_size=True,
        fetch=partial(fetch_from_hub, timm_name),
        prepare=as_they_are,
        classifiers=CLASSIFIERS,
        norms=efficientnet_norms,
    )


B0 = _efficientnet("efficientnet_b0", "tf_efficientnet_b0.aa_in1k", IMAGENET_MEAN, IMAGENET_STD)
V2_S = _efficientnet("efficientnet_v2_s", "tf_efficientnetv2_s.in21k", HALVES, HALVES)
