"""torchvision's ResNet-18, as in the published rows of 2021."""

from pathlib import Path

from torch import nn

from orbit_lite.models.backbones.record import CLASSIFIERS, IMAGENET_MEAN, IMAGENET_STD, Backbone, as_they_are
from orbit_lite.models.pretrained import fetch_from_url


def _build() -> nn.Module:
    import torchvision

    net: nn.Module = torchvision.models.resnet18(weights=None)
    net.fc = nn.Identity()
    return net


def _fetch() -> Path:
    import torchvision

    return fetch_from_url(torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url)


def _norms(net: nn.Module) -> list[str]:
    """The stem's norm and both norms of each block, but not those of the shortcuts."""
    found = (name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d))
    return [name for name in found if "downsample" not in name]


RESNET18 = Backbone(
    name="resnet18",
    width=512,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    source="torchvision ResNet18_Weights.IMAGENET1K_V1",
    license="BSD-3-Clause",
    build=_build,
    any_size=True,
    fetch=_fetch,
    prepare=as_they_are,
    classifiers=CLASSIFIERS,
    norms=_norms,
)
